import path from 'node:path'
import createDebug from 'debug'
import { LogError } from '../errors.ts'
import type { LogOptions, ResolvedLogOptions } from '../options.ts'
import { resolveLogOptions } from '../options.ts'
import { METADATA_FILE } from '../storage/file-names.ts'
import { nodeFileSystem } from '../storage/file-system.ts'
import { LimitedSyncs } from '../storage/limited-syncs.ts'
import type { StoredTopic } from '../topics/stored-topic.ts'
import { foreignTopic, newTopic, reconcile } from '../topics/stored-topic.ts'
import type { ResolvedDeclaration } from '../topics/topic-definition.ts'
import { resolveDeclaration } from '../topics/topic-definition.ts'
import { newTopicId } from '../topics/topic-id.ts'
import { MISSING_STORE, TopicStore } from '../topics/topic-store.ts'
import type { Clock, FileSystem, RecoveryReport, TopicConfig } from '../types.ts'
import { systemClock } from '../util/clock.ts'
import { isDiskFull } from '../util/error-code.ts'
import { Semaphore } from '../util/semaphore.ts'
import { DataDirectory } from './data-directory.ts'
import { OFFSETS_DECLARATION, refuseInternal } from './group-offsets.ts'
import { LogCore } from './log-core.ts'
import { TopicFiles } from './topic-files.ts'
import { TRANSACTIONS_DECLARATION } from './transactions.ts'

const debug = createDebug('brokerless:log')

/** What a declaration changed about a topic that was there. */
export interface TopicAlteration {
  readonly topic: string
  /** The new number, where partitions were added. */
  readonly partitions: number | undefined
  /** The values that changed. */
  readonly config: Partial<TopicConfig>
}

export interface OpenedLog {
  readonly core: LogCore
  readonly recovery: RecoveryReport
  readonly alterations: readonly TopicAlteration[]
}

/**
 * Opens a data directory. Nothing is changed before the declarations are known to fit what is stored:
 * (1) lock, (2) read `brokerless.json` and the directories, (3) judge the declarations, (4) remove the clean marker,
 * (5) write what changes about the topics, make and remove directories, (6) open and recover the partitions,
 * (7) set committed offsets that lie past their partition's end, (8) write the recovery points, (9) finish deletions.
 */
export async function openLog(
  directory: unknown,
  input: LogOptions | undefined,
): Promise<OpenedLog> {
  if (typeof directory !== 'string' || directory === '') {
    throw new TypeError('the data directory must be a path, as a string')
  }
  const options = resolveLogOptions(input)
  const declared = new Map<string, ResolvedDeclaration>()
  for (const [name, declaration] of Object.entries(options.topics)) {
    refuseInternal(name, 'declared')
    declared.set(name, resolveDeclaration(name, declaration))
  }
  const syncs = new Semaphore(options.maxConcurrentSyncs)
  const fileSystem = new LimitedSyncs(options.fileSystem ?? nodeFileSystem, syncs)
  const clock = options.clock ?? systemClock
  const { readOnly, breakLock } = options
  if (readOnly && (await fileSystem.stat(directory)) === undefined) {
    throw new LogError('READ_ONLY', `${directory} does not exist, and readOnly creates nothing`)
  }
  const data = await DataDirectory.open(directory, { fileSystem, clock, readOnly, breakLock })
  try {
    return await new Opening({ data, fileSystem, clock, options, declared }).run()
  } catch (error) {
    await data.release()
    throw error
  }
}

interface OpeningContext {
  readonly data: DataDirectory
  readonly fileSystem: LimitedSyncs
  readonly clock: Clock
  readonly options: ResolvedLogOptions
  readonly declared: ReadonlyMap<string, ResolvedDeclaration>
}

class Opening {
  readonly #context: OpeningContext
  readonly #files: TopicFiles
  readonly #alterations: TopicAlteration[] = []
  readonly #finished: string[] = []
  readonly #inMemory: string[] = []

  constructor(context: OpeningContext) {
    this.#context = context
    this.#files = new TopicFiles(context.fileSystem, context.data.path)
  }

