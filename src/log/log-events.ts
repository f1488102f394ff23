import type { BackgroundFailure } from './log-core.ts'
import type { TopicAlteration } from './open-log.ts'

/** What a log tells of itself. */
export interface LogEvents {
  /** A declaration in `open` has changed a topic that was there. Told in the turn after `open` has resolved. */
  topicAltered: [alteration: TopicAlteration]
  /** Something failed in the background; where a partition is named, it is closed to writes. Calls are told as well. */
  failure: [failure: BackgroundFailure]
}
