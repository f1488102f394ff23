/**
 * The topics of a log: what is stored of them, their directories and their open partitions kept in step.
 *
 * Create and add partitions: (1) `brokerless.json`, the commit point, (2) the directories, (3) the partitions are opened. Killed after 1, the next open
 * makes what is missing. Delete: (1) the topic is marked `deleting`, the commit point, (2) the partitions are closed, (3) their directories are renamed,
 * (4) unlinked, (5) groups lose their offsets in it, durably, and it leaves the checkpoints, (6) the entry goes. Killed after 1, the next open does the rest. A directory
 * that the file does not name is foreign and is taken in, so none of ours may outlive its entry.
 */
import { LogError } from '../errors.ts'
import type { LogConfig } from '../options.ts'
import { isCompacted, resolveTopicConfig, TOPIC_CONFIG_DEFAULTS } from '../options.ts'
import type { StorageEnvironment } from '../storage/environment.ts'
import { partitionDirectoryName } from '../storage/file-names.ts'
import { PartitionLog } from '../storage/partition-log.ts'
import { isInternalTopic } from '../topics/internal-topics.ts'
import type { Serializer } from '../topics/serializers.ts'
import { builtInSerializer, bytes } from '../topics/serializers.ts'
import type { StoredTopic } from '../topics/stored-topic.ts'
import type { TopicCodec } from '../topics/topic.ts'
import { Topic } from '../topics/topic.ts'
import type { ResolvedDeclaration } from '../topics/topic-definition.ts'
import { newTopicId } from '../topics/topic-id.ts'
import type { TopicStore } from '../topics/topic-store.ts'
import type { TopicConfig } from '../types.ts'
import { isDiskFull } from '../util/error-code.ts'
import { Mutex } from '../util/mutex.ts'
import { nextTurn, turnIsLong } from '../util/turn.ts'
import type { TopicFiles } from './topic-files.ts'

/** Partitions that are opened at once. */
const OPEN_AT_ONCE = 16

/** What the last owner left, for partitions that are opened. */
export interface OpenState {
  readonly isClean: boolean
  readonly recoveryPoints: ReadonlyMap<string, number>
  readonly logStarts: ReadonlyMap<string, number>
}

/** For partitions that are made while the log is open: there is nothing to recover. */
const NEW_PARTITIONS: OpenState = {
  isClean: false,
  recoveryPoints: new Map(),
  logStarts: new Map(),
}

export interface RegistryOptions {
  readonly environment: StorageEnvironment
  readonly files: TopicFiles
  readonly store: TopicStore
  readonly defaults: LogConfig
  /** Keys and values are handed out, and taken, as bytes. */
  readonly raw: boolean
  /** By topic: serializers, schemas and partitioners are functions, and cannot be stored. */
  readonly declared: ReadonlyMap<string, ResolvedDeclaration>
  /** Takes a deleted topic out of the committed offsets, and its partitions, by `<topic>-<partition>`, out of the checkpoints. */
  readonly forget: (topic: string, names: ReadonlySet<string>) => Promise<void>
}

export class TopicRegistry {
  readonly #environment: StorageEnvironment
  readonly #files: TopicFiles
  /** Of topics that say nothing of it. */
  readonly defaults: LogConfig
  /** Topics are bytes, whatever is stored of them. */
  readonly isRaw: boolean
  readonly #declared: Map<string, ResolvedDeclaration>
  readonly #topics = new Map<string, Topic>()
  readonly #changes = new Mutex()
  readonly #deletingPartitions = new Set<string>()
  readonly #forget: RegistryOptions['forget']
  #store: TopicStore
  /** Told when topics have come or gone, or have got more partitions. It must not throw. */
  onTopics: (() => void) | undefined

  constructor(options: RegistryOptions) {
    this.#environment = options.environment
    this.#files = options.files
    this.#store = options.store
    this.defaults = options.defaults
    this.isRaw = options.raw
    this.#declared = new Map(options.declared)
    this.#forget = options.forget
  }

  get store(): TopicStore {
    return this.#store
  }

  /** For a reader beside a writer: the file was written again. */
  set store(store: TopicStore) {
    this.#store = store
  }

  /** Throws LogError UNKNOWN_TOPIC where there is none. */
  get(name: string): Topic {
    const topic = this.#topics.get(name)
    if (topic === undefined) throw new LogError('UNKNOWN_TOPIC', `there is no topic ${name}`)
    return topic
  }

  find(name: string): Topic | undefined {
    return this.#topics.get(name)
  }