  async run(): Promise<OpenedLog> {
    const { data, fileSystem, clock, options, declared } = this.#context
    const found = await this.#files.list()
    const loaded = await TopicStore.load(fileSystem, path.join(data.path, METADATA_FILE))
    const isFresh = loaded.problem === MISSING_STORE && found.topics.size === 0
    const store = loaded.store ?? rebuiltStore(fileSystem, data.path, isFresh)
    const metadataRebuilt = isFresh ? undefined : loaded.problem
    const foreign = await this.#foreignTopics(store, found.topics)
    this.#tellMissing(store, found.topics)
    const { changed, recreated } = this.#judge(store, foreign)
    if (options.readOnly) {
      store.assume(foreign)
    } else {
      await data.removeMarker()
      await this.#save(store, changed, metadataRebuilt !== undefined)
      await this.#removeDirectories(store, found)
      await this.#makeDirectories(store, found.topics, foreign)
    }
    const live = store.list().filter((topic) => topic.state === 'live')
    const core = new LogCore({
      data,
      fileSystem,
      clock,
      options,
      declared,
      store,
      files: this.#files,
    })
    try {
      const report = await core.start(live)
      if (!options.readOnly) await this.#finishDeletions(core, store, recreated)
      const partitions = core.topics.partitions().map(({ report }) => report)
      const recovery: RecoveryReport = {
        clean: data.isClean || isFresh,
        scannedBytes: partitions.reduce((sum, each) => sum + each.scannedBytes, 0),
        partitions: partitions.filter(isTelling),
        resetOffsets: report.resetOffsets,
        damagedCheckpoints: [...data.damaged],
        metadataRebuilt,
        finished: this.#finished,
        inMemory: [...this.#inMemory, ...report.inMemory],
        transactions: report.transactions,
      }
      debug('opened %s: %o', data.path, {
        clean: recovery.clean,
        scannedBytes: recovery.scannedBytes,
      })
      return { core, recovery, alterations: this.#alterations }
    } catch (error) {
      await core.abandon()
      throw error
    }
  }

  /** Topics that are stored and whose creation did not come to all of its directories, which are made below. */
  #tellMissing(store: TopicStore, found: ReadonlyMap<string, number[]>): void {
    if (this.#context.options.readOnly) return
    for (const { name, state, partitions } of store.list()) {
      const there = new Set(found.get(name)?.filter((partition) => partition < partitions))
      if (state === 'live' && there.size < partitions) this.#finished.push(name)
    }
  }

  /** Topics of directories that `brokerless.json` does not name, and named ones with more partitions than it says. */
  async #foreignTopics(
    store: TopicStore,
    found: ReadonlyMap<string, number[]>,
  ): Promise<StoredTopic[]> {
    const foreign: StoredTopic[] = []
    for (const [name, numbers] of found) {
      const stored = store.get(name)
      const partitions = Math.max(...numbers) + 1
      if (stored === undefined) {
        const topicId = await this.#files.topicIdOf(name, numbers[0] ?? 0)
        foreign.push(takenIn(name, topicId ?? newTopicId(), partitions))
      } else if (stored.state === 'live' && stored.partitions < partitions) {
        foreign.push({ ...stored, partitions })
      }
    }
    return foreign
  }

  /** What is to be stored after the declarations; throws where one does not fit. A reader beside a writer stores nothing. */
  #judge(store: TopicStore, foreign: readonly StoredTopic[]): Judgement {
    const { declared, options } = this.#context
    const changed = new Map(foreign.map((topic) => [topic.name, topic]))
    const recreated: ResolvedDeclaration[] = []
    for (const [name, declaration] of declared) {
      const stored = changed.get(name) ?? store.get(name)
      const outcome = reconcile(stored?.state === 'live' ? stored : undefined, declaration)
      if (options.readOnly || outcome.kind === 'unchanged') continue
      if (outcome.kind === 'create') {
        if (stored === undefined) changed.set(name, newTopic(declaration, newTopicId()))
        else recreated.push(declaration)
      } else {
        changed.set(name, outcome.topic)
        const { partitions, config = {} } = outcome
        this.#alterations.push({ topic: name, partitions, config })
      }
    }
    const internal = INTERNAL_DECLARATIONS.map((declaration) => {
      const stored = changed.get(declaration.name) ?? store.get(declaration.name)
      return compactedInternal(declaration, stored, options)
    })
    return { changed: [...changed.values(), ...internal.flat()], recreated }
  }

