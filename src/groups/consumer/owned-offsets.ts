import type { TopicPartition } from '../../types.ts'
import type { Claim } from './claim.ts'
import type { ConsumerMember } from './member.ts'
import { currentCall } from './run/call.ts'

/**
 * Asks whether a consumer may commit for partitions in a transaction, and answers with what asks again when that commits. A consumer that was taken for
 * dead and has joined again is handed the same records once more: what was made of them before must not count beside what is made of them now. So it
 * is the claim that is asked for, not the partition alone.
 *
 * @param runner what runs the consumer's handlers, if anything does: one that was given its records under an earlier claim is refused at once.
 */
export function ownOffsets(
  member: ConsumerMember,
  runner: object | undefined,
  partitions: readonly TopicPartition[],
): () => void {
  const names = partitions.map(({ topic, partition }) => `${topic}-${partition}`)
  member.requireOwn(partitions)
  requireInHand(member, runner, names)
  const claims: readonly (Claim | undefined)[] = names.map((name) => member.claims.get(name))
  return () => {
    member.requireOwn(partitions)
    const other = names.find((name, index) => member.claims.get(name) !== claims[index])
    if (other !== undefined) throw member.fenced(other)
  }
}

/** The handler in which this is called, if it is in one, still has what it was given. */
function requireInHand(
  member: ConsumerMember,
  runner: object | undefined,
  names: readonly string[],
): void {
  const call = currentCall()
  const page = call?.runner === runner ? call?.held?.page : undefined
  if (page?.withdrawn.isLost !== true) return
  const name = `${page.topic}-${page.partition}`
  if (names.includes(name)) throw member.fenced(name)
}
