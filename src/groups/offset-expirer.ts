import { DecodeError } from '../errors.ts'
import type { Clock } from '../types.ts'
import { nextTurn, turnIsLong } from '../util/turn.ts'
import type { GroupStore } from './group-store.ts'
import type { LiveGroups } from './live-group.ts'
import type { Expiry } from './offset-expiry.ts'
import { expiryOf } from './offset-expiry.ts'
import type { OffsetStore } from './offset-store.ts'

export interface ExpirerOptions {
  readonly clock: Clock
  readonly offsets: OffsetStore
  readonly groupStore: GroupStore
  readonly live: LiveGroups
  readonly retentionMs: number
}

/** Deletes the offsets that have had their time, and the groups that have nothing left; see `offset-expiry.ts`. */
export async function expireOffsets(options: ExpirerOptions): Promise<void> {
  const { offsets, groupStore, live } = options
  for (const group of offsets.groups()) {
    if (turnIsLong()) await nextTurn()
    if (!isAny(expiryIn(options, group))) continue
    await groupStore.settled(group)
    // Judged again when all that was called before has ended: a member may have joined, or a commit have come.
    await offsets.expire(group, () => expiryIn(options, group))
    if (offsets.has(group)) continue
    groupStore.forget(group)
    live.forget(group)
  }
}

/** Nothing, of a group whose metadata cannot be read: nobody knows since when it is empty. */
function expiryIn(options: ExpirerOptions, group: string): Expiry {
  const { clock, offsets, groupStore, retentionMs } = options
  const now = clock.now()
  const live = options.live.find(group)
  try {
    const metadata = offsets.metadataOf(group)
    const known = {
      metadata,
      live,
      offsets: offsets.offsetsOf(group),
      isUndecided: offsets.undecidedOf(group),
      isAwaited: metadata !== undefined && groupStore.restore(group, now).members.size > 0,
    }
    return expiryOf(known, retentionMs, now)
  } catch (error) {
    if (error instanceof DecodeError) return { offsets: [], metadata: undefined }
    throw error
  }
}

function isAny({ offsets, metadata }: Expiry): boolean {
  return offsets.length > 0 || metadata !== undefined
}
