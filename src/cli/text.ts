/** How numbers, times and sizes are written for people, and read from them. Pure. */

export function isIntegerText(text: string): boolean {
  return /^-?\d+$/.test(text) && Number.isSafeInteger(Number(text))
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const

/** `512 B`, `1.5 KiB`, `23 MiB`: two digits at least, where the unit is not the byte. */
export function sizeText(bytes: number): string {
  let size = bytes
  let unit = 0
  while (size >= 999.5 && unit < UNITS.length - 1) {
    size /= 1024
    unit += 1
  }
  const digits = unit > 0 && size < 9.95 ? 1 : 0
  return `${size.toFixed(digits)} ${UNITS[unit] ?? ''}`
}

/** ISO 8601 in UTC, with milliseconds; the number itself where no date has it. */
export function timeText(timestamp: number): string {
  const date = new Date(timestamp)
  return Number.isNaN(date.getTime()) ? String(timestamp) : date.toISOString()
}

const DURATION_UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
] as const

/** `250 ms`, `3 s`, `2 min 5 s`, `7 d`: the two greatest units, the second one where it is not 0. */
export function durationText(durationMs: number): string {
  const at = DURATION_UNITS.findIndex(([, unitMs]) => durationMs >= unitMs)
  const [name, unitMs] = DURATION_UNITS[at] ?? ['ms', 1]
  const whole = Math.floor(durationMs / unitMs)
  const [nextName, nextMs] = (at < 0 ? undefined : DURATION_UNITS[at + 1]) ?? ['', 0]
  const rest = nextMs === 0 ? 0 : Math.floor((durationMs - whole * unitMs) / nextMs)
  return rest === 0 ? `${whole} ${name}` : `${whole} ${name} ${rest} ${nextName}`
}

/** What would move the cursor, hide text or break a line, as `\n` or `\x1b`: names may have been chosen by others. */
export function printable(text: string): string {
  return text.replace(CONTROL_CHARACTERS, (character) => {
    const short = SHORT_ESCAPES[character]
    if (short !== undefined) return short
    const code = character.codePointAt(0) ?? 0
    return code < 0x100
      ? `\\x${code.toString(16).padStart(2, '0')}`
      : `\\u${code.toString(16).padStart(4, '0')}`
  })
}

/** As `printable`, of text that may have several lines and tabs. */
export function printableText(text: string): string {
  return text.replace(CONTROL_CHARACTERS, (character) =>
    character === '\n' || character === '\t' ? character : printable(character),
  )
}

/** Control and format characters: C0, C1, line and paragraph separators, direction overrides. */
const CONTROL_CHARACTERS = /[\p{Cc}\p{Zl}\p{Zp}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu
const SHORT_ESCAPES: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** `\\n`, `\\t`, `\\r`, `\\0`, `\\\\` and `\\xHH` as what they stand for; other backslashes stay. */
export function unescaped(text: string): string {
  return text.replace(/\\(?:([ntr0\\])|x([0-9a-fA-F]{2}))/g, (_, letter?: string, hex?: string) =>
    letter === undefined
      ? String.fromCharCode(Number.parseInt(hex ?? '', 16))
      : (ESCAPED[letter] ?? letter),
  )
}

const ESCAPED: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  '0': '\0',
  '\\': '\\',
}

/** One of several forms of a word: `1 record`, `2 records`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`
}
