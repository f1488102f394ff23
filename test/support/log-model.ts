// A log and a model of it in arrays, on which the same is done.
import assert from 'node:assert/strict'
import type {
  AnyTopics,
  Durability,
  FetchResult,
  LogRecord,
  ProduceRecord,
} from '../../src/index.ts'
import { Log, OffsetConflictError, OffsetOutOfRangeError } from '../../src/index.ts'
import { verifyDirectory } from '../../src/inspect/directory-check.ts'
import type { Finding } from '../../src/inspect/finding.ts'
import type { DirectoryState } from '../../src/inspect/verify-context.ts'
import { ManualClock, MemoryFileSystem } from '../../src/testing/index.ts'
import { loseLockHolder } from './lock-holder.ts'

export const TOPICS = ['orders', 'clicks'] as const
export const GROUPS = ['billing', 'shipping'] as const
export const PARTITIONS_AT_MOST = 4

type TopicName = (typeof TOPICS)[number]
type GroupName = (typeof GROUPS)[number]

export interface SentRecord {
  readonly key: string | null
  readonly value: string | null
  readonly timestamp?: number
  readonly header?: string
}

interface Place {
  readonly topic: TopicName
  readonly partition: number
}

interface Batch extends Place {
  readonly records: readonly SentRecord[]
  readonly durability: Durability | undefined
}

export type Action =
  | (Batch & { readonly do: 'produce' })
  | (Batch & { readonly do: 'produceTogether' })
  | {
      readonly do: 'produceKeyed'
      readonly topic: TopicName
      readonly record: SentRecord
      readonly durability: Durability | undefined
    }
  | {
      readonly do: 'produceAcross'
      readonly topic: TopicName
      readonly records: readonly SentRecord[]
    }
  /** `error`: how far the expected offset is from the right one. */
  | (Place & {
      readonly do: 'produceExpecting'
      readonly record: SentRecord
      readonly error: number
    })
  | (Place & {
      readonly do: 'fetch'
      readonly at: number
      readonly maxBytes: number
      readonly maxRecords: number
    })
  | (Place & { readonly do: 'fetchOutside'; readonly by: number })
  | {
      readonly do: 'read'
      readonly topic: TopicName
      readonly partition: number | null
      readonly maxBytes: number
    }
  | (Place & { readonly do: 'offsetForTimestamp'; readonly timestamp: number })
  | { readonly do: 'describe' | 'addPartition' | 'deleteTopic'; readonly topic: TopicName }
  | (Place & {
      readonly do: 'commit'
      readonly group: GroupName
      readonly at: number
      readonly durability: Durability | undefined
    })
  | { readonly do: 'lag'; readonly group: GroupName }
  | (Place & { readonly do: 'deleteRecords'; readonly at: number })
  | { readonly do: 'retainBytes'; readonly topic: TopicName; readonly retentionBytes: number }
  | { readonly do: 'retainMs'; readonly topic: TopicName; readonly retentionMs: number }
  | { readonly do: 'segmentBytes'; readonly topic: TopicName; readonly segmentBytes: number }
  | { readonly do: 'flush' }
  | { readonly do: 'advance'; readonly ms: number }
  | { readonly do: 'reopen'; readonly after: 'close' | 'kill' }

type Doing<D extends Action['do']> = Extract<Action, { do: D }>

interface ModelRecord {
  readonly key: string | null
  readonly value: string | null
  readonly timestamp: number
  readonly header: string | undefined
}

/** Its records by offset, those below the log start included. */
interface ModelPartition {
  readonly records: ModelRecord[]
  start: number
  /** The high watermark is at least this; the rest waits for a sync. */
  visible: number
}

interface ModelTopic {
  readonly durability: Durability
  readonly appendTime: boolean
  readonly partitions: ModelPartition[]
  /** Where a key goes. */
  readonly keys: Map<string, number>
}

/** Holds the largest batch of `Action`, and little more. */
export const SEGMENT_BYTES = 3072

