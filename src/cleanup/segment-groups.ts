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

/** @param segments adjacent ones, by rising base offset. */
export function groupSegments<S extends GroupedSegment>(
  segments: readonly S[],
  limits: GroupLimits,
): S[][] {
  const groups: S[][] = []
  let group: S[] = []
  for (const segment of segments) {
    if (group.length === 0 || !mayJoin(group, segment, limits)) {
      group = []
      groups.push(group)
    }
    group.push(segment)
  }
  return groups
}

function mayJoin(
  group: readonly GroupedSegment[],
  segment: GroupedSegment,
  { segmentBytes, segmentIndexBytes }: GroupLimits,
): boolean {
  const all = [...group, segment]
  if (all.some(({ isKept }) => isKept)) return false
  if (sum(all, 'sizeBytes') > segmentBytes) return false
  if (sum(all, 'offsetIndexBytes') > segmentIndexBytes) return false
  if (sum(all, 'timeIndexBytes') > segmentIndexBytes) return false
  // One without batches adds no offset.
  const lastOffset = segment.nextOffset - 1
  return (
    segment.sizeBytes === 0 || lastOffset - (all[0] ?? segment).baseOffset <= MAX_RELATIVE_OFFSET
  )
}

function sum(
  segments: readonly GroupedSegment[],
  field: 'sizeBytes' | 'offsetIndexBytes' | 'timeIndexBytes',
): number {
  return segments.reduce((total, segment) => total + segment[field], 0)
}