  async #save(
    store: TopicStore,
    changed: readonly StoredTopic[],
    isRebuilt: boolean,
  ): Promise<void> {
    try {
      if (changed.length > 0) await store.put(...changed)
      else if (isRebuilt) await store.save()
    } catch (error) {
      const { declared } = this.#context
      const isNew = changed.some(({ name }) => store.get(name) === undefined && declared.has(name))
      if (!isDiskFull(error instanceof LogError ? error.cause : error) || isNew) throw error
      // What is there is served; the file follows with the next change.
      store.assume(changed)
      this.#inMemory.push(METADATA_FILE)
    }
  }

  /** Of topics whose deletion a kill interrupted. */
  async #removeDirectories(
    store: TopicStore,
    found: { readonly topics: ReadonlyMap<string, number[]>; readonly deleting: readonly string[] },
  ): Promise<void> {
    const renamed = [...found.deleting]
    for (const { name, state } of store.list()) {
      if (state !== 'deleting') continue
      renamed.push(...(await this.#files.markDeleting(name, found.topics.get(name) ?? [])))
    }
    for (const name of renamed) {
      await this.#files.unlink(name)
      this.#finished.push(name)
    }
  }

  /**
   * The rest of those deletions, when the committed offsets can be written. Where there is no room for it, the next open does it.
   * Then the topics that are declared anew under their names are made.
   */
  async #finishDeletions(
    core: LogCore,
    store: TopicStore,
    recreated: readonly ResolvedDeclaration[],
  ): Promise<void> {
    const awaited = new Set(recreated.map(({ name }) => name))
    for (const topic of store.list().filter(({ state }) => state === 'deleting')) {
      try {
        await core.topics.finishDeletion(topic)
        this.#finished.push(topic.name)
      } catch (error) {
        const isFull = isDiskFull(error instanceof LogError ? error.cause : error)
        if (!isFull || awaited.has(topic.name)) throw error
        this.#inMemory.push(METADATA_FILE)
      }
    }
    for (const declaration of recreated) await core.topics.create(declaration)
  }

  /** Directories that a creation did not come to make, and the `partition.metadata` of those that were taken in. */
  async #makeDirectories(
    store: TopicStore,
    found: ReadonlyMap<string, number[]>,
    foreign: readonly StoredTopic[],
  ): Promise<void> {
    const adopted = new Set(foreign.map((topic) => topic.name))
    for (const topic of store.list()) {
      if (topic.state === 'deleting') continue
      const there = new Set(adopted.has(topic.name) ? [] : found.get(topic.name))
      const all = Array.from({ length: topic.partitions }, (_, index) => index)
      const missing = all.filter((partition) => !there.has(partition))
      if (missing.length === 0) continue
      await this.#files.make(topic.name, missing, topic.topicId)
    }
  }
}

/** The topics that a broker keeps for itself, as this log makes them. */
const INTERNAL_DECLARATIONS: readonly ResolvedDeclaration[] = [
  OFFSETS_DECLARATION,
  TRANSACTIONS_DECLARATION,
]

/** What an earlier version has made otherwise is kept small by compaction as well; nobody has to be told. */
function compactedInternal(
  declaration: ResolvedDeclaration,
  stored: StoredTopic | undefined,
  { readOnly }: ResolvedLogOptions,
): StoredTopic[] {
  if (stored === undefined || readOnly) return []
  const outcome = reconcile(stored, { ...declaration, partitions: undefined })
  return outcome.kind === 'altered' ? [outcome.topic] : []
}

/** What a broker keeps in topics of its own is known, whoever made the directory. */
function takenIn(name: string, topicId: string, partitions: number): StoredTopic {
  const declaration = INTERNAL_DECLARATIONS.find((each) => each.name === name)
  if (declaration === undefined) return foreignTopic(name, topicId, partitions)
  return { ...newTopic(declaration, topicId), partitions }
}

/** Which producer ids have been given is to be found out, where there was anything. */
function rebuiltStore(fileSystem: FileSystem, directory: string, isFresh: boolean): TopicStore {
  const file = path.join(directory, METADATA_FILE)
  return isFresh
    ? new TopicStore(fileSystem, file)
    : new TopicStore(fileSystem, file, { nextProducerId: 0, topics: [] })
}

interface Judgement {
  /** To be stored, in place of what is stored under the name. */
  readonly changed: readonly StoredTopic[]
  /** Declared anew under the name of a topic whose deletion has to be finished first. */
  readonly recreated: readonly ResolvedDeclaration[]
}

function isTelling(report: RecoveryReport['partitions'][number]): boolean {
  const { scannedBytes, cut, damage, rebuilt, finished, inMemory } = report
  const lists = [cut, damage, rebuilt, finished, inMemory]
  return scannedBytes > 0 || lists.some((list) => list.length > 0)
}
