import { asError } from '../util/error-code.ts'

/** How a command ends. */
export const EXIT_OK = 0
/** It could not do what it was asked to, or has found damage. */
export const EXIT_TROUBLE = 1
/** It was called wrongly, and has done nothing. */
export const EXIT_USAGE = 2

/** The command line is wrong: the message names what, and what is allowed. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** What a person has to know, and no stack would tell better. */
export class Trouble extends Error {
  override readonly name = 'Trouble'
}

/** As shells tell of a process that a signal has ended. */
const SIGNAL_EXIT = 128
const SIGNAL_NUMBERS = { SIGHUP: 1, SIGINT: 2, SIGPIPE: 13, SIGTERM: 15 } as const

/** A signal came, or, told as SIGPIPE, whoever read the output has gone. Nothing is said about it. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted'
  readonly exitCode: number

  constructor(signal: NodeJS.Signals) {
    super(`interrupted by ${signal}`)
    const numbers: Readonly<Record<string, number>> = SIGNAL_NUMBERS
    this.exitCode = SIGNAL_EXIT + (numbers[signal] ?? 0)
  }

  /** True where a person or a supervisor asked for the end. */
  get isAskedFor(): boolean {
    return this.exitCode !== SIGNAL_EXIT + SIGNAL_NUMBERS.SIGPIPE
  }
}

/** What went wrong first, where the closing of something has gone wrong after it. */
export function originOf(thrown: unknown): unknown {
  let origin = thrown
  while (origin instanceof Error && 'suppressed' in origin) origin = origin.suppressed
  return origin
}

/** The messages of an error and of its causes, where these say more. What is worded here has all in it. */
export function messageOf(thrown: unknown): string {
  const error = asError(thrown)
  const { cause } = error
  const isWhole = error instanceof Trouble || error instanceof UsageError
  if (cause === undefined || isWhole) return error.message
  const reason = messageOf(cause)
  return error.message.includes(reason) ? error.message : `${error.message}: ${reason}`
}
