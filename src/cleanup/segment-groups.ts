/**
 * Which segments are cleaned into one, as Kafka decides it (`Cleaner.groupSegmentsBySize`): neighbours, as long as the result is no
 * larger than a segment may be, even if nothing is removed. Pure.
 */

/** The greatest relative offset that an index entry can hold. */
const MAX_RELATIVE_OFFSET = 2 ** 31 - 1

export interface GroupedSegment {
  readonly baseOffset: number
  /** Of the segment behind it. */
  readonly nextOffset: number
  readonly sizeBytes: number
  readonly offsetIndexBytes: number
  readonly timeIndexBytes: number
  /** It is left as it is, and joined with none. */
  readonly isKept: boolean
}

export interface GroupLimits {
  readonly segmentBytes: number
  readonly segmentIndexBytes: number
}

/** What the segments of a group come to. */
interface GroupTotals {
  readonly baseOffset: number
  sizeBytes: number
  offsetIndexBytes: number
  timeIndexBytes: number
}

/** @param segments adjacent ones, by rising base offset. */
export function groupSegments<S extends GroupedSegment>(
  segments: readonly S[],
  limits: GroupLimits,
): S[][] {
  const groups: S[][] = []
  let group: S[] = []
  let totals: GroupTotals | undefined
  for (const segment of segments) {
    if (totals === undefined || !mayJoin(totals, segment, limits)) {
      group = []
      groups.push(group)
      totals = { ...NOTHING, baseOffset: segment.baseOffset }
    }
    group.push(segment)
    totals.sizeBytes += segment.sizeBytes
    totals.offsetIndexBytes += segment.offsetIndexBytes
    totals.timeIndexBytes += segment.timeIndexBytes
    // None joins it.
    if (segment.isKept) totals = undefined
  }
  return groups
}

const NOTHING = { sizeBytes: 0, offsetIndexBytes: 0, timeIndexBytes: 0 }

function mayJoin(
  group: GroupTotals,
  segment: GroupedSegment,
  { segmentBytes, segmentIndexBytes }: GroupLimits,
): boolean {
  if (segment.isKept) return false
  if (group.sizeBytes + segment.sizeBytes > segmentBytes) return false
  if (group.offsetIndexBytes + segment.offsetIndexBytes > segmentIndexBytes) return false
  if (group.timeIndexBytes + segment.timeIndexBytes > segmentIndexBytes) return false
  // One without batches adds no offset.
  const lastOffset = segment.nextOffset - 1
  return segment.sizeBytes === 0 || lastOffset - group.baseOffset <= MAX_RELATIVE_OFFSET
}
