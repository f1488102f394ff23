import type { Readable, Writable } from 'node:stream'
import type { Clock, FileSystem } from '../types.ts'
import type { OptionValues } from './option-values.ts'
import type { Output } from './output.ts'

/** An option of a command, as `--help` shows it. */
export interface OptionSpec {
  /** `from` for `--from`. */
  readonly name: string
  /** One letter. */
  readonly short?: string
  /** What stands for its value in the help, such as `DIR`; left out: a flag, which takes none. */
  readonly value?: string
  /** It may be given several times. */
  readonly isRepeatable?: boolean
  /** One sentence without a full stop; default and range in it. */
  readonly summary: string
}

export interface Example {
  readonly command: string
  /** What it does, in a few words. */
  readonly does: string
}

/** One command; each is a file of its own, loaded when it is called. */
export interface Command {
  readonly name: string
  /** One line, without a full stop. */
  readonly summary: string
  /** What stands behind the name, such as `TOPIC --dir DIR [options]`. */
  readonly usage: string
  /** Paragraphs of the help between the usage and the options. */
  readonly details?: readonly string[]
  /** How many arguments it takes that are no options. Default: none. */
  readonly operands?: { readonly least: number; readonly most: number }
  /** Besides those of every command: `--help`, and `--json` where it is not among them. */
  readonly options: readonly OptionSpec[]
  readonly examples: readonly Example[]
  /**
   * True: at Ctrl-C, and when whoever reads the output has gone, `run` ends by itself, as `signal` tells it.
   * Default false: it is left as it stands, which only a command that changes nothing may be.
   */
  readonly endsBySignal?: boolean
  /** Answers with the exit code; throws `UsageError`, or what kept it from its work. */
  run(context: CommandContext): Promise<number>
}

/** What a command has to work with. */
export interface CommandContext {
  readonly options: OptionValues
  readonly operands: readonly string[]
  readonly input: Readable
  readonly output: Output
  readonly errors: Output
  readonly fileSystem: FileSystem
  readonly clock: Clock
  /** Its reason is an `Interrupted`. */
  readonly signal: AbortSignal
}

/** A stream that may be a terminal. */
export type TerminalStream = Writable & { readonly isTTY?: boolean; readonly columns?: number }

/** What the process gives to the command line. */
export interface Surroundings {
  readonly input: Readable
  readonly output: TerminalStream
  readonly errors: TerminalStream
  readonly fileSystem: FileSystem
  readonly clock: Clock
  /** Aborted by Ctrl-C and its like, with an `Interrupted`. */
  readonly signal: AbortSignal
  /** Errors are shown with their stack. */
  readonly isDebugging: boolean
}
