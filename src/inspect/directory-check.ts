/**
 * A data directory, every byte of it: the data against its checksums, and everything that speaks of the data against the data. Nothing is
 * changed. Beside a live writer each file is verified up to where it reached when it was looked at; a segment that seems damaged then is
 * looked at again, as the writer may have changed it meanwhile.
 */
import path from 'node:path'
import { LogError } from '../errors.ts'
import { readFileIfThere } from '../storage/checkpoint.ts'
import { FileCache } from '../storage/file-cache.ts'
import type { PartitionName } from '../storage/file-names.ts'
import {
  LOG_START_CHECKPOINT,
  METADATA_FILE,
  RECOVERY_POINT_CHECKPOINT,
} from '../storage/file-names.ts'
import type { StoredTopic } from '../topics/stored-topic.ts'
import { parseTopicStore } from '../topics/topic-store-format.ts'
import type { FileSystem } from '../types.ts'
import { errorCode } from '../util/error-code.ts'
import { Semaphore } from '../util/semaphore.ts'
import type { Decompress } from './batch-content.ts'
import type { Checkpoints } from './checkpoint-check.ts'
import {
  checkEnds,
  checkNames,
  readCheckpoints,
  readEpochs,
  readTopicId,
} from './checkpoint-check.ts'
import { listDirectory, nameOf } from './directory-listing.ts'
import type { FoundState } from './directory-state.ts'
import { directoryState } from './directory-state.ts'
import type { Finding, Severity } from './finding.ts'
import { Findings } from './finding.ts'
import { logBytes } from './log-bytes.ts'
import { checkPartition } from './partition-check.ts'
import { partitionFilesOf } from './partition-files.ts'
import { checkTransactions } from './transaction-check.ts'
import type { FoundPart } from './transaction-survey.ts'
import type { DirectoryState, Looked, VerifiedPartition, VerifyContext } from './verify-context.ts'

export interface VerifyOptions {
  readonly fileSystem: FileSystem
  readonly directory: string
  /** Only these; undefined: all. */
  readonly topics?: readonly string[] | undefined
  readonly signal?: AbortSignal | undefined
  /** Told of each finding as it is made. */
  readonly onFinding: (finding: Finding) => void
  /** Told how many bytes of .log files there are in all, and then how many more have been looked at. */
  readonly onTotal?: (bytes: number) => void
  readonly onProgress?: (bytes: number) => void
  /** Findings of a kind in a file that are told one by one. Default 20. */
  readonly findingsPerKind?: number | undefined
  /** Of a batch above that only the CRC is checked. Default 128 MiB. */
  readonly largeBatchBytes?: number | undefined
  /** Default: the codecs that come with the log. */
  readonly decompress?: Decompress | undefined
}

export interface VerifyReport {
  readonly state: DirectoryState
  readonly looked: Readonly<Looked>
  readonly findings: Readonly<Record<Severity, number>>
}

/** @throws LogError UNKNOWN_TOPIC for a topic that is neither in the directory nor in its metadata. */
export async function verifyDirectory(options: VerifyOptions): Promise<VerifyReport> {
  return await new DirectoryCheck(options).run()
}

interface Store {
  readonly topics: ReadonlyMap<string, StoredTopic>
  readonly damage: string | undefined
}

