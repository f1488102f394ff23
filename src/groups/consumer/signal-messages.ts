/** What is told through `node:diagnostics_channel`, by channel: see `signals.ts`. */
import type { TopicPartition } from '../../types.ts'
import type { LostReason } from '../group-state.ts'
import type { OffsetCommit } from '../types.ts'

/** In every message: whose it is. */
export interface GroupSignal {
  /** Of the log, as it was opened. */
  readonly directory: string
  readonly group: string
}

export interface ConsumerSignal extends GroupSignal {
  /** A consumer that was taken for dead joins again under another one. */
  readonly memberId: string
}

export interface PartitionsSignal extends ConsumerSignal {
  readonly partitions: readonly TopicPartition[]
}

export interface LostSignal extends PartitionsSignal {
  /** `expired`: it did not ask for more within `maxPollIntervalMs`. `replaced`: another has joined with its `instanceId`. */
  readonly reason: LostReason
}

export interface CommittedSignal extends ConsumerSignal {
  readonly offsets: readonly OffsetCommit[]
}

/** Of a record whose handler has failed. */
export interface FailedRecordSignal extends ConsumerSignal, TopicPartition {
  readonly offset: number
  /** What the handler threw. */
  readonly error: unknown
}

export interface RetriedSignal extends FailedRecordSignal {
  /** Which retry it is to be: 1 is the first. */
  readonly attempt: number
}

export interface DeadLetteredSignal extends FailedRecordSignal {
  readonly deadLetterTopic: string
}

export interface RebalancedSignal extends GroupSignal {
  /** Of the new target; what changes hands by it comes after. */
  readonly generation: number
  readonly members: number
}

export interface LoopBlockedSignal extends GroupSignal {
  /** How long the event loop stood still, in milliseconds; no member is taken for dead for that time. */
  readonly durationMs: number
}

/** The channels of `node:diagnostics_channel` that tell what groups and their consumers do, and the message of each. */
export interface DiagnosticMessages {
  /** Partitions are the consumer's own from now on. */
  'brokerless:consumer:assigned': PartitionsSignal
  /** It has handed them back. */
  'brokerless:consumer:revoked': PartitionsSignal
  /** It is no member any more, and they are another's. */
  'brokerless:consumer:lost': LostSignal
  'brokerless:consumer:committed': CommittedSignal
  /** A record is to be handed to its handler again. */
  'brokerless:consumer:retried': RetriedSignal
  /** The dead-letter topic has it, and it counts as finished. */
  'brokerless:consumer:dead-lettered': DeadLetteredSignal
  /** It counts as finished, though its handler has failed. */
  'brokerless:consumer:skipped': FailedRecordSignal
  /** The group has a new target: who is to have which partition. */
  'brokerless:group:rebalanced': RebalancedSignal
  /** While members had records in hand. */
  'brokerless:loop-blocked': LoopBlockedSignal
}
