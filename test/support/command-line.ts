// The command line in this process: what it prints is gathered, and its files may be in memory.
import { PassThrough, Readable, Writable } from 'node:stream'
import type { Surroundings, TerminalStream } from '../../src/cli/command.ts'
import { run } from '../../src/cli/run.ts'
import { nodeFileSystem } from '../../src/index.ts'
import { ManualClock } from '../../src/testing/index.ts'

export interface Ran {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

/** Gathers what is written; a terminal where `columns` are given. */
export class Gathering extends Writable implements TerminalStream {
  readonly isTTY: boolean
  readonly columns: number
  readonly #chunks: Buffer[] = []

  constructor(columns?: number) {
    super()
    this.isTTY = columns !== undefined
    this.columns = columns ?? 0
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#chunks.push(chunk)
    done()
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks)
  }

  get text(): string {
    return this.bytes.toString('utf8')
  }
}

/** Two streams that gather, no input, the disk, and a clock that stands still, where nothing else is given. */
export function surroundings(given: Partial<Surroundings> = {}): Surroundings {
  return {
    input: Readable.from([]),
    output: new Gathering(),
    errors: new Gathering(),
    fileSystem: nodeFileSystem,
    clock: new ManualClock(),
    signal: new AbortController().signal,
    isDebugging: false,
    ...given,
  }
}

/** Runs the command line to its end. */
export async function ran(
  args: readonly string[],
  given: Partial<Surroundings> = {},
): Promise<Ran> {
  const [output, errors] = [new Gathering(), new Gathering()]
  const all = surroundings({ output, errors, ...given })
  const exitCode = await run(args, all)
  return { exitCode, stdout: output.text, stderr: errors.text }
}

/** Standard input with this text. */
export function inputOf(...chunks: (string | Uint8Array)[]): Readable {
  const input = new PassThrough()
  for (const chunk of chunks) input.write(chunk)
  input.end()
  return input
}