const DIRECTORY = '/log'
const SMALL = {
  value: 'string',
  partitions: 2,
  segmentBytes: SEGMENT_BYTES,
  indexIntervalBytes: 100,
} as const
const DECLARED = {
  orders: { ...SMALL, durability: 'disk' },
  clicks: { ...SMALL, durability: 'os', timestampType: 'LogAppendTime' },
} as const

export class ModelledLog {
  readonly #clock = new ManualClock(1000)
  readonly #topics = new Map<TopicName, ModelTopic>()
  /** By group, then `topic-partition`. */
  readonly #commits = new Map<GroupName, Map<string, number>>()
  #fileSystem = new MemoryFileSystem({ clock: this.#clock })
  #opened: Log | undefined

  static async open(): Promise<ModelledLog> {
    const made = new ModelledLog()
    for (const name of TOPICS) made.#create(name)
    await made.#open()
    return made
  }

  get #log(): Log {
    assert.ok(this.#opened)
    return this.#opened
  }

  async take(action: Action): Promise<void> {
    if (action.do.startsWith('produce')) await this.#produceBy(action)
    else if (action.do === 'reopen') await this.#reopen(action.after)
    else if (action.do === 'flush') await this.#flush()
    else if (action.do === 'advance') await this.#advance(action.ms)
    else if (!(await this.#look(action))) await this.#change(action)
  }

  async checkAll(): Promise<void> {
    for (const [topic, { partitions }] of this.#topics) {
      await this.#describe(topic)
      for (const partition of partitions.keys()) {
        await this.#read({ do: 'read', topic, partition, maxBytes: 1 << 20 })
      }
      await this.#read({ do: 'read', topic, partition: null, maxBytes: 1 << 20 })
    }
    for (const group of GROUPS) await this.#checkCommits(group)
  }

  // ---------------------------------------------------------------------------- open and close

  async #open(): Promise<void> {
    // Fewer partitions than there are would be an error.
    const topics = TOPICS.map((name) => {
      const partitions = this.#topic(name).partitions.length
      return [name, { ...DECLARED[name], partitions }] as const
    })
    const options = { fileSystem: this.#fileSystem, clock: this.#clock }
    this.#opened = await Log.open<AnyTopics>(DIRECTORY, {
      ...options,
      topics: Object.fromEntries(topics),
    })
  }

  async #reopen(after: 'close' | 'kill'): Promise<void> {
    await this.#verify('live')
    if (after === 'close') await this.#log.close()
    else {
      this.#fileSystem = this.#fileSystem.clone()
      await loseLockHolder(this.#fileSystem, DIRECTORY)
    }
    await this.#verify(after === 'close' ? 'closed' : 'crashed')
    await this.#open()
    const { clean, partitions, resetOffsets } = this.#log.recovery
    assert.equal(clean, after === 'close')
    if (clean) assert.deepEqual(partitions, [])
    assert.deepEqual(resetOffsets, [])
    this.#allVisible()
    await this.checkAll()
  }

