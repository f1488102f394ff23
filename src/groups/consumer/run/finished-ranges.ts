/**
 * Finished records above a commit, as text for the commit's metadata.
 *
 * By key, and after a retry that holds up its key alone, records are finished out of order. The commit stays at the lowest that is not;
 * what is finished above it would be handed out again after a crash, so it is written beside the commit:
 *
 *     brokerless-finished:1: committed (gap length)*
 *
 * Each number is written in base 32, lowest digit first, a character a digit: A to Z, a to f for the last digit of a number, g to z, 0 to 9, +, / for
 * one that another follows (base 64's alphabet, and its order). `gap` counts the offsets between the range and what lies below it (the commit, or the
 * range before), `length` those of the range; both are at least 1. So ten thousand finished records behind one that is retried take some thirty bytes.
 *
 * `committed` is the offset that the ranges belong to. Metadata that was copied to another commit says nothing there: to skip a record that
 * is not finished is worse than to hand out one again.
 */
import { MAX_METADATA_BYTES } from '../../commit-checks.ts'

/** Offsets from `start` up to, and without, `end`. */
export interface FinishedRange {
  readonly start: number
  readonly end: number
}

const PREFIX = 'brokerless-finished:1:'
const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const BASE = 32
/** Of a safe integer. */
const MAX_DIGITS = Math.ceil(53 / Math.log2(BASE))

/**
 * `finished`: disjoint, ascending, above `committed`. Those that do not fit into 4,096 bytes, and all above them, are left out. Undefined where there is
 * none.
 */
export function encodeFinished(
  committed: number,
  finished: Iterable<FinishedRange>,
): string | undefined {
  const head = PREFIX + digitsOf(committed)
  let text = head
  let position = committed
  for (const { start, end } of joined(finished)) {
    const more = digitsOf(start - position) + digitsOf(end - start)
    // A byte a character.
    if (text.length + more.length > MAX_METADATA_BYTES) break
    text += more
    position = end
  }
  return text === head ? undefined : text
}

/** Those that touch as one: between two ranges there is a gap. */
function* joined(ranges: Iterable<FinishedRange>): Generator<FinishedRange> {
  let last: FinishedRange | undefined
  for (const each of ranges) {
    if (last !== undefined && each.start !== last.end) yield last
    last = last?.end === each.start ? { start: last.start, end: each.end } : each
  }
  if (last !== undefined) yield last
}

/** Ascending and disjoint, in whatever order they come, and whatever they have in common. */
export function mergedRanges(ranges: readonly FinishedRange[]): FinishedRange[] {
  const merged: FinishedRange[] = []
  for (const { start, end } of ranges.toSorted((a, b) => a.start - b.start)) {
    const last = merged.at(-1)
    if (last === undefined || start > last.end) merged.push({ start, end })
    else if (end > last.end) merged[merged.length - 1] = { start: last.start, end }
  }
  return merged
}

/** The ranges, ascending. None where the metadata is somebody's own, belongs to another commit, or is not whole. */
export function decodeFinished(committed: number, metadata: string): readonly FinishedRange[] {
  if (!metadata.startsWith(PREFIX)) return []
  const numbers = numbersOf(metadata, PREFIX.length)
  // Its own offset, and two numbers a range.
  if (numbers === undefined || numbers.length % 2 === 0 || numbers[0] !== committed) return []
  const ranges: FinishedRange[] = []
  let position = committed
  for (let index = 1; index < numbers.length; index += 2) {
    const [gap = 0, length = 0] = numbers.slice(index, index + 2)
    const start = position + gap
    const end = start + length
    if (gap < 1 || length < 1 || !Number.isSafeInteger(end)) return []
    ranges.push({ start, end })
    position = end
  }
  return ranges
}

function digitsOf(value: number): string {
  let text = ''
  let rest = value
  while (rest >= BASE) {
    text += DIGITS.charAt(BASE + (rest % BASE))
    rest = Math.floor(rest / BASE)
  }
  return text + DIGITS.charAt(rest)
}

/** Undefined where something else stands there. */
function numbersOf(text: string, from: number): number[] | undefined {
  const numbers: number[] = []
  let value = 0
  let digits = 0
  for (let index = from; index < text.length; index += 1) {
    const digit = DIGITS.indexOf(text.charAt(index))
    if (digit < 0 || digits === MAX_DIGITS) return undefined
    value += (digit % BASE) * BASE ** digits
    digits += 1
    if (digit >= BASE) continue
    if (!Number.isSafeInteger(value)) return undefined
    numbers.push(value)
    value = 0
    digits = 0
  }
  return digits === 0 ? numbers : undefined
}
