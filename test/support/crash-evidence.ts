// What a run of a log was told, and what must be found of it after a crash.
import assert from 'node:assert/strict'
import type { CompressionType, Log, OffsetCommit } from '../../src/index.ts'

/** What survives: `disk` a power cut, `os` a killed process. */
export type Level = 'disk' | 'os'

export interface Found {
  readonly offset: number
  readonly value: string | null
}

/** The value of one record: tells its call, its place in the call's batch, and what else it must hold. */
export function valueFor(call: number, index: number, count: number): string {
  const head = `${call}.${index}.${count}.`
  return head + head.repeat(1 + ((call * 31 + index * 7) % 40))
}

const COMPRESSIONS = ['none', 'gzip', 'zstd', 'none', 'snappy', 'lz4'] as const

/** How a call's records are compressed: every way has its turn. */
export function compressionFor(call: number): CompressionType {
  return COMPRESSIONS[call % COMPRESSIONS.length] ?? 'none'
}

interface Place {
  readonly call: number
  readonly index: number
  readonly count: number
}

/** Undefined for what `valueFor` has not made. */
function placeOf(value: string | null): Place | undefined {
  const [, call, index, count] = /^(\d+)\.(\d+)\.(\d+)\./.exec(value ?? '') ?? []
  const place = { call: Number(call), index: Number(index), count: Number(count) }
  return valueFor(place.call, place.index, place.count) === value ? place : undefined
}

interface PartitionEvidence {
  /** Calls to their number of records; undefined: whoever sent them cannot tell. */
  readonly sent: Map<number, number> | undefined
  /** By offset: acknowledged at `disk`, or seen by a reader of a `disk` topic. */
  readonly disk: Map<number, string | null>
  /** By offset: acknowledged at any level, or seen by any reader. */
  readonly os: Map<number, string | null>
  /** The log start lies between. */
  startAtLeast: number
  startAtMost: number
}

/** `changing`: there or not, as a creation or a deletion was not answered. */
type Existence = 'there' | 'changing' | 'gone'

interface TopicEvidence {
  readonly durability: Level
  readonly isSentKnown: boolean
  existence: Existence
  partitionsAtLeast: number
  partitionsAtMost: number
  readonly partitions: Map<number, PartitionEvidence>
}

interface CommitEvidence {
  readonly offset: number
  /** What its acknowledgement promised; undefined where there was none. */
  level: Level | undefined
}

interface CommitPlace {
  readonly group: string
  readonly topic: string
  readonly partition: number
  /** In the order in which they were made. */
  commits: CommitEvidence[]
}

interface State {
  readonly topics: Map<string, TopicEvidence>
  readonly commits: Map<string, CommitPlace>
  readonly groups: Set<string>
  /** Partitions of which recovery has told damage, which readers skip: of records that nobody was told of. */
  readonly damaged: Set<string>
  calls: number
  /** Undefined: it may be either. */
  mustBeClean: boolean | undefined
}

export class CrashEvidence {
  readonly #state: State