  list(): Topic[] {
    return [...this.#topics.values()]
  }

  partitions(): PartitionLog[] {
    return this.list().flatMap((topic) => topic.partitions)
  }

  /** False once the deletion of its topic has begun, also where there is another topic of that name. */
  isThere(log: PartitionLog): boolean {
    return this.#topics.get(log.topic)?.partitions[log.partition] === log
  }

  /** Opens stored topics, as many partitions side by side as the disk likes. */
  async open(topics: readonly StoredTopic[], state: OpenState): Promise<void> {
    const wanted = topics.flatMap((topic) =>
      Array.from({ length: topic.partitions }, (_, partition) => ({ topic, partition })),
    )
    const opened = new Map<string, PartitionLog[]>()
    for (const topic of topics) opened.set(topic.name, [])
    let next = 0
    const worker = async (): Promise<void> => {
      for (let at = next++; at < wanted.length; at = next++) {
        const { topic, partition } = wanted[at] as (typeof wanted)[number]
        if (turnIsLong()) await nextTurn()
        const log = await this.#openPartition(topic, partition, state)
        ;(opened.get(topic.name) as PartitionLog[])[partition] = log
      }
    }
    const workers = await Promise.allSettled(Array.from({ length: OPEN_AT_ONCE }, worker))
    const failed = workers.find((each) => each.status === 'rejected')
    if (failed !== undefined) {
      const partitions = [...opened.values()].flat().filter((each) => each !== undefined)
      await Promise.allSettled(partitions.map((partition) => partition.close()))
      throw failed.reason
    }
    for (const topic of topics) this.#add(topic, opened.get(topic.name) ?? [])
  }

  /** Creates a topic; one that is there and the same is fine. Calls are carried out one after another. */
  create(declared: ResolvedDeclaration): Promise<void> {
    return this.#changes.run(async () => {
      const { topic, created } = await this.#store.create(declared, newTopicId())
      const open = this.#topics.get(topic.name)
      const merged = withFunctionsOf(this.#declared.get(topic.name), declared)
      this.#declared.set(topic.name, merged)
      // A topic that is stored but not open: its directories could not be made the last time.
      if (created || open === undefined) await this.#openNew(topic, 0)
      else open.codec = this.codecOf(topic, merged)
    })
  }

