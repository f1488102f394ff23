/**
 * Offsets of groups that a transaction commits: noted until it commits, then appended with its last records, in a batch of its producer in each partition of
 * `__consumer_offsets` that is touched.
 *
 * Fencing: who may commit is asked at the call, and again in the turn in which the commit begins. From that turn on until the decision the offsets are held
 * (`OffsetStore.inTransaction`): a member that takes the partition over meanwhile waits, and begins behind what was committed.
 */
import { consumerOffsets } from '../groups/consumer/consumer-offsets.ts'
import type { HeldOffsets } from '../groups/offset-store.ts'
import type { OffsetCommit } from '../groups/types.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import type { Topic } from '../topics/topic.ts'
import type { TopicPartition } from '../types.ts'
import type { Appended, DecisionListener, OpenTransaction, TransactionWrite } from './types.ts'

/** The committed offsets of the log, as a transaction needs them. */
export interface OffsetsAccess {
  /** Of a partition of `__consumer_offsets`. */
  isOffsets(log: PartitionLog): boolean
  findTopic(name: string): Topic | undefined
  /** Throws what is wrong with the group's name or the commits, and `UNKNOWN_TOPIC` or `UNKNOWN_PARTITION`. */
  check(group: string, commits: readonly OffsetCommit[]): void
  /** Throws `FENCED` where a member of the group owns one of them. */
  requireNoOwners(group: string, partitions: readonly TopicPartition[]): void
  /** Makes `__consumer_offsets`; undefined where it is there. */
  prepare(): Promise<void> | undefined
  /** See `OffsetStore.inTransaction`. */
  inTransaction<R>(
    commits: ReadonlyMap<string, readonly OffsetCommit[]>,
    refuse: () => void,
    section: (held: readonly HeldWrite[]) => Promise<R>,
  ): Promise<R>
}

export interface HeldWrite {
  readonly log: PartitionLog
  readonly held: HeldOffsets
}

interface Noted {
  readonly group: string
  readonly commit: OffsetCommit
  /** Throws where it may not be committed (any more). */
  readonly refuse: () => void
  readonly committed: () => void
}

export class TransactionOffsets {
  readonly #access: OffsetsAccess
  /** By group and partition: the last call counts. */
  #notes: Map<string, Noted> | undefined

  constructor(access: OffsetsAccess) {
    this.#access = access
  }

  /** It commits none. */
  get isEmpty(): boolean {
    return this.#notes === undefined || this.#notes.size === 0
  }

  get #noted(): Map<string, Noted> {
    this.#notes ??= new Map()
    return this.#notes
  }

  /** Throws what is wrong with it, and `FENCED`. Undefined where it need not be waited for. */
  note(given: unknown, commits: readonly OffsetCommit[]): Promise<void> | undefined {
    const access = this.#access
    const member = typeof given === 'string' ? undefined : consumerOffsets(given)
    const group = member?.group ?? (given as string)
    access.check(group, commits)
    if (
      commits.some(({ topic }) => member && member.findTopic(topic) !== access.findTopic(topic))
    ) {
      throw new TypeError('the consumer is one of another log')
    }
    if (member === undefined) access.requireNoOwners(group, commits)
    else member.own(commits)
    const ready = commits.length === 0 ? undefined : access.prepare()
    const taken = commits.map((each): Noted => {
      // The caller may change its own.
      const commit = { ...each }
      const judge = member?.own([commit]) ?? (() => access.requireNoOwners(group, [commit]))
      const refuse = (): void => {
        access.check(group, [commit])
        judge()
      }
      return { group, commit, refuse, committed: () => member?.committed([commit]) }
    })
    for (const each of taken) this.#noted.set(keyOf(each), each)
    return ready?.catch((error: unknown) => {
      // What has rejected is no part of it.
      for (const each of taken) {
        if (this.#noted.get(keyOf(each)) === each) this.#noted.delete(keyOf(each))
      }
      throw error
    })
  }

  /** Commits the transaction with its last writes. */
  async commit(
    open: OpenTransaction,
    last: readonly TransactionWrite[],
  ): Promise<readonly Appended[]> {
    if (this.isEmpty) return await open.commit(last)
    const noted = [...this.#noted.values()]
    const commits = new Map<string, OffsetCommit[]>()
    for (const { group, commit } of noted) {
      const list = commits.get(group)
      if (list === undefined) commits.set(group, [commit])
      else list.push(commit)
    }
    const refuse = (): void => {
      for (const each of noted) each.refuse()
    }
    const appended = await this.#access.inTransaction(commits, refuse, (held) =>
      commitHeld(open, last, held),
    )
    for (const each of noted) each.committed()
    return appended
  }
}

function keyOf({ group, commit: { topic, partition } }: Noted): string {
  return JSON.stringify([group, topic, partition])
}

/** Commits the transaction with its last writes, and with offsets that are held until it is decided. */
export async function commitHeld(
  open: OpenTransaction,
  last: readonly TransactionWrite[],
  held: readonly HeldWrite[],
): Promise<readonly Appended[]> {
  const decide: DecisionListener = (outcome, appended) => {
    for (const each of held) {
      const own = appended.findLast(({ log }) => log === each.log)
      // Where only the next open can tell, what was committed before is served until then.
      each.held.decided(outcome === 'commit' ? 'commit' : 'abort', own?.baseOffset ?? -1)
    }
  }
  open.onDecided(decide)
  const writes = held.map(({ log, held: { set } }) => {
    return { log, set, expectedOffset: -1, compression: undefined }
  })
  try {
    return await open.commit([...last, ...writes])
  } finally {
    // It may have been aborted before, and have told so; its markers may still wait for room.
    if (open.state === 'aborted' || open.state === 'aborting') decide('abort', [])
  }
}
