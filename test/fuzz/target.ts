import type { FuzzRandom } from './fuzz-random.ts'

/** Something that takes bytes from outside, and what it may do with them. */
export interface FuzzTarget {
  readonly name: string
  /** Share of a campaign's time, relative to the others. Default 1. */
  readonly weight?: number
  /** One input may take this long. Default 10,000. */
  readonly timeoutMs?: number
  /** One input may hold this much at its end, garbage included, besides 64 times its size. Default 16 MiB. */
  readonly memoryBytes?: number
  /** Reads what inputs are made from. Called once, before `generate`. */
  prepare?(): Promise<void>
  /** The input of an iteration; it depends on `random` alone. */
  generate(random: FuzzRandom): Buffer
  /** Throws, or rejects, where the library misbehaves; errors that it may give are caught in here. */
  run(input: Buffer): void | Promise<void>
  /** Inputs simpler than this one, the most promising first. Default: with parts of its bytes removed or zeroed. */
  shrink?(input: Buffer): Iterable<Buffer>
}

/** A class of errors, abstract ones included. */
type ErrorClass = abstract new (...args: never[]) => Error

/** As `unlessRefused`, for a call that gives a promise. */
export async function unlessRejected<T>(
  call: () => Promise<T>,
  ...allowed: readonly ErrorClass[]
): Promise<T | undefined> {
  try {
    return await call()
  } catch (error) {
    if (allowed.some((each) => error instanceof each)) return undefined
    throw error
  }
}

/** What `call` gives; undefined where it throws an error of one of these classes, which is how it may refuse its input. */
export function unlessRefused<T>(call: () => T, ...allowed: readonly ErrorClass[]): T | undefined {
  try {
    return call()
  } catch (error) {
    if (allowed.some((each) => error instanceof each)) return undefined
    throw error
  }
}
