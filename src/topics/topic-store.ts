import { LogError } from '../errors.ts'
import { checkTopicConfig, givenConfig } from '../options.ts'
import { readFileIfThere, replaceFile } from '../storage/checkpoint.ts'
import type { FileSystem, TopicConfig } from '../types.ts'
import { isDiskFull } from '../util/error-code.ts'
import { Mutex } from '../util/mutex.ts'
import type { StoredTopic } from './stored-topic.ts'
import { collidingTopic, newTopic, requireSameTopic } from './stored-topic.ts'
import type { ResolvedDeclaration } from './topic-definition.ts'
import { resolvePartitions } from './topic-definition.ts'
import type { TopicStoreContent } from './topic-store-format.ts'
import { FIRST_PRODUCER_ID, formatTopicStore, parseTopicStore } from './topic-store-format.ts'

/** The store, or why it has to be built again from the directories. */
export type LoadedTopicStore =
  | { readonly store: TopicStore; readonly problem: undefined }
  | { readonly store: undefined; readonly problem: string }

/** The problem of a store whose file is not there: a new directory, or one that a broker wrote. */
export const MISSING_STORE = 'brokerless.json is missing'

/**
 * Topics and the next producer id, as `brokerless.json` has them. Partition directories are the caller's.
 *
 * Each change writes the file first, which is its commit point, and only then shows in memory; changes come one after
 * another. Killed before the rename that ends `replaceFile`, nothing has changed; after it, everything has. A write that
 * fails leaves memory as it was, and the file too: where only the sync of the directory failed, the former content is put
 * back. Every change throws LogError DISK_FULL (retryable) or STORAGE_FAILED when it cannot be written.
 */
export class TopicStore {
  readonly #fileSystem: FileSystem
  readonly #path: string
  readonly #mutex = new Mutex()
  #topics: ReadonlyMap<string, StoredTopic>
  #nextProducerId: number
  /** Why the file can hold a change that was refused; no other is taken then. */
  #failure: unknown

  /** A store with this content in memory; `save` writes it. */
  constructor(
    fileSystem: FileSystem,
    path: string,
    content: TopicStoreContent = { nextProducerId: FIRST_PRODUCER_ID, topics: [] },
  ) {
    this.#fileSystem = fileSystem
    this.#path = path
    this.#topics = byName(content.topics)
    this.#nextProducerId = content.nextProducerId
  }

  /**
   * Reads the file. Missing or damaged, it gives the problem instead.
   * @throws LogError UNSUPPORTED_VERSION for a file of a newer version; the file system's error where it cannot be read.
   */
  static async load(fileSystem: FileSystem, path: string): Promise<LoadedTopicStore> {
    const bytes = await readFileIfThere(fileSystem, path)
    if (bytes === undefined) return { store: undefined, problem: MISSING_STORE }
    const content = parseTopicStore(bytes)
    return 'damage' in content
      ? { store: undefined, problem: `brokerless.json is damaged: ${content.damage}` }
      : { store: new TopicStore(fileSystem, path, content), problem: undefined }
  }

  /** Topics that are being deleted included. */
  get(name: string): StoredTopic | undefined {
    return this.#topics.get(name)
  }

  /** All topics in the order of their creation, those that are being deleted included. */
  list(): StoredTopic[] {
    return [...this.#topics.values()]
  }

  /** Below `FIRST_PRODUCER_ID`: the file was lost, and which ones have been given is to be found out. */
  get nextProducerId(): number {
    return this.#nextProducerId
  }

  /** Writes the content as it stands. @throws LogError as every change does. */
  save(): Promise<void> {
    return this.#mutex.run(() => this.#apply({}))
  }

  /**
   * Creates a topic, or answers with the one that is there already and is the same.
   * @throws LogError TOPIC_EXISTS naming what differs, or the topic whose name Kafka takes for the same, or (retryable) that it is being deleted.
   */
  async create(
    declared: ResolvedDeclaration,
    topicId: string,
  ): Promise<{ readonly topic: StoredTopic; readonly created: boolean }> {
    return await this.#mutex.run(async () => {
      const existing = this.#topics.get(declared.name)
      if (existing !== undefined) {
        refuseDeleting(existing)
        requireSameTopic(existing, declared)
        return { topic: existing, created: false }
      }
      refuseCollision(declared.name, this.#topics.keys())
      const topic = newTopic(declared, topicId)
      await this.#apply({ topics: [topic] })
      return { topic, created: true }
    })
  }

  /** Holds topics in memory that there was no room to write; they are written with the next change. */
  assume(topics: readonly StoredTopic[]): void {
    this.#topics = new Map([...this.#topics, ...byName(topics)])
  }

  /** Adds topics or replaces those of the same names, all in one write. */
  async put(...topics: readonly StoredTopic[]): Promise<void> {
    if (topics.length > 0) await this.#mutex.run(() => this.#apply({ topics }))
  }

