import type { Claim } from './claim.ts'
import type { GroupAccess } from './group-access.ts'

/**
 * Nothing of the claim is in hand, or about to be committed in a transaction, and what is committed lies below what is done: to commit that takes nothing
 * back. Holds for the turn in which it is asked.
 */
export function isIdle(claim: Claim, access: GroupAccess): boolean {
  if (claim.pages.size > 0 || access.decided(claim) !== undefined) return false
  const committed = access.committed(claim)
  return committed === undefined || committed.offset < claim.done
}