class DirectoryCheck {
  readonly #options: VerifyOptions
  readonly #findings: Findings
  readonly #files: FileCache
  readonly #looked: Looked = {
    partitions: 0,
    segments: 0,
    batches: 0,
    records: 0,
    logBytes: 0,
    otherBytes: 0,
  }
  readonly #topicIds = new Map<string, { readonly id: string; readonly saidBy: string }>()
  readonly #open: FoundPart[] = []
  #state: DirectoryState = 'closed'

  constructor(options: VerifyOptions) {
    this.#options = options
    this.#findings = new Findings(options.onFinding, options.findingsPerKind)
    this.#files = new FileCache(options.fileSystem, new Semaphore(1), 8)
  }

  async run(): Promise<VerifyReport> {
    const { fileSystem, directory, topics } = this.#options
    const store = await this.#readStore()
    const { partitions, remarks } = await listDirectory(fileSystem, directory)
    const chosen = this.#chosen(partitions, store.topics)
    this.#tellState(await directoryState(fileSystem, directory))
    const context = this.#context(this.#findings)
    if (store.damage !== undefined) {
      const message = `${store.damage}; the next open builds it again from the directories`
      this.#findings.add('store-damaged', METADATA_FILE, message)
    }
    const checkpoints = await readCheckpoints(context)
    for (const { kind, name, message, severity } of remarks) {
      this.#findings.add(kind, name, message, severity === undefined ? {} : { severity })
    }
    if (topics === undefined) checkNames(context, checkpoints, new Set(partitions.map(nameOf)))
    await this.#checkStore(store.topics, partitions)
    this.#findings.settle()
    this.#options.onTotal?.(await logBytes(fileSystem, directory, chosen))
    for (const partition of chosen) await this.#partition(partition, checkpoints)
    await checkTransactions(context, partitions, chosen, this.#open)
    return { state: this.#state, looked: this.#looked, findings: this.#findings.totals }
  }

  #tellState({ state, holder, isCertain }: FoundState): void {
    this.#state = state
    if (state === 'crashed') {
      const message = 'its last writer did not close it; the next open recovers it'
      this.#findings.add('not-closed', '.', message)
    } else if (state === 'live') {
      const who = holder === undefined ? 'a writer' : `process ${holder.pid} on ${holder.host}`
      const has = isCertain ? 'has it open' : 'may have it open, which cannot be told from here'
      const upTo = 'each file is verified up to where it reached when it was looked at'
      this.#findings.add('live', '.', `${who} ${has}; ${upTo}`)
    }
  }

  #context(findings: Findings): VerifyContext {
    const { fileSystem, directory, signal, onProgress, largeBatchBytes, decompress } = this.#options
    return {
      fileSystem,
      files: this.#files,
      directory,
      state: this.#state,
      findings,
      looked: this.#looked,
      signal,
      largeBatchBytes,
      decompress,
      progress: onProgress ?? (() => {}),
    }
  }

  // ------------------------------------------------------------------------------------- topics

  /** `brokerless.json`, which a broker's directory does not have. */
  async #readStore(): Promise<Store> {
    const { fileSystem, directory } = this.#options
    const bytes = await readFileIfThere(fileSystem, path.join(directory, METADATA_FILE))
    if (bytes === undefined) return { topics: new Map(), damage: undefined }
    this.#looked.otherBytes += bytes.length
    const content = parseTopicStore(bytes)
    if ('damage' in content) return { topics: new Map(), damage: content.damage }
    for (const { name, topicId } of content.topics) {
      this.#topicIds.set(name, { id: topicId, saidBy: METADATA_FILE })
    }
    const topics = new Map(content.topics.map((topic) => [topic.name, topic]))
    return { topics, damage: undefined }
  }

  async #checkStore(
    topics: ReadonlyMap<string, StoredTopic>,
    partitions: readonly PartitionName[],
  ): Promise<void> {
    const there = new Set(partitions.map(nameOf))
    for (const topic of topics.values()) {
      if (topic.state === 'live') await this.#checkPartitionsOf(topic, there)
      else {
        const message = `topic ${topic.name} is being deleted; the next open finishes that`
        this.#findings.add('half-done', METADATA_FILE, message)
      }
    }
    if (topics.size === 0) return
    for (const partition of partitions) {
      const stored = topics.get(partition.topic)
      if (stored !== undefined && partition.partition < stored.partitions) continue
      const message = `${METADATA_FILE} does not name it; the next open takes it in`
      this.#findings.add('topic-unknown', nameOf(partition), message)
    }
  }

  async #checkPartitionsOf(
    { name: topic, partitions }: StoredTopic,
    there: ReadonlySet<string>,
  ): Promise<void> {
    for (let partition = 0; partition < partitions; partition += 1) {
      const directory = nameOf({ topic, partition })
      if (there.has(directory) || (await this.#isChanging(topic, directory))) continue
      // A creation writes the file first, and a kill behind it leaves the directory to the next open.
      const severity = this.#state === 'closed' ? 'damage' : 'warning'
      const message = `${METADATA_FILE} names it, and it is not there`
      this.#findings.add('partition-missing', directory, message, { severity })
    }
  }

  /** A live writer has made it by now, or deleted its topic. */
  async #isChanging(topic: string, directory: string): Promise<boolean> {
    if (this.#state !== 'live') return false
    const { fileSystem, directory: data } = this.#options
    if ((await fileSystem.stat(path.join(data, directory))) !== undefined) return true
    const { topics } = await this.#readStore()
    return topics.get(topic)?.state !== 'live'
  }

  #chosen(
    partitions: readonly PartitionName[],
    topics: ReadonlyMap<string, StoredTopic>,
  ): readonly PartitionName[] {
    const { topics: wanted } = this.#options
    if (wanted === undefined) return partitions
    for (const topic of wanted) {
      if (topics.has(topic) || partitions.some((each) => each.topic === topic)) continue
      throw new LogError('UNKNOWN_TOPIC', `there is no topic ${topic}`)
    }
    return partitions.filter(({ topic }) => wanted.includes(topic))
  }

  // --------------------------------------------------------------------------------- partitions

  async #partition({ topic, partition }: PartitionName, checkpoints: Checkpoints): Promise<void> {
    const context = this.#context(this.#findings)
    const name = nameOf({ topic, partition })
    try {
      this.#checkTopicId(context, topic, name, await readTopicId(context, name))
      const verified: VerifiedPartition = {
        topic,
        partition,
        name,
        recoveryPoint: checkpoints[RECOVERY_POINT_CHECKPOINT]?.get(name) ?? 0,
        logStartOffset: checkpoints[LOG_START_CHECKPOINT]?.get(name) ?? 0,
        epochs: await readEpochs(context, name),
      }
      const inside = path.join(context.directory, name)
      const files = partitionFilesOf(await context.fileSystem.readdir(inside))
      for (const remark of files.remarks) {
        context.findings.add(remark.kind, path.join(name, remark.name), remark.message)
      }
      const end = await checkPartition(context, verified, files)
      if (end.isWhole) checkEnds(context, checkpoints, verified, end)
      this.#open.push(...end.open.map((entry) => ({ topic, partition, entry })))
    } catch (error) {
      if (context.state !== 'live' || errorCode(error) !== 'ENOENT') throw error
      this.#findings.add('changed', name, 'it went while it was looked at')
    }
    context.findings.settle()
  }

  #checkTopicId(context: VerifyContext, topic: string, name: string, id: string | undefined): void {
    if (id === undefined) return
    const known = this.#topicIds.get(topic)
    if (known === undefined) this.#topicIds.set(topic, { id, saidBy: name })
    else if (known.id !== id) {
      const file = path.join(name, 'partition.metadata')
      const message = `its topic id is ${id}, that of ${known.saidBy} is ${known.id}`
      context.findings.add('topic-id', file, message)
    }
  }
}