  /** Raises the number of partitions to `partitions`; nothing happens where there are as many. @throws LogError UNKNOWN_TOPIC; RangeError for fewer. */
  async addPartitions(name: string, partitions: number): Promise<StoredTopic> {
    return this.#alter(name, (topic) => {
      resolvePartitions(`topic ${name}`, partitions)
      if (partitions === topic.partitions) return topic
      if (partitions > topic.partitions) return { ...topic, partitions }
      throw new RangeError(
        `topic ${name}: partitions is ${partitions}; it must be at least ${topic.partitions}, as many as there are`,
      )
    })
  }

  /** Sets what is given of the configuration; the rest stays. @throws LogError UNKNOWN_TOPIC; TypeError or RangeError for a bad value. */
  async alterConfig(name: string, changes: Partial<TopicConfig>): Promise<StoredTopic> {
    checkTopicConfig(changes, `topic ${name}`)
    const given = givenConfig(changes)
    return this.#alter(name, (topic) => {
      const config = { ...topic.config, ...given }
      checkTopicConfig(config, `topic ${name}`)
      return { ...topic, config }
    })
  }

  /** The commit point of a deletion: from here on it is finished, at the latest by the next open. @throws LogError UNKNOWN_TOPIC. */
  async markDeleting(name: string): Promise<void> {
    await this.#alter(name, (topic) => ({ ...topic, state: 'deleting' }))
  }

  /** The last step of a deletion; nothing happens where the topic is not there. */
  remove(name: string): Promise<void> {
    return this.#mutex.run(async () => {
      if (this.#topics.has(name)) await this.#apply({ removed: name })
    })
  }

  /** Takes `count` producer ids, none below `atLeast`, and answers with the first. They are never given again. */
  async takeProducerIds(count: number, atLeast: number = FIRST_PRODUCER_ID): Promise<number> {
    return await this.#mutex.run(async () => {
      const first = Math.max(this.#nextProducerId, atLeast, FIRST_PRODUCER_ID)
      await this.#apply({ nextProducerId: first + count })
      return first
    })
  }

  /** Nothing is written where `alter` answers with the topic it was given. */
  async #alter(name: string, alter: (topic: StoredTopic) => StoredTopic): Promise<StoredTopic> {
    return await this.#mutex.run(async () => {
      const topic = this.#topics.get(name)
      if (topic === undefined || topic.state === 'deleting') throw unknownTopic(name)
      const altered = alter(topic)
      if (altered !== topic) await this.#apply({ topics: [altered] })
      return altered
    })
  }

  /** Called with the mutex held: writes, then shows what was written. */
  async #apply(change: Change): Promise<void> {
    const topics = new Map(this.#topics)
    for (const topic of change.topics ?? []) topics.set(topic.name, topic)
    if (change.removed !== undefined) topics.delete(change.removed)
    const nextProducerId = change.nextProducerId ?? this.#nextProducerId
    await this.#write({ nextProducerId, topics: [...topics.values()] })
    this.#topics = topics
    this.#nextProducerId = nextProducerId
  }

  async #write(content: TopicStoreContent): Promise<void> {
    if (this.#failure !== undefined) throw notWritten('STORAGE_FAILED', this.#failure)
    const bytes = formatTopicStore(content)
    try {
      await replaceFile(this.#fileSystem, this.#path, bytes)
    } catch (cause) {
      await this.#restore(bytes)
      throw notWritten(isDiskFull(cause) ? 'DISK_FULL' : 'STORAGE_FAILED', cause)
    }
  }

  /**
   * Puts the former content back where the refused one got as far as having the name. Left there, a refused deletion would be
   * finished by the next open, with all that was acknowledged since. Where that fails as well, no change is taken any more.
   */
  async #restore(refused: Buffer): Promise<void> {
    try {
      const found = await readFileIfThere(this.#fileSystem, this.#path)
      if (found === undefined || !found.equals(refused)) return
      const former = { nextProducerId: this.#nextProducerId, topics: this.list() }
      await replaceFile(this.#fileSystem, this.#path, formatTopicStore(former))
    } catch (cause) {
      this.#failure = cause
      throw notWritten('STORAGE_FAILED', cause)
    }
  }
}

interface Change {
  readonly topics?: readonly StoredTopic[]
  readonly removed?: string
  readonly nextProducerId?: number
}

function byName(topics: readonly StoredTopic[]): Map<string, StoredTopic> {
  return new Map(topics.map((topic) => [topic.name, topic]))
}

function notWritten(code: 'DISK_FULL' | 'STORAGE_FAILED', cause: unknown): LogError {
  const message = 'brokerless.json could not be written'
  return new LogError(code, message, { cause, retryable: code === 'DISK_FULL' })
}

function unknownTopic(name: string): LogError {
  return new LogError('UNKNOWN_TOPIC', `there is no topic ${name}`)
}

function refuseDeleting({ name, state }: StoredTopic): void {
  if (state === 'live') return
  throw new LogError('TOPIC_EXISTS', `topic ${name} is being deleted`, { retryable: true })
}

function refuseCollision(name: string, existing: Iterable<string>): void {
  const other = collidingTopic(name, existing)
  if (other === undefined) return
  throw new LogError(
    'TOPIC_EXISTS',
    `topic ${name} cannot be told from ${other}: Kafka takes '.' and '_' for the same`,
  )
}
