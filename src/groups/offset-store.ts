/** Committed offsets of all groups: in memory, and in `__consumer_offsets` as Kafka keeps them. */
import type { RecordSet } from '../codec/record-set.ts'
import { DecodeError, LogError } from '../errors.ts'
import type { Clock, Durability, ResetOffset, TopicPartition } from '../types.ts'
import { compare, comparePartitions } from '../util/compare.ts'
import { isDiskFull } from '../util/error-code.ts'
import { MalformedBytesError } from './byte-reader.ts'
import { checkCommit, checkGroup } from './commit-checks.ts'
import { decodeFinished, encodeFinished } from './consumer/run/finished-ranges.ts'
import type { KnownGroup } from './group-description.ts'
import { describeGroup } from './group-description.ts'
import type { GroupMetadata } from './group-metadata-format.ts'
import {
  decodeGeneration,
  decodeGroupMetadata,
  encodeGroupMetadata,
} from './group-metadata-format.ts'
import type { Expiry } from './offset-expiry.ts'
import {
  encodeGroupKey,
  encodeOffsetKey,
  encodeOffsetValue,
  offsetsPartitionFor,
} from './offset-format.ts'
import type { GroupSlots, Slot, StoredRecord } from './offset-state.ts'
import { partitionId } from './offset-state.ts'
import type { OffsetsPartition } from './offsets-partition.ts'
import { recordSetOf, StoredOffsets } from './stored-offsets.ts'
import type { CommitAcknowledgement, CommittedOffset, GroupOffset, OffsetCommit } from './types.ts'

export const OFFSETS_TOPIC = '__consumer_offsets'

/** Commits that a transaction appends to one partition of `__consumer_offsets`, in one batch. */
export interface HeldOffsets {
  readonly partition: number
  readonly set: RecordSet
  /** To be called once, in the turn of the decision. `baseOffset`: where the first of them stands; of an aborted one any. */
  decided(outcome: 'commit' | 'abort', baseOffset: number): void
}

export interface OffsetStoreOptions {
  /** All partitions of `__consumer_offsets`, in order; a group's is chosen by its hash. At least one. */
  readonly partitions: readonly OffsetsPartition[]
  readonly clock: Clock
}

/** What `clampTo` did. */
export interface ClampResult {
  readonly resetOffsets: readonly ResetOffset[]
  /** Directories of the partitions that had no room for it: there it holds in memory until it can be written. */
  readonly inMemory: readonly string[]
}

export class OffsetStore {
  readonly #clock: Clock
  readonly #partitions: readonly StoredOffsets[]

  private constructor(options: OffsetStoreOptions) {
    const { partitions, clock } = options
    this.#clock = clock
    this.#partitions = partitions.map((log) => new StoredOffsets(log))
  }