  constructor(state?: State) {
    this.#state = state ?? {
      topics: new Map(),
      commits: new Map(),
      groups: new Set(),
      damaged: new Set(),
      calls: 0,
      mustBeClean: undefined,
    }
  }

  /** Partitions of which a recovery has told damage, as `<topic>-<partition>`. */
  get damaged(): ReadonlySet<string> {
    return this.#state.damaged
  }

  clone(): CrashEvidence {
    return new CrashEvidence(structuredClone(this.#state))
  }

  // ------------------------------------------------------------------------------------ topics

  creating(name: string, partitions: number, durability: Level, isSentKnown = true): void {
    this.#state.topics.set(name, {
      durability,
      isSentKnown,
      existence: 'changing',
      partitionsAtLeast: partitions,
      partitionsAtMost: partitions,
      partitions: new Map(),
    })
  }

  created(name: string): void {
    this.#topic(name).existence = 'there'
  }

  addingPartitions(name: string, partitions: number): void {
    this.#topic(name).partitionsAtMost = partitions
  }

  addedPartitions(name: string, partitions: number): void {
    this.#topic(name).partitionsAtLeast = partitions
  }

  deleting(name: string): void {
    this.#topic(name).existence = 'changing'
    for (const place of this.#state.commits.values()) {
      if (place.topic === name) place.commits = place.commits.map(withoutPromise)
    }
  }

  deleted(name: string): void {
    this.#topic(name).existence = 'gone'
    for (const [id, place] of this.#state.commits) {
      if (place.topic === name) this.#state.commits.delete(id)
    }
  }

  // ----------------------------------------------------------------------------------- records

  /** Numbers a call; what it sends is made of the number. */
  nextCall(): number {
    this.#state.calls += 1
    return this.#state.calls
  }

  sending(topic: string, partition: number, call: number, count: number): void {
    this.#partition(topic, partition).sent?.set(call, count)
  }

  acknowledged(
    topic: string,
    partition: number,
    baseOffset: number,
    values: readonly string[],
    durability: Level,
  ): void {
    for (const [index, value] of values.entries()) {
      this.#note(topic, partition, { offset: baseOffset + index, value }, durability)
    }
  }

  /** What a reader in the writer's process was given. */
  seen(topic: string, partition: number, records: readonly Found[]): void {
    const { durability } = this.#topic(topic)
    for (const record of records) this.#note(topic, partition, record, durability)
  }

  #note(topic: string, partition: number, { offset, value }: Found, level: Level): void {
    const { disk, os } = this.#partition(topic, partition)
    for (const held of level === 'disk' ? [disk, os] : [os]) {
      const before = held.get(offset)
      assert.ok(
        before === undefined || before === value,
        `${topic}-${partition}: offset ${offset} was "${before}" and is given again to "${value}"`,
      )
      held.set(offset, value)
    }
  }

  /** Records below may go. */
  deletingRecords(topic: string, partition: number, before: number): void {
    const found = this.#partition(topic, partition)
    found.startAtMost = Math.max(found.startAtMost, before)
  }

  /** Records below are gone. */
  deletedRecords(topic: string, partition: number, before: number): void {
    const found = this.#partition(topic, partition)
    found.startAtLeast = Math.max(found.startAtLeast, before)
  }

  // ----------------------------------------------------------------------------------- offsets

  /** Answers with what is to be called when it is acknowledged. */
  committing(group: string, { topic, partition, offset }: OffsetCommit): (level: Level) => void {
    const id = `${group} ${topic} ${partition}`
    const place = this.#state.commits.get(id) ?? { group, topic, partition, commits: [] }
    this.#state.commits.set(id, place)
    this.#state.groups.add(group)
    const commit: CommitEvidence = { offset, level: undefined }
    place.commits.push(commit)
    return (level) => {
      commit.level = level
    }
  }

  // ---------------------------------------------------------------------------- open and close

  opening(): void {
    if (this.#state.mustBeClean) this.#state.mustBeClean = undefined
  }

  opened(): void {
    this.#state.mustBeClean = false
  }

  closing(): void {
    this.#state.mustBeClean = undefined
  }

  closed(): void {
    this.#state.mustBeClean = true
  }

  // ------------------------------------------------------------------------------------ checks

  /**
   * Holds a log that was opened again to what was promised at the level that outlives the crash (after a clean close: at
   * both). What is there now has been seen, and is promised from now on.
   */
  async check(log: Log, survives: Level): Promise<void> {
    this.#checkReport(log)
    const names = new Set(log.topics())
    for (const [name, topic] of this.#state.topics) {
      if (topic.existence === 'gone') assert.ok(!names.has(name), `${name} was deleted and is back`)
      if (topic.existence === 'there') assert.ok(names.has(name), `topic ${name} is not there`)
      topic.existence = names.has(name) ? 'there' : 'gone'
      if (names.delete(name)) await this.#checkTopic(log, name, topic, survives)
      else this.deleted(name)
    }
    assert.deepEqual([...names], [], 'topics that nobody has created')
    await this.#checkCommits(log, survives)
    this.opened()
  }

  #checkReport(log: Log): void {
    const { clean, metadataRebuilt, partitions, resetOffsets, inMemory } = log.recovery
    const { mustBeClean } = this.#state
    if (mustBeClean !== undefined) assert.equal(clean, mustBeClean, 'log.recovery.clean')
    assert.equal(metadataRebuilt, undefined, 'brokerless.json was damaged')
    assert.deepEqual(inMemory, [], 'there was room on the disk')
    for (const { topic, partition, damage, cut } of partitions) {
      const where = `${topic}-${partition}`
      if (damage.length > 0 && !clean) this.#state.damaged.add(where)
      if (clean) assert.deepEqual(cut, [], `${where} after a clean close`)
      const isKnown = damage.length === 0 || this.#state.damaged.has(where)
      assert.ok(isKnown, `${where}: damage after a clean close`)
    }
    for (const { topic } of resetOffsets) {
      const { durability } = this.#topic(topic)
      assert.equal(durability, 'os', `an offset of ${topic} lay past the end`)
    }
  }

  async #checkTopic(log: Log, name: string, topic: TopicEvidence, survives: Level): Promise<void> {
    const { partitions } = await log.describeTopic(name)
    const count = partitions.length
    const { partitionsAtLeast: least, partitionsAtMost: most } = topic
    assert.ok(count >= least && count <= most, `${name} has ${count}, not ${least} to ${most}`)
    topic.partitionsAtLeast = count
    topic.partitionsAtMost = count
    for (const { partition, writable } of partitions) {
      assert.ok(writable, `${name}-${partition} takes no writes`)
      const { earliest, records } = await readAll(log, name, partition)
      const evidence = this.#partition(name, partition)
      const where = `${name}-${partition}`
      const { [survives]: held, sent, startAtLeast, startAtMost } = evidence
      assert.ok(
        earliest >= startAtLeast,
        `${where} starts at ${earliest}: deleted records are back`,
      )
      assert.ok(earliest <= startAtMost, `${where} starts at ${earliest}, not at ${startAtMost}`)
      checkHeld(where, held, earliest, records)
      checkOrder(where, { sent, mayHaveGaps: this.#state.damaged.has(where) }, earliest, records)
      evidence.os.clear()
      this.seen(name, partition, records)
    }
  }

  async #checkCommits(log: Log, survives: Level): Promise<void> {
    for (const group of this.#state.groups) {
      const found = await log.committedOffsets(group)
      for (const { topic } of found) {
        const isThere = this.#state.topics.get(topic)?.existence === 'there'
        assert.ok(isThere, `${group} has an offset of ${topic}, which was deleted`)
      }
      for (const [id, place] of this.#state.commits) {
        if (place.group !== group) continue
        const { topic, partition } = place
        const there = found.find((each) => each.topic === topic && each.partition === partition)
        place.commits = checkCommit(id, place, there?.offset, log, survives)
      }
      for (const { topic, partition, offset } of found) {
        const isKnown = this.#state.commits.has(`${group} ${topic} ${partition}`)
        assert.ok(isKnown, `${group} has offset ${offset} of ${topic}-${partition}, from nobody`)
      }
    }
  }

  #topic(name: string): TopicEvidence {
    const topic = this.#state.topics.get(name)
    if (topic === undefined) throw new Error(`nothing was noted of ${name}`)
    return topic
  }

  #partition(name: string, partition: number): PartitionEvidence {
    const topic = this.#topic(name)
    const known = topic.partitions.get(partition)
    if (known !== undefined) return known
    const made: PartitionEvidence = {
      sent: topic.isSentKnown ? new Map() : undefined,
      disk: new Map(),
      os: new Map(),
      startAtLeast: 0,
      startAtMost: 0,
    }
    topic.partitions.set(partition, made)
    return made
  }
}

