import { LogError } from '../../errors.ts'
import type { ResolvedConsumerFrom, ResolvedSeekTo } from '../../options.ts'
import type { PartitionLog } from '../../storage/partition-log.ts'
import { readEnd } from '../../storage/read-end.ts'
import { outOfRange } from '../../topics/partition-reader.ts'
import type { IsolationLevel } from '../../types.ts'
import type { CommittedOffset } from '../types.ts'
import type { ClaimStart } from './claim.ts'

export interface StartInput {
  readonly group: string
  readonly from: ResolvedConsumerFrom
  readonly committed: CommittedOffset | undefined
  /** The partition has come while the group was at work. */
  readonly isNew: boolean
  readonly isolationLevel: IsolationLevel
}

/**
 * Where a consumer begins in a partition: where its group has committed (the log start, where retention has come further), else where `from`
 * says. So it is also where the commit lies past the end, as it may where a group has committed by hand: none of what is there is skipped
 * without somebody having said so. `NO_OFFSET`, or `OffsetOutOfRangeError`, where `from` is `'none'`.
 */
export async function startOf(log: PartitionLog, input: StartInput): Promise<ClaimStart> {
  const { committed, from, group, isNew, isolationLevel } = input
  if (committed !== undefined && committed.offset <= log.logEndOffset) {
    const { offset, metadata } = committed
    return { position: offset, metadata, isolationLevel }
  }
  const begin = (position: number): ClaimStart => ({ position, metadata: '', isolationLevel })
  if (from.kind !== 'none') {
    const to = isNew ? (NEW[from.kind] ?? from) : from
    return begin(await positionAt(log, to, isolationLevel))
  }
  if (committed !== undefined) throw outOfRange(log, committed.offset)
  const message = `the group ${JSON.stringify(group)} has committed nothing for ${log.name}, and from is 'none'`
  throw new LogError('NO_OFFSET', message)
}

/** What was written to a new partition before its consumer came to it is not old. */
const NEW: Readonly<Partial<Record<ResolvedConsumerFrom['kind'], { readonly kind: 'earliest' }>>> =
  {
    latest: { kind: 'earliest' },
  }

/** `OffsetOutOfRangeError` for an offset outside the partition. */
export async function positionAt(
  log: PartitionLog,
  to: Exclude<ResolvedConsumerFrom, { readonly kind: 'none' }> | ResolvedSeekTo,
  isolationLevel: IsolationLevel,
): Promise<number> {
  switch (to.kind) {
    case 'earliest':
      return log.logStartOffset
    case 'latest':
      return readEnd(log, isolationLevel)
    case 'timestamp':
      // What is there and not stable is from before that time.
      return (await log.offsetForTime(to.timestamp)) ?? log.highWatermark
    default:
      if (to.offset < log.logStartOffset || to.offset > log.logEndOffset) {
        throw outOfRange(log, to.offset)
      }
      return to.offset
  }
}