  /** Reads all partitions, each in one pass. */
  static async load(options: OffsetStoreOptions): Promise<OffsetStore> {
    const store = new OffsetStore(options)
    for (const partition of store.#partitions) await partition.load()
    return store
  }

  /** Records that could not be read. They are kept and not served. */
  countMalformed(): number {
    return this.#partitions.reduce((count, { state }) => count + state.countMalformed(), 0)
  }

  /**
   * Commits for one or many partitions, all or none. Served once the append has succeeded; of concurrent commits
   * for one partition the last call wins.
   * `durability` undefined: the level of `__consumer_offsets`. An empty list changes nothing.
   */
  async commit(
    group: string,
    commits: readonly OffsetCommit[],
    durability?: Durability,
  ): Promise<CommitAcknowledgement> {
    checkGroup(group)
    for (const commit of commits) checkCommit(commit)
    if (commits.length === 0) return { durability: durability ?? 'disk' }
    const commitTimestamp = this.#clock.now()
    const records = commits.map((commit) => recordOf(group, commit, commitTimestamp))
    return { durability: await this.#of(group).commit(records, durability) }
  }

  /**
   * Commits in a transaction: `section` is given what is to be appended, as batches of the transaction's producer, once `refuse` has thrown nothing,
   * in the same turn. Until `HeldOffsets.decided` is called what was committed before is served. Of one key the greatest offset wins, as
   * always: that of the record, not of the marker.
   */
  async inTransaction<R>(
    commits: ReadonlyMap<string, readonly OffsetCommit[]>,
    refuse: () => void,
    section: (held: readonly HeldOffsets[]) => Promise<R>,
  ): Promise<R> {
    const byPartition = new Map<number, StoredRecord[]>()
    const commitTimestamp = this.#clock.now()
    for (const [group, list] of commits) {
      const number = offsetsPartitionFor(group, this.#partitions.length)
      const records = list.map((commit) => recordOf(group, commit, commitTimestamp))
      byPartition.set(number, [...(byPartition.get(number) ?? []), ...records])
    }
    // All take them in the same order, or two would wait for each other.
    const numbers = [...byPartition.keys()].sort((a, b) => a - b)
    const enter = (index: number): Promise<R> => {
      const number = numbers[index]
      const partition = number === undefined ? undefined : this.#partitions[number]
      if (partition !== undefined) return partition.inTransaction(() => enter(index + 1))
      refuse()
      return section([...byPartition].map(([partition, list]) => this.#hold(partition, list)))
    }
    return await enter(0)
  }

  #hold(partition: number, records: readonly StoredRecord[]): HeldOffsets {
    const { state } = this.#partitions[partition] as StoredOffsets
    const held = state.hold(records)
    return {
      partition,
      set: recordSetOf(records),
      decided: (outcome, baseOffset) => state.decide(held, outcome, baseOffset),
    }
  }

  /** Resolves when no transaction of this process is about to commit for the partition; undefined where none is. */
  decided(group: string, partition: TopicPartition): Promise<void> | undefined {
    const { state } = this.#of(group)
    if (!state.isHeld(group, partition)) return undefined
    return new Promise<void>((resolve) => state.whenDecided(resolve)).then(() =>
      this.decided(group, partition),
    )
  }

  /** What was read of a producer's transaction takes effect, or does not: it was decided when the log was opened. */
  endTransaction(producerId: number, outcome: 'commit' | 'abort'): void {
    for (const { state } of this.#partitions) state.endTransaction(producerId, outcome)
  }

  /** Undefined where the group has committed nothing there, or only in a transaction not yet decided. */
  committed(group: string, topic: string, partition: number): CommittedOffset | undefined {
    return this.#slots(group)?.offsets.get(partitionId(topic, partition))?.committed
  }

  /** By topic, then partition; empty for a group that is not known. */
  offsetsOf(group: string): GroupOffset[] {
    const offsets: GroupOffset[] = []
    for (const slot of this.#slots(group)?.offsets.values() ?? []) {
      const offset = groupOffsetOf(slot)
      if (offset !== undefined) offsets.push(offset)
    }
    return offsets.sort(comparePartitions)
  }

  /** Groups with committed offsets or metadata, in order of their names. */
  groups(): string[] {
    return this.#partitions.flatMap(({ state }) => [...state.groupIds()]).sort(compare)
  }

  has(group: string): boolean {
    return this.#slots(group) !== undefined
  }

  /** `Dead` where nothing is known of it. `DecodeError` where its stored metadata cannot be read. */
  describe(group: string): KnownGroup {
    const offsets = this.has(group) ? this.offsetsOf(group) : undefined
    return describeGroup(group, this.metadataOf(group), offsets)
  }

  /** Undefined where none is stored. `DecodeError` where it cannot be read. */
  metadataOf(group: string): GroupMetadata | undefined {
    const slot = this.#slots(group)?.metadata
    return slot && this.#decodeMetadata(group, slot)
  }

  /** Also of metadata whose rest cannot be read; undefined where there is none, or not even this can be. */
  generationOf(group: string): number | undefined {
    const slot = this.#slots(group)?.metadata
    return slot && decodeGeneration(slot.value)
  }

  /** Calls for one group keep their order. */
  async storeGroup(group: string, metadata: GroupMetadata): Promise<void> {
    await this.#of(group).commit([this.#groupRecord(group, metadata)], undefined)
  }

  /** Deletes its offsets and its metadata. `UNKNOWN_GROUP` where there is none. `refuse` throws where it is not to be, when all earlier calls have ended. */
  async deleteGroup(group: string, refuse: () => void = () => {}): Promise<void> {
    await this.#change(group, (slots) => {
      refuse()
      const tombstones = [...slots.offsets.values()].flatMap((slot) => this.#tombstones(slot))
      return [...tombstones, this.#groupTombstone(group, slots)]
    })
  }

  /** Deletes offsets; those not committed are passed over. Refused as `deleteGroup`. */
  async deleteOffsets(
    group: string,
    partitions: readonly TopicPartition[],
    refuse: () => void = () => {},
  ): Promise<void> {
    await this.#change(group, (slots) => {
      refuse()
      return this.#offsetTombstones(slots, partitions)
    })
  }

  /** Does what `judge` says when all earlier calls have ended. A group that has gone by then is passed over. */
  async expire(group: string, judge: () => Expiry): Promise<void> {
    const partition = this.#of(group)
    await partition.change(() => {
      const slots = partition.state.group(group)
      if (slots === undefined) return []
      const { offsets, metadata } = judge()
      const tombstones = this.#offsetTombstones(slots, offsets)
      if (metadata === undefined) return tombstones
      if (metadata === null) return [...tombstones, this.#groupTombstone(group, slots)]
      return [...tombstones, this.#groupRecord(group, metadata)]
    }, undefined)
  }

  /** Whether a transaction that is not decided has committed for a partition, or for any; answers for the moment of the call. */
  undecidedOf(group: string): (partition?: TopicPartition) => boolean {
    const { state } = this.#of(group)
    return (partition) => state.isUndecided(group, partition)
  }

  /** Deletes the offsets of a topic in all groups. `durability` undefined: the level of `__consumer_offsets`. */
  async removeTopic(topic: string, durability?: Durability): Promise<void> {
    await Promise.all(
      this.#partitions.map((partition) =>
        partition.change(() => {
          const slots = [...partition.state.slots()]
          return slots
            .filter((slot) => topicOf(slot) === topic)
            .flatMap((slot) => this.#tombstones(slot))
        }, durability),
      ),
    )
  }

  /**
   * Sets committed offsets that lie past the end of their partition to its end, and takes what lies there out of what is finished above a
   * commit, durably: a group that kept them would skip what is written there next. Run at open after a crash, before the first append to any topic.
   * `endOf` gives a partition's log end offset; undefined: not known, its offsets stay.
   */
  async clampTo(
    endOf: (topic: string, partition: number) => number | undefined,
  ): Promise<ClampResult> {
    const resetOffsets: ResetOffset[] = []
    const inMemory: string[] = []
    for (const [number, partition] of this.#partitions.entries()) {
      const { records, resets } = this.#clamped(partition, endOf)
      if (records.length === 0) continue
      try {
        await partition.change(() => records, 'disk')
      } catch (error) {
        if (!isNoRoom(error)) throw error
        partition.owe(records)
        inMemory.push(`${OFFSETS_TOPIC}-${number}`)
      }
      resetOffsets.push(...resets)
    }
    return { resetOffsets, inMemory }
  }

  /** True while `clampTo` has left something in memory that must be written. */
  get owesRecords(): boolean {
    return this.#partitions.some((partition) => partition.owesRecords)
  }

  /** Writes what `clampTo` had no room for; rejects while there is none. */
  async settle(): Promise<void> {
    for (const partition of this.#partitions) await partition.settle()
  }

  #of(group: string): StoredOffsets {
    const number = offsetsPartitionFor(group, this.#partitions.length)
    const partition = this.#partitions[number]
    if (partition === undefined) throw new RangeError(`${OFFSETS_TOPIC} has no partition ${number}`)
    return partition
  }

  #slots(group: string): GroupSlots | undefined {
    return this.#of(group).state.group(group)
  }

  async #change(group: string, decide: (slots: GroupSlots) => StoredRecord[]): Promise<void> {
    const partition = this.#of(group)
    await partition.change(() => {
      const slots = partition.state.group(group)
      if (slots === undefined) throw new LogError('UNKNOWN_GROUP', `there is no group ${group}`)
      return decide(slots)
    }, undefined)
  }

  #groupRecord(group: string, metadata: GroupMetadata): StoredRecord {
    const value = encodeGroupMetadata(metadata)
    return { key: encodeGroupKey(group), value, timestamp: this.#clock.now() }
  }

  /**
   * Goes behind the tombstones of offsets, so that the group is still known while any of them is; and also where there is no metadata, for
   * to a broker that replays them the tombstones of offsets alone leave a group.
   */
  #groupTombstone(group: string, { metadata }: GroupSlots): StoredRecord {
    const key = metadata?.key ?? encodeGroupKey(group)
    return { key, value: null, timestamp: this.#clock.now() }
  }

  #offsetTombstones(slots: GroupSlots, partitions: readonly TopicPartition[]): StoredRecord[] {
    return partitions.flatMap(({ topic, partition }) => {
      const slot = slots.offsets.get(partitionId(topic, partition))
      return slot === undefined ? [] : this.#tombstones(slot)
    })
  }

  #tombstones({ key, otherKeys }: Slot): StoredRecord[] {
    const timestamp = this.#clock.now()
    return [key, ...otherKeys].map((each) => ({ key: each, value: null, timestamp }))
  }

  #clamped(
    { state }: StoredOffsets,
    endOf: (topic: string, partition: number) => number | undefined,
  ): { readonly records: StoredRecord[]; readonly resets: ResetOffset[] } {
    const records: StoredRecord[] = []
    const resets: ResetOffset[] = []
    for (const { decodedKey, committed } of state.slots()) {
      if (decodedKey.kind !== 'offset' || committed === undefined) continue
      const { group, topic, partition } = decodedKey
      const { offset: from } = committed
      const end = endOf(topic, partition) ?? Number.POSITIVE_INFINITY
      const to = Math.min(from, end)
      const metadata = metadataUpTo(end, committed)
      if (to === from && metadata === committed.metadata) continue
      records.push(recordOf(group, { topic, partition, offset: to, metadata }, this.#clock.now()))
      if (to !== from) resets.push({ group, topic, partition, from, to })
    }
    return { records, resets }
  }

  #decodeMetadata(group: string, slot: Slot): GroupMetadata {
    try {
      return decodeGroupMetadata(slot.value)
    } catch (error) {
      if (!(error instanceof MalformedBytesError)) throw error
      throw this.#unreadable(group, slot, error)
    }
  }

  #unreadable(group: string, slot: Slot, cause: MalformedBytesError): DecodeError {
    const partition = offsetsPartitionFor(group, this.#partitions.length)
    return new DecodeError(OFFSETS_TOPIC, partition, slot.offset, cause)
  }
}

function recordOf(group: string, commit: OffsetCommit, commitTimestamp: number): StoredRecord {
  const { topic, partition, offset, metadata = '', leaderEpoch = -1 } = commit
  return {
    key: encodeOffsetKey(group, topic, partition),
    value: encodeOffsetValue({ offset, metadata, leaderEpoch, commitTimestamp }),
    timestamp: commitTimestamp,
  }
}

function groupOffsetOf({ decodedKey, committed }: Slot): GroupOffset | undefined {
  if (decodedKey.kind !== 'offset' || committed === undefined) return undefined
  return { topic: decodedKey.topic, partition: decodedKey.partition, ...committed }
}

function topicOf({ decodedKey }: Slot): string | undefined {
  return decodedKey.kind === 'offset' ? decodedKey.topic : undefined
}

/** Without what it says to be finished past the end: what is written there next is not. */
function metadataUpTo(end: number, { offset, metadata }: CommittedOffset): string {
  const ranges = decodeFinished(offset, metadata)
  if ((ranges.at(-1)?.end ?? 0) <= end) return metadata
  const kept = ranges.map((each) => ({ start: each.start, end: Math.min(each.end, end) }))
  return (
    encodeFinished(
      offset,
      kept.filter((each) => each.start < each.end),
    ) ?? ''
  )
}

function isNoRoom(error: unknown): boolean {
  return isDiskFull(error) || (error instanceof LogError && error.code === 'DISK_FULL')
}