/** Reads a partition from its start to the high watermark, past what is damaged. */
export async function readAll(
  log: Log,
  topic: string,
  partition: number,
): Promise<{ earliest: number; latest: number; records: Found[] }> {
  const { earliest, latest } = await log.offsets(topic, partition)
  const records: Found[] = []
  for (let offset = earliest; offset < latest; ) {
    const page = await log.fetch(topic, { partition, offset, onCorrupt: 'skip' })
    for (const { offset, value } of page.records) {
      records.push({ offset, value: typeof value === 'string' ? value : null })
    }
    assert.ok(page.nextOffset > offset, `${topic}-${partition}: fetch stands still at ${offset}`)
    offset = page.nextOffset
  }
  return { earliest, latest, records }
}

function checkHeld(
  where: string,
  held: ReadonlyMap<number, string | null>,
  earliest: number,
  records: readonly Found[],
): void {
  const found = new Map(records.map(({ offset, value }) => [offset, value]))
  for (const [offset, value] of held) {
    if (offset < earliest) continue
    assert.equal(found.get(offset), value, `${where}, offset ${offset} was acknowledged or seen`)
  }
}

interface OrderRules {
  readonly sent: ReadonlyMap<number, number> | undefined
  readonly mayHaveGaps: boolean
}

/** Batches whole or absent, in the order of their calls, at offsets without a gap that nobody told of. */
function checkOrder(
  where: string,
  { sent, mayHaveGaps }: OrderRules,
  earliest: number,
  records: readonly Found[],
): void {
  let previous: (Place & { offset: number }) | undefined
  for (const { offset, value } of records) {
    const place = placeOf(value)
    const at = `${where}, offset ${offset}, "${value}"`
    assert.ok(place, `${at}: not what was sent`)
    if (sent !== undefined) {
      assert.equal(sent.get(place.call), place.count, `${at}: not what was sent`)
    }
    const expected = previous === undefined ? earliest : previous.offset + 1
    if (!mayHaveGaps) assert.equal(offset, expected, `${at}: the offsets have a gap`)
    if (previous?.call === place.call) {
      assert.equal(place.index, previous.index + 1, `${at}: half a batch`)
    } else {
      const isCutByStart = offset === earliest
      assert.ok(place.index === 0 || isCutByStart, `${at}: a batch without its first record`)
      assert.ok(place.call > (previous?.call ?? -1), `${at}: behind call ${previous?.call}`)
      assert.ok(isWhole(previous), `${at}: the batch before it is not whole`)
    }
    previous = { ...place, offset }
  }
  assert.ok(isWhole(previous), `${where}: the last batch is not whole`)
}

