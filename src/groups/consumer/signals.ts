/**
 * What groups and their consumers do, told through `node:diagnostics_channel`, and counted.
 *
 * Where nobody listens to a channel nothing is built for it. Listeners are called at once, in the middle of what is told of, so they are to
 * be short. What one throws does not come here: Node raises it in a turn of its own as an uncaught exception of the program, as it would be
 * of any listener, and the consumer goes on.
 */
import { channel } from 'node:diagnostics_channel'
import type { TopicPartition } from '../../types.ts'
import type { LostReason } from '../group-state.ts'
import type { OffsetCommit } from '../types.ts'
import type {
  ConsumerSignal,
  DiagnosticMessages,
  FailedRecordSignal,
  GroupSignal,
} from './signal-messages.ts'

/** Since the consumer was made, or the log opened. */
export interface ConsumerMetrics {
  /** Records handed out, again as well. */
  readonly records: number
  /** Bytes of the pages that they came in. */
  readonly bytes: number
  /** Partitions' offsets that were committed. */
  readonly commits: number
  readonly retries: number
  readonly deadLetters: number
  readonly skipped: number
}

/** Of all consumers of a group. */
export interface GroupCounts extends ConsumerMetrics {
  /** Consumers of this log that are members, and static members that are away. */
  readonly members: number
  /** Rises with every rebalance; -1 for a group known by its commits alone. */
  readonly generation: number
  readonly rebalances: number
}

/** What is told of a failed record is not its value. */
type FailedRecord = TopicPartition & { readonly offset: number }

const ASSIGNED = channelOf('brokerless:consumer:assigned')
const REVOKED = channelOf('brokerless:consumer:revoked')
const LOST = channelOf('brokerless:consumer:lost')
const COMMITTED = channelOf('brokerless:consumer:committed')
const RETRIED = channelOf('brokerless:consumer:retried')
const DEAD_LETTERED = channelOf('brokerless:consumer:dead-lettered')
const SKIPPED = channelOf('brokerless:consumer:skipped')
const REBALANCED = channelOf('brokerless:group:rebalanced')
const LOOP_BLOCKED = channelOf('brokerless:loop-blocked')

/** The signals of a log's groups. They go on counting where a group has no members for a while. */
export class LogSignals {
  readonly #directory: string
  readonly #groups = new Map<string, GroupSignals>()

  constructor(directory: string) {
    this.#directory = directory
  }

  /** Made at the first call. */
  of(group: string): GroupSignals {
    const known = this.#groups.get(group)
    if (known !== undefined) return known
    const signals = new GroupSignals(this.#directory, group)
    this.#groups.set(group, signals)
    return signals
  }

  /** Groups that have, or had, consumers here. */
  groups(): ReadonlyMap<string, GroupSignals> {
    return this.#groups
  }

  /** The group has been deleted. */
  forget(group: string): void {
    this.#groups.delete(group)
  }
}

/** The signals of one group of a log. */
export class GroupSignals {
  readonly group: string
  readonly #directory: string
  readonly #counters = new Counters()
  #members = 0
  #generation = -1
  #rebalances = 0

  constructor(directory: string, group: string) {
    this.#directory = directory
    this.group = group
  }

  /** The group has changed; where its generation has, it has a new target. */
  rebalanced(generation: number, members: number): void {
    this.#members = members
    if (generation === this.#generation) return
    this.#generation = generation
    this.#rebalances += 1
    if (REBALANCED.hasSubscribers) REBALANCED.publish({ ...this.origin(), generation, members })
  }

  loopBlocked(durationMs: number): void {
    if (LOOP_BLOCKED.hasSubscribers) LOOP_BLOCKED.publish({ ...this.origin(), durationMs })
  }

  /** The signals of one more consumer of the group. */
  consumer(): ConsumerSignals {
    return new ConsumerSignals(this, this.#counters)
  }

  origin(): GroupSignal {
    return { directory: this.#directory, group: this.group }
  }

  metrics(): GroupCounts {
    return {
      ...this.#counters,
      members: this.#members,
      generation: this.#generation,
      rebalances: this.#rebalances,
    }
  }
}

/** The signals of one consumer; what it counts, it counts for its group as well. */
export class ConsumerSignals {
  /** As the group knows it now; '' before it has joined. */
  memberId = ''
  readonly #group: GroupSignals
  readonly #own = new Counters()
  readonly #ofGroup: Counters

  constructor(group: GroupSignals, ofGroup: Counters) {
    this.#group = group
    this.#ofGroup = ofGroup
  }

  assigned(partitions: readonly TopicPartition[]): void {
    if (ASSIGNED.hasSubscribers) ASSIGNED.publish({ ...this.#origin(), partitions })
  }

  revoked(partitions: readonly TopicPartition[]): void {
    if (REVOKED.hasSubscribers) REVOKED.publish({ ...this.#origin(), partitions })
  }

  lost(partitions: readonly TopicPartition[], reason: LostReason): void {
    if (LOST.hasSubscribers) LOST.publish({ ...this.#origin(), partitions, reason })
  }

  committed(offsets: readonly OffsetCommit[]): void {
    this.#own.commits += offsets.length
    this.#ofGroup.commits += offsets.length
    if (COMMITTED.hasSubscribers) COMMITTED.publish({ ...this.#origin(), offsets })
  }

  /** Records of a page were handed out; `bytes` of it. On the hot path: once a page. */
  delivered(records: number, bytes: number): void {
    this.#own.records += records
    this.#own.bytes += bytes
    this.#ofGroup.records += records
    this.#ofGroup.bytes += bytes
  }

  /** @param attempt 1 for the first retry. */
  retried(record: FailedRecord, attempt: number, error: unknown): void {
    this.#own.retries += 1
    this.#ofGroup.retries += 1
    if (RETRIED.hasSubscribers) RETRIED.publish({ ...this.#failed(record, error), attempt })
  }

  deadLettered(record: FailedRecord, deadLetterTopic: string, error: unknown): void {
    this.#own.deadLetters += 1
    this.#ofGroup.deadLetters += 1
    if (!DEAD_LETTERED.hasSubscribers) return
    DEAD_LETTERED.publish({ ...this.#failed(record, error), deadLetterTopic })
  }

  skipped(record: FailedRecord, error: unknown): void {
    this.#own.skipped += 1
    this.#ofGroup.skipped += 1
    if (SKIPPED.hasSubscribers) SKIPPED.publish(this.#failed(record, error))
  }

  metrics(): ConsumerMetrics {
    return { ...this.#own }
  }

  #origin(): ConsumerSignal {
    return { ...this.#group.origin(), memberId: this.memberId }
  }

  #failed({ topic, partition, offset }: FailedRecord, error: unknown): FailedRecordSignal {
    return { ...this.#origin(), topic, partition, offset, error }
  }
}

class Counters implements ConsumerMetrics {
  records = 0
  bytes = 0
  commits = 0
  retries = 0
  deadLetters = 0
  skipped = 0
}

/** As Node's, but for one kind of message. */
interface TypedChannel<M> {
  readonly hasSubscribers: boolean
  publish(message: M): void
}

function channelOf<N extends keyof DiagnosticMessages>(
  name: N,
): TypedChannel<DiagnosticMessages[N]> {
  return channel(name)
}