  addPartitions(name: string, partitions: number): Promise<void> {
    return this.#changes.run(async () => {
      const topic = this.get(name)
      const before = topic.partitions.length
      const stored = await this.#store.addPartitions(name, partitions)
      if (stored.partitions > before) await this.#openNew(stored, before)
    })
  }

  alter(name: string, changes: Partial<TopicConfig>): Promise<void> {
    return this.#changes.run(async () => {
      const topic = this.get(name)
      const stored = await this.#store.alterConfig(name, changes)
      topic.configure(this.#configOf(stored))
    })
  }

  /** Deletes a topic, or does the rest of a deletion that the disk refused to finish. */
  delete(name: string): Promise<void> {
    return this.#changes.run(async () => {
      const stored = this.#store.get(name)
      if (stored?.state !== 'deleting') await this.#beginDeletion(this.get(name))
      try {
        await this.#removeFiles(name, stored?.partitions ?? 0)
        await this.#removeEntry(name, stored?.partitions ?? 0)
      } catch (error) {
        throw metadataError(name, error)
      }
    })
  }

  async #beginDeletion(topic: Topic): Promise<void> {
    await this.#store.markDeleting(topic.name)
    this.#topics.delete(topic.name)
    this.#declared.delete(topic.name)
    topic.leave('deleted')
    this.onTopics?.()
    for (const partition of topic.partitions) this.#deletingPartitions.add(partition.name)
    await Promise.allSettled(topic.partitions.map((partition) => partition.close()))
  }

  async #removeFiles(name: string, partitions: number): Promise<void> {
    const there: number[] = []
    for (let partition = 0; partition < partitions; partition += 1) {
      if (await this.#files.has(name, partition)) there.push(partition)
    }
    await this.#files.markDeleting(name, there)
    // One deletion runs at a time: what an earlier call renamed and could not unlink goes as well.
    const { deleting } = await this.#files.list()
    for (const directory of deleting) await this.#files.unlink(directory)
  }

  /** Does the rest of a deletion whose directories are gone. */
  finishDeletion({ name, partitions }: StoredTopic): Promise<void> {
    return this.#changes.run(() => this.#removeEntry(name, partitions))
  }

  /** Last, so that a topic of the same name inherits nothing. */
  async #removeEntry(name: string, partitions: number): Promise<void> {
    const numbers = Array.from({ length: partitions }, (_, number) => number)
    await this.#forget(name, new Set(numbers.map((number) => partitionDirectoryName(name, number))))
    await this.#store.remove(name)
  }

  /** For a reader beside a writer: opens what the writer has made since, and lets go what it has deleted. */
  follow(store: TopicStore, state: OpenState): Promise<void> {
    return this.#changes.run(async () => {
      this.#store = store
      for (const stored of store.list()) {
        if (stored.state === 'live') await this.#followTopic(stored, state)
      }
      for (const topic of this.list()) {
        const stored = store.get(topic.name)
        if (stored?.state === 'live') continue
        // Not named and there all the same: foreign, and no writer has taken it in yet.
        if (stored === undefined && (await this.#files.has(topic.name, 0))) continue
        await this.#letGo(topic)
      }
    })
  }

  async #followTopic(stored: StoredTopic, state: OpenState): Promise<void> {
    let topic = this.#topics.get(stored.name)
    if (topic !== undefined && topic.topicId !== stored.topicId) {
      // Deleted and made anew since.
      await this.#letGo(topic)
      topic = undefined
    }
    if (topic === undefined) await this.open([stored], state)
    else if (topic.partitions.length < stored.partitions) {
      topic.add(await this.#openRange(stored, topic.partitions.length, state))
    }
  }

  async #letGo(topic: Topic): Promise<void> {
    this.#topics.delete(topic.name)
    topic.leave('deleted')
    await Promise.allSettled(topic.partitions.map((partition) => partition.close()))
  }

  /** Waits for changes under way; readers are told that the log is closed. The partitions are the caller's to close. */
  async close(): Promise<void> {
    await this.#changes.idle()
    for (const topic of this.list()) topic.leave('closed')
  }

  /** True for a partition of a topic that was deleted, until it is made anew: its failures are of no interest any more. */
  isDeleting(name: string): boolean {
    return this.#deletingPartitions.has(name)
  }

  async #openNew(topic: StoredTopic, from: number): Promise<void> {
    const numbers = Array.from({ length: topic.partitions - from }, (_, index) => from + index)
    try {
      await this.#files.make(topic.name, numbers, topic.topicId)
    } catch (error) {
      throw metadataError(topic.name, error)
    }
    const partitions = await this.#openRange(topic, from, NEW_PARTITIONS)
    const open = this.#topics.get(topic.name)
    if (open === undefined) this.#add(topic, partitions)
    else open.add(partitions)
    this.onTopics?.()
  }

  async #openRange(topic: StoredTopic, from: number, state: OpenState): Promise<PartitionLog[]> {
    const partitions: PartitionLog[] = []
    for (let partition = from; partition < topic.partitions; partition += 1) {
      partitions.push(await this.#openPartition(topic, partition, state))
    }
    return partitions
  }

  #openPartition(topic: StoredTopic, partition: number, state: OpenState): Promise<PartitionLog> {
    const name = `${topic.name}-${partition}`
    this.#deletingPartitions.delete(name)
    return PartitionLog.open({
      environment: this.#environment,
      topic: topic.name,
      partition,
      directory: this.#files.pathOf(topic.name, partition),
      config: this.#configOf(topic),
      isClean: state.isClean,
      recoveryPoint: state.recoveryPoints.get(name) ?? 0,
      logStartOffset: state.logStarts.get(name) ?? 0,
    })
  }

  /** How records of a topic become bytes, by what is stored and what its declaration gives. */
  codecOf(stored: StoredTopic, declared: ResolvedDeclaration | undefined): TopicCodec {
    if (!this.isRaw) return codecOf(stored, declared)
    return { ...codecOf(stored, undefined), key: 'bytes', serializer: bytes }
  }

  /** What the log says of compression and waiting is for its callers' records. */
  #configOf({ name, config }: StoredTopic): TopicConfig {
    const { compression, compressionLevel, lingerMs } = TOPIC_CONFIG_DEFAULTS
    const own = isInternalTopic(name) ? { compression, compressionLevel, lingerMs } : undefined
    return resolveTopicConfig(config, { ...this.defaults, ...own })
  }

  #add(stored: StoredTopic, partitions: readonly PartitionLog[]): void {
    const config = this.#configOf(stored)
    const codec = this.codecOf(stored, this.#declared.get(stored.name))
    this.#topics.set(stored.name, new Topic(codec, stored.topicId, config, partitions, Math.random))
  }
}

/** A second creator may bring the schema and the partitioner that the first one had not; one who brings none takes none away. */
function withFunctionsOf(
  before: ResolvedDeclaration | undefined,
  declared: ResolvedDeclaration,
): ResolvedDeclaration {
  const { schema = before?.schema, partitioner = before?.partitioner } = declared
  return { ...declared, schema, partitioner }
}

/** A stored name without its functions: values are handed out, and taken, as bytes. */
function codecOf(stored: StoredTopic, declared: ResolvedDeclaration | undefined): TopicCodec {
  const serializer: Serializer =
    declared?.serializer ??
    (stored.serializer === undefined ? undefined : builtInSerializer(stored.serializer)) ??
    bytes
  // What a declaration says of a foreign topic's keys is stored, save by who only reads.
  const isForeign = stored.serializer === undefined
  return {
    name: stored.name,
    key: (isForeign ? declared?.key : undefined) ?? stored.key,
    requiresKey: isCompacted({ ...TOPIC_CONFIG_DEFAULTS, ...stored.config }),
    serializer,
    schema: declared?.schema,
    partitioner: declared?.partitioner,
  }
}

/** What a change of the topics is told as where the disk refused it. */
export function metadataError(what: string, cause: unknown): LogError {
  if (cause instanceof LogError) return cause
  if (isDiskFull(cause)) {
    return new LogError('DISK_FULL', `${what}: there is no room on the disk`, {
      cause,
      retryable: true,
    })
  }
  return new LogError('STORAGE_FAILED', `${what}: a write or sync failed`, { cause })
}
