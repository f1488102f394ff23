/** Places in a partition, as the command line names them. */
import type { CommandContext } from './command.ts'
import type { RawLog } from './log-directory.ts'
import { isIntegerText } from './text.ts'

export type Position =
  | { readonly kind: 'start' | 'end' }
  | { readonly kind: 'offset'; readonly offset: number }
  /** So many offsets before the end. */
  | { readonly kind: 'before-end'; readonly count: number }
  /** The first record at or after it, in milliseconds. */
  | { readonly kind: 'time'; readonly timestamp: number }

/** For `--help` and messages. */
export const POSITIONS = 'start, end, OFFSET, -N or TIME'
/** A paragraph of the help of commands that take a position. */
export const POSITION_DETAILS =
  'OFFSET, -N and TIME are looked up in each partition: -N means N offsets before its end, TIME the first record at or after it. TIME is written in ISO 8601 (2026-05-01, 2026-05-01T12:00:00Z; a time without a zone is local) or as @ and milliseconds since 1970. A place outside a partition counts as the nearest end.'

const ISO_DATE = /^\d{4}-\d{2}(?:-\d{2}(?:T\d{2}:\d{2}.*)?)?$/

/** Undefined for what names no place. */
export function parsePosition(text: string): Position | undefined {
  if (text === 'start' || text === 'end') return { kind: text }
  if (isIntegerText(text)) {
    return text.startsWith('-')
      ? { kind: 'before-end', count: -Number(text) }
      : { kind: 'offset', offset: Number(text) }
  }
  const timestamp = parseTime(text)
  return timestamp === undefined ? undefined : { kind: 'time', timestamp }
}

/** Milliseconds; undefined for what is no time at or after 1970. */
export function parseTime(text: string): number | undefined {
  const digits = text.slice(1)
  const timestamp = text.startsWith('@') && isIntegerText(digits) ? Number(digits) : dateOf(text)
  return timestamp >= 0 ? timestamp : undefined
}

function dateOf(text: string): number {
  return ISO_DATE.test(text) ? Date.parse(text) : Number.NaN
}

/** The position that an option names; undefined where it was not given. */
export function positionOption(
  options: CommandContext['options'],
  name: string,
): Position | undefined {
  const text = options.text(name)
  if (text === undefined) return undefined
  const position = parsePosition(text)
  if (position === undefined) throw options.refusal(name, text, POSITIONS)
  return position
}

/** A partition as far as it can be read. */
export interface Range {
  readonly earliest: number
  readonly latest: number
}

/** The offset that a position is in a partition, within its range. */
export async function offsetAt(
  log: RawLog,
  topic: string,
  partition: number,
  { earliest, latest }: Range,
  position: Position,
): Promise<number> {
  const within = (offset: number): number => Math.min(Math.max(offset, earliest), latest)
  switch (position.kind) {
    case 'start':
      return earliest
    case 'end':
      return latest
    case 'offset':
      return within(position.offset)
    case 'before-end':
      return within(latest - position.count)
    case 'time': {
      const { timestamp } = position
      return within((await log.offsetForTimestamp(topic, { partition, timestamp })) ?? latest)
    }
  }
}