function isWhole(last: Place | undefined): boolean {
  return last === undefined || last.index === last.count - 1
}

/** What may still be found of a place's commits from now on. */
function checkCommit(
  id: string,
  { group, topic, partition, commits }: CommitPlace,
  offset: number | undefined,
  log: Log,
  survives: Level,
): CommitEvidence[] {
  const isPromised = ({ level }: CommitEvidence): boolean =>
    level === 'disk' || (survives === 'os' && level === 'os')
  const lastPromised = commits.findLastIndex(isPromised)
  const possible = commits.slice(Math.max(lastPromised, 0))
  if (offset === undefined) {
    assert.equal(lastPromised, -1, `${id}: the committed offset is not there`)
    return []
  }
  const reset = log.recovery.resetOffsets.find(
    (each) => each.group === group && each.topic === topic && each.partition === partition,
  )
  if (reset !== undefined) {
    assert.ok(
      possible.some((each) => each.offset === reset.from),
      `${id}: reset from ${reset.from}`,
    )
    assert.equal(offset, reset.to, `${id}: reset to ${reset.to}`)
    return [{ offset, level: 'disk' }]
  }
  const at = possible.findLastIndex((each) => each.offset === offset)
  const wanted = possible.map((each) => each.offset)
  assert.ok(at >= 0, `${id}: ${offset} is committed, not one of ${wanted}`)
  const level = possible[at]?.level === 'disk' ? 'disk' : 'os'
  return [...possible.slice(0, at), { offset, level }]
}

function withoutPromise(commit: CommitEvidence): CommitEvidence {
  return { offset: commit.offset, level: undefined }
}