  /** Whatever was done, the files bear each other out. */
  async #verify(expected: DirectoryState): Promise<void> {
    const findings: Finding[] = []
    const { state } = await verifyDirectory({
      fileSystem: this.#fileSystem,
      directory: DIRECTORY,
      onFinding: (finding) => findings.push(finding),
    })
    assert.equal(state, expected)
    assert.deepEqual(
      findings.filter(({ severity }) => severity !== 'information'),
      [],
    )
  }

  async #flush(): Promise<void> {
    await this.#log.flush()
    this.#allVisible()
  }

  async #advance(ms: number): Promise<void> {
    await this.#clock.advance(ms)
    if (ms >= 1000) this.#allVisible()
  }

  #allVisible(): void {
    for (const { partitions } of this.#topics.values()) {
      for (const each of partitions) each.visible = each.records.length
    }
  }

  // ----------------------------------------------------------------------------------- produce

  #produceBy(action: Action): Promise<void> {
    if (action.do === 'produce') return this.#produce(action)
    if (action.do === 'produceTogether') return this.#produceTogether(action)
    if (action.do === 'produceKeyed') return this.#produceKeyed(action)
    if (action.do === 'produceAcross') return this.#produceAcross(action)
    assert.equal(action.do, 'produceExpecting')
    return this.#produceExpecting(action as Doing<'produceExpecting'>)
  }

  async #produce({ topic, partition: at, records, durability }: Doing<'produce'>): Promise<void> {
    const [partition, model] = this.#partition(topic, at)
    const level = durability ?? DECLARED[topic].durability
    const baseOffset = model.records.length
    const added = this.#add(topic, partition, records, level)
    const options = { partition, durability: level }
    const told = await this.#log.produce(topic, records.map(toProduce), options)
    const timestamp = Math.max(...added.map((each) => each.timestamp))
    const lastOffset = baseOffset + records.length - 1
    assert.deepEqual(told, [{ partition, baseOffset, lastOffset, timestamp, durability: level }])
  }

  async #produceTogether(action: Doing<'produceTogether'>): Promise<void> {
    const { topic, partition: at, records, durability } = action
    const [partition, model] = this.#partition(topic, at)
    const level = durability ?? DECLARED[topic].durability
    const offsets = records.map((_, index) => model.records.length + index)
    this.#add(topic, partition, records, level)
    const calls = records.map((record) =>
      this.#log.produce(topic, { ...toProduce(record), partition }, { durability: level }),
    )
    const told = (await Promise.all(calls)).map(({ offset }) => offset)
    assert.deepEqual(told, offsets)
  }

  async #produceKeyed({ topic, record, durability }: Doing<'produceKeyed'>): Promise<void> {
    const model = this.#topic(topic)
    const options = durability === undefined ? {} : { durability }
    const told = await this.#log.produce(topic, toProduce(record), options)
    const { key } = record
    if (key !== null) assert.equal(told.partition, model.keys.get(key) ?? told.partition)
    if (key !== null) model.keys.set(key, told.partition)
    assert.equal(told.offset, model.partitions[told.partition]?.records.length)
    const [added] = this.#add(topic, told.partition, [record], told.durability)
    assert.equal(told.timestamp, added?.timestamp)
  }

  /** One call to all partitions, the records in turn. */
  async #produceAcross({ topic, records }: Doing<'produceAcross'>): Promise<void> {
    const { partitions, durability } = this.#topic(topic)
    const sent = records.map((record, index) => ({ record, partition: index % partitions.length }))
    const before = partitions.map((each) => each.records.length)
    const told = await this.#log.produce(
      topic,
      sent.map(({ record, partition }) => ({ ...toProduce(record), partition })),
    )
    for (const { record, partition } of sent) this.#add(topic, partition, [record], durability)
    const expected = partitions.flatMap((each, partition) => {
      const { length } = each.records
      const baseOffset = before[partition] ?? 0
      return length === baseOffset ? [] : [{ partition, baseOffset, lastOffset: length - 1 }]
    })
    assert.deepEqual(
      told.map(({ partition, baseOffset, lastOffset }) => ({ partition, baseOffset, lastOffset })),
      expected,
    )
  }

  async #produceExpecting(action: Doing<'produceExpecting'>): Promise<void> {
    const { topic, record, error } = action
    const [partition, model] = this.#partition(topic, action.partition)
    const actual = model.records.length
    const expectedOffset = Math.max(0, actual + error)
    const call = this.#log.produce(topic, toProduce(record), { partition, expectedOffset })
    if (expectedOffset === actual) {
      assert.equal((await call).offset, actual)
      this.#add(topic, partition, [record], this.#topic(topic).durability)
      return
    }
    await assert.rejects(call, (thrown) => {
      assert.ok(thrown instanceof OffsetConflictError)
      assert.deepEqual([thrown.expected, thrown.actual], [expectedOffset, actual])
      return true
    })
  }

  #add(
    name: TopicName,
    partition: number,
    records: readonly SentRecord[],
    level: Durability,
  ): ModelRecord[] {
    const { appendTime, durability, partitions } = this.#topic(name)
    const model = partitions[partition]
    assert.ok(model)
    const now = this.#clock.now()
    const added = records.map(({ key, value, timestamp = now, header }) => ({
      key,
      value,
      timestamp: appendTime ? now : timestamp,
      header,
    }))
    model.records.push(...added)
    if (level === 'disk' || durability === 'os') model.visible = model.records.length
    return added
  }

  // ------------------------------------------------------------------------------------- looks

  async #look(action: Action): Promise<boolean> {
    if (action.do === 'fetch') await this.#fetch(action)
    else if (action.do === 'fetchOutside') await this.#fetchOutside(action)
    else if (action.do === 'read') await this.#read(action)
    else if (action.do === 'offsetForTimestamp') await this.#findByTime(action)
    else if (action.do === 'describe') await this.#describe(action.topic)
    else if (action.do === 'lag') await this.#lag(action.group)
    else return false
    return true
  }

  async #fetch({
    topic,
    partition: index,
    at,
    maxBytes,
    maxRecords,
  }: Doing<'fetch'>): Promise<void> {
    const [partition, model] = this.#partition(topic, index)
    const { start } = model
    const offset = start + Math.floor(at * (model.visible - start))
    const options = { partition, offset, maxBytes, maxRecords }
    const result = await this.#log.fetch(topic, options)
    const { records, nextOffset, logStartOffset, logEndOffset, highWatermark } = result
    this.#checkRange(model, result)
    assert.equal(logStartOffset, start)
    assert.equal(logEndOffset, model.records.length)
    assert.ok(nextOffset > offset || offset === highWatermark)
    assert.ok(records.length <= maxRecords)
    checkRecords(records, model, offset, nextOffset)
    const bytes = records.reduce((sum, { value }) => sum + String(value ?? '').length, 0)
    // One batch is handed out whole.
    assert.ok(bytes <= Math.max(maxBytes, SEGMENT_BYTES), `${bytes} bytes, not ${maxBytes}`)
  }

  #checkRange(model: ModelPartition, { highWatermark, logEndOffset }: FetchResult): void {
    assert.ok(highWatermark >= model.visible, `${highWatermark} is below ${model.visible}`)
    assert.ok(highWatermark <= logEndOffset)
    model.visible = highWatermark
  }

  async #fetchOutside({ topic, partition: index, by }: Doing<'fetchOutside'>): Promise<void> {
    const [partition, { start, records }] = this.#partition(topic, index)
    for (const offset of [start - by, records.length + by]) {
      if (offset < 0) continue
      const fetched = this.#log.fetch(topic, { partition, offset })
      await assert.rejects(fetched, (error) => {
        assert.ok(error instanceof OffsetOutOfRangeError)
        assert.deepEqual([error.requested, error.start], [offset, start])
        return true
      })
    }
  }

  async #read({ topic, partition: at, maxBytes }: Doing<'read'>): Promise<void> {
    const { partitions } = this.#topic(topic)
    const only = at === null ? undefined : this.#partition(topic, at)[0]
    const found = partitions.map((): LogRecord<string, unknown>[] => [])
    const options = only === undefined ? {} : { partition: only }
    for await (const record of this.#log.read(topic, { ...options, until: 'end', maxBytes })) {
      found[record.partition]?.push(record)
    }
    for (const [number, model] of partitions.entries()) {
      if (only !== undefined && number !== only) continue
      const records = found[number] ?? []
      const end = model.start + records.length
      assert.ok(end >= model.visible, `${topic}-${number} was read to ${end}, not ${model.visible}`)
      checkRecords(records, model, model.start, end)
    }
  }

  async #findByTime(action: Doing<'offsetForTimestamp'>): Promise<void> {
    const { topic, timestamp } = action
    const [partition, { start, visible, records }] = this.#partition(topic, action.partition)
    const found = await this.#log.offsetForTimestamp(topic, { partition, timestamp })
    const offset = records.findIndex((each, at) => at >= start && each.timestamp >= timestamp)
    if (offset >= 0 && offset < visible) assert.equal(found, offset)
    else assert.ok(found === undefined || found >= visible, `found ${found}`)
  }

  async #describe(topic: TopicName): Promise<void> {
    const models = this.#topic(topic).partitions
    const { partitions, config } = await this.#log.describeTopic(topic)
    const { earliest } = await this.#log.offsets(topic, 0)
    assert.equal(earliest, models[0]?.start)
    assert.deepEqual(
      partitions.map(({ logStartOffset, logEndOffset }) => [logStartOffset, logEndOffset]),
      models.map(({ start, records }) => [start, records.length]),
    )
    for (const [number, { sizeBytes, segments, writable }] of partitions.entries()) {
      assert.ok(writable)
      assert.ok(sizeBytes === 0 || segments >= 1, `${topic}-${number}`)
    }
    assert.equal(config.durability, DECLARED[topic].durability)
  }

  async #lag(group: GroupName): Promise<void> {
    const commits = this.#commits.get(group)
    if (commits === undefined || commits.size === 0) return
    const { partitions } = await this.#log.lag(group)
    assert.equal(partitions.length, commits.size)
    for (const { topic, partition, committedOffset, lagRecords, endOffset } of partitions) {
      const { start } = this.#topic(topic as TopicName).partitions[partition] ?? { start: -1 }
      const expected: number = commits.get(`${topic}-${partition}`) ?? -1
      assert.equal(committedOffset, expected)
      assert.equal(lagRecords, Math.max(0, endOffset - Math.max(expected, start)))
    }
  }

  async #checkCommits(group: GroupName): Promise<void> {
    const found = await this.#log.committedOffsets(group)
    const offsets = found.map((each) => [`${each.topic}-${each.partition}`, each.offset] as const)
    assert.deepEqual(new Map(offsets), this.#commits.get(group) ?? new Map())
  }

  // ----------------------------------------------------------------------------------- changes

  async #change(action: Action): Promise<void> {
    if (action.do === 'commit') await this.#commit(action)
    else if (action.do === 'deleteRecords') await this.#deleteRecords(action)
    else if (action.do === 'retainBytes') await this.#retainBytes(action)
    else if (action.do === 'retainMs') await this.#retainMs(action)
    else if (action.do === 'addPartition') await this.#addPartition(action.topic)
    else if (action.do === 'deleteTopic') await this.#deleteTopic(action.topic)
    else if (action.do === 'segmentBytes') {
      await this.#log.alterTopic(action.topic, { segmentBytes: action.segmentBytes })
    } else assert.fail(`nobody does ${action.do}`)
  }

  async #commit({
    group,
    topic,
    partition: index,
    at,
    durability,
  }: Doing<'commit'>): Promise<void> {
    const [partition, { start, visible }] = this.#partition(topic, index)
    const offset = start + Math.floor(at * (visible - start))
    const options = durability === undefined ? {} : { durability }
    await this.#log.commitOffset(group, { topic, partition, offset }, options)
    const commits = this.#commits.get(group) ?? new Map<string, number>()
    this.#commits.set(group, commits.set(`${topic}-${partition}`, offset))
    await this.#checkCommits(group)
  }

  async #deleteRecords({ topic, partition: index, at }: Doing<'deleteRecords'>): Promise<void> {
    const [partition, model] = this.#partition(topic, index)
    const before = Math.round(at * model.visible)
    const { logStartOffset } = await this.#log.deleteRecords(topic, { partition, before })
    model.start = Math.max(model.start, before)
    assert.equal(logStartOffset, model.start)
  }

  async #retainBytes({ topic, retentionBytes }: Doing<'retainBytes'>): Promise<void> {
    const sizes = await this.#sizes(topic)
    await this.#applyRetention(topic, { retentionBytes })
    for (const [number, sizeBytes] of (await this.#sizes(topic)).entries()) {
      assert.ok(sizeBytes >= Math.min(retentionBytes, sizes[number] ?? 0), `${sizeBytes} are left`)
    }
    await this.#log.alterTopic(topic, { retentionBytes: -1 })
  }

  async #retainMs({ topic, retentionMs }: Doing<'retainMs'>): Promise<void> {
    const starts = this.#topic(topic).partitions.map(({ start }) => start)
    await this.#applyRetention(topic, { retentionMs })
    const oldest = this.#clock.now() - retentionMs
    for (const [number, { start, records }] of this.#topic(topic).partitions.entries()) {
      const gone = records.slice(starts[number], start)
      const young = gone.filter(({ timestamp }) => timestamp >= oldest)
      assert.deepEqual(young, [], `${topic}-${number}: records that retention keeps are gone`)
    }
    await this.#log.alterTopic(topic, { retentionMs: -1 })
  }

  /** Which segments there are is the log's affair: the start that comes of it is taken over. */
  async #applyRetention(
    topic: TopicName,
    config: { retentionBytes?: number; retentionMs?: number },
  ): Promise<void> {
    await this.#log.alterTopic(topic, config)
    await this.#log.applyRetention()
    for (const [number, model] of this.#topic(topic).partitions.entries()) {
      const { earliest, latest } = await this.#log.offsets(topic, number)
      assert.ok(earliest >= model.start && earliest <= latest)
      model.start = earliest
      model.visible = Math.max(model.visible, latest)
    }
  }

  async #sizes(topic: TopicName): Promise<number[]> {
    const { partitions } = await this.#log.describeTopic(topic)
    return partitions.map(({ sizeBytes }) => sizeBytes)
  }

  async #addPartition(name: TopicName): Promise<void> {
    const { partitions, keys } = this.#topic(name)
    if (partitions.length === PARTITIONS_AT_MOST) return
    await this.#log.addPartitions(name, partitions.length + 1)
    partitions.push({ records: [], start: 0, visible: 0 })
    keys.clear()
  }

  /** It is made again at once: nothing of the old one is there. */
  async #deleteTopic(name: TopicName): Promise<void> {
    await this.#log.deleteTopic(name)
    assert.ok(!this.#log.topics().includes(name))
    await this.#log.createTopic(name, DECLARED[name])
    this.#create(name)
    for (const commits of this.#commits.values()) {
      for (const place of commits.keys()) if (place.startsWith(`${name}-`)) commits.delete(place)
    }
  }

  #create(name: TopicName): void {
    const { partitions, durability } = DECLARED[name]
    this.#topics.set(name, {
      durability,
      appendTime: name === 'clicks',
      partitions: Array.from({ length: partitions }, () => ({ records: [], start: 0, visible: 0 })),
      keys: new Map(),
    })
  }

  #topic(name: TopicName): ModelTopic {
    const topic = this.#topics.get(name)
    assert.ok(topic)
    return topic
  }

  #partition(name: TopicName, index: number): [number, ModelPartition] {
    const { partitions } = this.#topic(name)
    const number = index % partitions.length
    const partition = partitions[number]
    assert.ok(partition)
    return [number, partition]
  }
}

function toProduce({ key, value, timestamp, header }: SentRecord): ProduceRecord<string, string> {
  return {
    key,
    value,
    ...(timestamp === undefined ? {} : { timestamp }),
    ...(header === undefined ? {} : { headers: { header } }),
  }
}

function checkRecords(
  records: readonly LogRecord<string, unknown>[],
  model: ModelPartition,
  from: number,
  to: number,
): void {
  const found = records.map(({ offset, key, value, timestamp, headers }) => {
    const header = headers['header']?.toString()
    return { offset, key, value, timestamp, header }
  })
  const expected = model.records.slice(from, to)
  assert.deepEqual(
    found,
    expected.map((record, index) => ({ offset: from + index, ...record })),
  )
}
