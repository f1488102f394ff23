/** Changes of text: numbers, words and lines, besides bytes. */
import type { FuzzRandom } from './fuzz-random.ts'
import { mutate } from './mutate.ts'

const NUMBERS = [
  ...['0', '-1', '1', '+1', '007', '1e3', '0x10', '1.5', 'NaN', '', '2147483647', '4294967296'],
  ...['9007199254740991', '9007199254740992', '99999999999999999999999', '-9223372036854775808'],
]

export function mutateText(
  random: FuzzRandom,
  bytes: Buffer,
  others: readonly Buffer[] = [],
): Buffer {
  if (random.chance(0.4)) return mutate(random, bytes, others)
  const text = bytes.toString('latin1')
  return Buffer.from(
    random.chance(0.5) ? withOtherNumber(random, text) : withOtherLines(random, text),
    'latin1',
  )
}

function withOtherNumber(random: FuzzRandom, text: string): string {
  const found = [...text.matchAll(/-?\d+/g)]
  if (found.length === 0) return text + random.pick(NUMBERS)
  const { index, 0: digits } = random.pick(found)
  const number = random.chance(0.3) ? `${random.integer()}` : random.pick(NUMBERS)
  return text.slice(0, index) + number + text.slice(index + digits.length)
}

function withOtherLines(random: FuzzRandom, text: string): string {
  const lines = text.split('\n')
  const at = random.below(lines.length)
  const line = lines[at] ?? ''
  switch (random.below(5)) {
    case 0:
      lines.splice(at, 1)
      break
    case 1:
      lines.splice(at, 0, line)
      break
    case 2:
      lines[at] = `${line} ${random.pick(NUMBERS)}`
      break
    case 3:
      lines[at] = line
        .split(' ')
        .reverse()
        .join(random.pick([' ', '\t', '  ', '\r']))
      break
    default:
      lines[at] = line.repeat(1 + random.size(200))
  }
  return lines.join(random.chance(0.1) ? '\r\n' : '\n')
}

/** Puts another value in the place of one within a JSON value. */
export function mutateJson(random: FuzzRandom, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || random.chance(0.15)) {
    return otherJson(random, value)
  }
  if (Array.isArray(value)) {
    const items = [...value]
    if (items.length === 0 || random.chance(0.1)) return [...items, ...items, otherJson(random, 0)]
    const at = random.below(items.length)
    items[at] = mutateJson(random, items[at])
    return items
  }
  const entries = Object.entries(value)
  if (entries.length === 0 || random.chance(0.1)) {
    return { ...value, [random.pick(['', '__proto__', 'toString', 'name'])]: otherJson(random, 0) }
  }
  const at = random.below(entries.length)
  const [name, inner] = entries[at] as [string, unknown]
  if (random.chance(0.1)) entries.splice(at, 1)
  else entries[at] = [name, mutateJson(random, inner)]
  return Object.fromEntries(entries)
}

function otherJson(random: FuzzRandom, value: unknown): unknown {
  switch (random.below(8)) {
    case 0:
      return null
    case 1:
      return []
    case 2:
      return {}
    case 3:
      return `${JSON.stringify(value)}${random.pick(['', ' ', '\u0000', '/', '-1', 'x'.repeat(300)])}`
    case 4:
      return random.chance(0.5)
    case 5:
      return [value]
    default:
      return Number(random.integer())
  }
}
