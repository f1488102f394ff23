/** Where the ways to consume (records, pages, handlers) get what they hand out. */
import type { LogRecord } from '../../types.ts'
import type { FinishedRange } from './run/finished-ranges.ts'

/** A record as a consumer hands it out. */
export interface ConsumedRecord<K = string, V = unknown> extends LogRecord<K, V> {
  /** How often it was handed out in this process to members of its group, this time included: 1 at first. */
  readonly deliveryCount: number
  detach(): ConsumedRecord<K, V>
}

/**
 * What may happen to a page that is in hand. Set in this order; neither is taken back. A `close` sets the first in its very call, so that who is
 * told can see from where it was called (a handler that closes is not waited for), and the second when its `drainMs` are over.
 */
export interface Withdrawal {
  /** The partition is asked back, sought elsewhere, or lost, or the consumer closes: nothing more of the page is to be begun; what is begun may end. */
  readonly isWithdrawn: boolean
  /** It is another's by now: what is begun is for nothing, and is not committed. */
  readonly isLost: boolean
  /** Called where one of the two changes. It must not throw. */
  onWithdrawn: (() => void) | undefined
}

/** Disjoint, ascending. */
export type FinishedAbove = () => Iterable<FinishedRange>

/** A page that is in hand: from `take` until `putDown`. */
export interface TakenPage<K = string, V = unknown> {
  readonly topic: string
  readonly partition: number
  /** Where the partition was read from for this page. What has no record here, from it to `nextOffset`, is finished, or was never a record. */
  readonly startOffset: number
  /** At least one. Records that were finished above the commit, and remembered with it, are left out. */
  readonly records: readonly ConsumedRecord<K, V>[]
  /** Where the partition is read on behind this page. */
  readonly nextOffset: number
  readonly withdrawn: Withdrawal
  /**
   * Everything of the partition below `offset` is finished. `finishedAbove` gives what is finished above it, which is committed with it. It is
   * asked for when the offset is committed, as it may take some microseconds; the same offset is told again where it would give something else.
   * An offset below one told before, or told of a page that is lost, changes nothing.
   */
  finished(offset: number, finishedAbove?: FinishedAbove): void
  /** Work on the page goes on, though nothing of it can be called finished: who hears of none for `maxPollIntervalMs` takes the consumer for dead. */
  heard(): void
  /** A record of the page that is not finished, to be handed out once more: its delivery count is greater by one, and goes on from there. */
  again(record: ConsumedRecord<K, V>): ConsumedRecord<K, V>
  /** Whether `take` may give more of this partition while this page is in hand. It may until told otherwise. */
  wantMore(isWanted: boolean): void
  /**
   * Nothing of the page is in hand any more. Once. What is not finished of it is handed out again, here or to the next owner; of that `begun` has
   * been handed out this time, and its delivery counts go on.
   */
  putDown(begun?: readonly ConsumedRecord<K, V>[]): void
}

export interface PageSource<K = string, V = unknown> {
  /**
   * The next page, in turn over the partitions; waits for one; undefined once closed. Several may be in hand at once, within
   * `readAheadBytes` together.
   */
  take(): Promise<TakenPage<K, V> | undefined>
  /** Commits what is finished. */
  commit(): Promise<void>
}

/** One way to consume, as its consumer sees it. */
export interface Consuming {
  /**
   * The consumer closes, and all pages are withdrawn. Resolves when nothing that was begun is under way any more, save what has called the
   * close. What is in hand then keeps its partitions for the consumer until it is put down, or lost when `drainMs` are over.
   */
  drained(): Promise<void>
}
