// A log in a process of its own.
import type { ChildProcess } from 'node:child_process'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Log, LogOptions } from '../../src/index.ts'
import type { AfterHook } from './fixtures.ts'
import { TYPESCRIPT } from './typescript.ts'

const CHILD = fileURLToPath(new URL('./writer-child.ts', import.meta.url))

export interface WriterCommand {
  readonly method: string
  readonly args: readonly unknown[]
}

export interface WriterAnswer {
  readonly result?: unknown
  readonly failed?: string
}

/** Those of a log's methods that answer with a promise. Arguments and results travel as JSON. */
type Callable = Exclude<
  {
    [K in keyof Log]-?: Log[K] extends (...args: never[]) => Promise<unknown> ? K : never
  }[keyof Log],
  typeof Symbol.asyncDispose
>

export class WriterProcess {
  readonly #child: ChildProcess

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  /** Starts a process that opens `directory`, and waits until it has. */
  static async open(
    t: AfterHook,
    directory: string,
    options: LogOptions = {},
  ): Promise<WriterProcess> {
    const child = fork(CHILD, [directory, JSON.stringify(options)], {
      execArgv: ['--import', TYPESCRIPT],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    t.after(async () => {
      child.kill('SIGKILL')
    })
    const writer = new WriterProcess(child)
    await writer.#answer()
    return writer
  }

  /** Calls a method of the log there, one at a time. */
  async call(method: Callable, ...args: readonly unknown[]): Promise<unknown> {
    const answer = this.#answer()
    this.#child.send({ method, args } satisfies WriterCommand)
    return await answer
  }

  /** Kills the process, and waits until it is gone. */
  async kill(): Promise<void> {
    const exit = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await exit
  }

  async #answer(): Promise<unknown> {
    const ended = new AbortController()
    const exit: Promise<WriterAnswer> = once(this.#child, 'exit', { signal: ended.signal }).then(
      () => ({ failed: 'the process has ended' }),
      () => ({ failed: 'not waited for' }),
    )
    const message: Promise<WriterAnswer> = once(this.#child, 'message', {
      signal: ended.signal,
    }).then(
      ([answer]) => answer as WriterAnswer,
      () => ({ failed: 'not waited for' }),
    )
    const answer = await Promise.race([message, exit])
    ended.abort()
    if (answer.failed !== undefined) throw new Error(answer.failed)
    return answer.result
  }
}
