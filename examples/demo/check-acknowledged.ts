// Holds what a killed writer was told against what is there.
import type { AcknowledgedBlock } from './produce.ts'
import type { ReadRecord } from './reader.ts'
import { check } from './report.ts'

/** Checks that every acknowledged flight stands at an acknowledged offset; answers with their number. */
export function checkAcknowledged(
  blocks: readonly AcknowledgedBlock[],
  records: readonly ReadRecord[],
): number {
  const flightAt = new Map<string, number>()
  for (const { partition, offset, flight } of records) {
    flightAt.set(`${partition}/${offset}`, flight.id)
  }
  let count = 0
  for (const { ids, ranges, singles } of blocks) {
    for (const [index, { partition, offset }] of singles.entries()) {
      check(
        'an acknowledged record is at its offset',
        flightAt.get(`${partition}/${offset}`) === ids[index],
      )
    }
    const inRanges = ranges.flatMap(({ partition, baseOffset, lastOffset }) =>
      idsIn(flightAt, partition, baseOffset, lastOffset),
    )
    if (ranges.length > 0) {
      const found = inRanges.toSorted((a, b) => a - b)
      check('an acknowledged batch is there, each record once', found.join() === ids.join())
    }
    count += ids.length
  }
  return count
}

/** In a batch's range stand its records alone, in the order in which they were given. */
function idsIn(
  flightAt: ReadonlyMap<string, number>,
  partition: number,
  baseOffset: number,
  lastOffset: number,
): number[] {
  const ids: number[] = []
  for (let offset = baseOffset; offset <= lastOffset; offset += 1) {
    const id = flightAt.get(`${partition}/${offset}`) ?? -1
    check('the records of a batch are in their order', id > (ids.at(-1) ?? -1))
    ids.push(id)
  }
  return ids
}
