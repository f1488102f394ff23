import { closestName } from './closest-name.ts'

/**
 * Checks of what a caller gives. Each names the option, the value and what is allowed: another type is a
 * `TypeError`, a value of the right type outside its range a `RangeError`.
 */

export const MAX_INT32: number = 2 ** 31 - 1
export const MAX_SAFE: number = Number.MAX_SAFE_INTEGER

/** Refuses names that are not known, with a hint. Costs no allocation where all are. */
export function checkNames(where: string, given: object, known: ReadonlySet<string>): void {
  for (const name in given) if (!known.has(name)) throw unknownName(where, name, known)
}

function unknownName(where: string, name: string, known: ReadonlySet<string>): TypeError {
  const closest = closestName(name, known)
  const hint = closest === undefined ? '' : `; did you mean ${closest}?`
  return new TypeError(`${where}: unknown option ${name}${hint}`)
}

/** The options of a call as an object; undefined where none were given. */
export function checkObject(where: string, given: unknown): object | undefined {
  if (given === undefined || (typeof given === 'object' && given !== null)) return given
  throw wrongType(where, given, 'an object')
}

/** The named fields of a call that cannot do without them. */
export function checkFields<Given>(
  where: string,
  given: Given,
  names: ReadonlySet<string>,
): Given & object {
  if (typeof given !== 'object' || given === null) {
    throw wrongType(`what ${where} is given`, given, `an object with ${[...names].join(' and ')}`)
  }
  checkNames(where, given, names)
  return given
}

/** An object whose fields are what it says; the content of an array, a Map or the like is elsewhere. */
export function isFieldsObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !(Symbol.iterator in value)
}

/** A safe integer in a range. */
export function checkInteger(
  name: string,
  value: unknown,
  minimum: number,
  maximum: number = MAX_SAFE,
): number {
  if (isIntegerWithin(value, minimum, maximum)) return value
  const range = maximum === MAX_SAFE ? `of at least ${minimum}` : `from ${minimum} to ${maximum}`
  throw wrongValue(name, value, 'number', `an integer ${range}`)
}

/** A safe integer in a range; the fallback where it is undefined. */
export function optionalInteger(
  name: string,
  value: unknown,
  fallback: number,
  minimum: number,
  maximum: number = MAX_SAFE,
): number {
  return value === undefined ? fallback : checkInteger(name, value, minimum, maximum)
}

/** A number in a range, whole or not. */
export function checkNumber(
  name: string,
  value: unknown,
  minimum: number,
  maximum: number,
): number {
  if (typeof value === 'number' && value >= minimum && value <= maximum) return value
  throw wrongValue(name, value, 'number', `a number from ${minimum} to ${maximum}`)
}

function isIntegerWithin(value: unknown, minimum: number, maximum: number): value is number {
  return Number.isSafeInteger(value) && Number(value) >= minimum && Number(value) <= maximum
}

/** One of a few strings; the fallback where it is undefined. */
export function checkChoice<Choice extends string, Fallback>(
  name: string,
  value: unknown,
  fallback: Fallback,
  choices: readonly Choice[],
): Choice | Fallback {
  if (value === undefined) return fallback
  const choice = choices.find((each) => each === value)
  if (choice !== undefined) return choice
  throw wrongValue(name, value, 'string', choices.map((each) => `'${each}'`).join(' or '))
}

export function checkBoolean(name: string, value: unknown, fallback: boolean): boolean {
  if (value === undefined) return fallback
  if (typeof value === 'boolean') return value
  throw wrongType(name, value, 'true or false')
}

export function checkSignal(name: string, value: unknown): AbortSignal | undefined {
  if (value === undefined || value instanceof AbortSignal) return value
  throw wrongType(name, value, 'an AbortSignal')
}

/** An object with a method of this name, as far as can be seen. */
export function checkHasMethod(
  name: string,
  value: unknown,
  method: string,
  allowed: string,
): void {
  if (value === undefined) return
  if (typeof value === 'object' && value !== null) {
    if (typeof (value as Readonly<Record<string, unknown>>)[method] === 'function') return
  }
  throw wrongType(name, value, allowed)
}

/** A `TypeError` if the value is not even of the type that is allowed, else a `RangeError`. */
export function wrongValue(
  name: string,
  value: unknown,
  type: 'number' | 'string',
  allowed: string,
): TypeError | RangeError {
  if (typeof value !== type) return wrongType(name, value, allowed)
  return new RangeError(`${name} is ${shown(value)}; it must be ${allowed}`)
}

export function wrongType(name: string, value: unknown, allowed: string): TypeError {
  return new TypeError(`${name} is ${shown(value)}; it must be ${allowed}`)
}

/** A value as a message shows it: short, and never by its own `toString`. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value.length > 60 ? `${value.slice(0, 60)}…` : value}'`
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'symbol') return 'a symbol'
  if (typeof value === 'object' && value !== null) {
    return Array.isArray(value) ? 'an array' : 'an object'
  }
  return String(value)
}
