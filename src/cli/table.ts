/** Tables for people. Pure. */
import { printable } from './text.ts'

export interface Column {
  readonly title: string
  /** Numbers stand at the right. Default: left. */
  readonly align?: 'left' | 'right'
}

const GAP = '  '

/**
 * Rows as lines, below a line of titles. Where that is wider than `width` each row is a block of lines instead, a
 * title and its cell on each: a wrapped table cannot be read.
 */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly (string | number)[])[],
  width: number = Number.POSITIVE_INFINITY,
): string {
  const titles = columns.map(({ title }) => title)
  const cells = rows.map((row) => columns.map((_, at) => printable(String(row[at] ?? ''))))
  const widths = columns.map((_, at) =>
    Math.max(...[titles, ...cells].map((row) => displayWidth(row[at] ?? ''))),
  )
  const total = widths.reduce((sum, each) => sum + each, GAP.length * (columns.length - 1))
  if (total > width && rows.length > 0) return formatBlocks(titles, cells)
  const line = (row: readonly string[]): string =>
    columns
      .map(({ align }, at) => padded(row[at] ?? '', widths[at] ?? 0, align))
      .join(GAP)
      .trimEnd()
  return [titles, ...cells].map((row) => `${line(row)}\n`).join('')
}

/** A title and a value a line, the values below each other. */
export function formatFields(fields: readonly (readonly [string, string | number])[]): string {
  const width = Math.max(...fields.map(([title]) => displayWidth(title)))
  return fields
    .map(([title, value]) => `${padded(title, width)}${GAP}${printable(String(value))}`.trimEnd())
    .map((line) => `${line}\n`)
    .join('')
}

function formatBlocks(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  return rows
    .map((row) => formatFields(titles.map((title, at) => [title, row[at] ?? ''] as const)))
    .join('\n')
}

function padded(text: string, width: number, align: Column['align'] = 'left'): string {
  const blanks = ' '.repeat(Math.max(0, width - displayWidth(text)))
  return align === 'left' ? text + blanks : blanks + text
}

/** Drawn on the character before them, or not at all. */
const ZERO_WIDTH = /\p{Mn}|\p{Me}|[\u200b\u200c]|\u200d/u
/** Drawn over two columns: Chinese, Japanese and Korean signs, and emoji. */
const WIDE =
  /[\p{Script=Han}\p{Script=Hangul}\p{Script=Hiragana}\p{Script=Katakana}\p{Emoji_Presentation}\u3000-\u303e\uff01-\uff60]/u

/** Columns of a terminal that a text takes, about: terminals differ. */
export function displayWidth(text: string): number {
  let width = 0
  for (const character of text) {
    if (character <= '\u007f') width += 1
    else if (!ZERO_WIDTH.test(character)) width += WIDE.test(character) ? 2 : 1
  }
  return width
}
