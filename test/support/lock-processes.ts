// Child processes for the tests of the directory lock.
import type { ChildProcess } from 'node:child_process'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { TYPESCRIPT } from './typescript.ts'

export type LockCommand =
  | {
      readonly do: 'open'
      readonly directory: string
      readonly flock: boolean
      /** Kills itself before the operation after so many. */
      readonly dieAfter?: number | undefined
    }
  | { readonly do: 'release' }
  /** Takes the lock that a Kafka broker takes on its `.lock`, and nothing else. */
  | { readonly do: 'broker'; readonly path: string }

export type LockAnswer =
  | { readonly token: string; readonly flock: boolean }
  | { readonly refused: string }
  | { readonly failed: string }
  | { readonly done: true }
  | { readonly died: true }

const SCRIPT = fileURLToPath(new URL('lock-child.ts', import.meta.url))

export class LockProcess implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown>

  private constructor(child: ChildProcess) {
    this.#child = child
    this.#exited = once(child, 'exit')
  }

  static async start(): Promise<LockProcess> {
    const made = new LockProcess(fork(SCRIPT, { execArgv: ['--import', TYPESCRIPT] }))
    const first = await made.#answer()
    if (!('done' in first)) throw new Error('the child process did not start')
    return made
  }

  get pid(): number {
    return this.#child.pid ?? -1
  }

  async #answer(): Promise<LockAnswer> {
    const answered = new AbortController()
    const message = once(this.#child, 'message', { signal: answered.signal })
    message.catch(() => {})
    const died = this.#exited.then(() => ({ died: true }) as const)
    const answer = await Promise.race([message.then(([first]) => first as LockAnswer), died])
    answered.abort()
    return answer
  }

  ask(command: LockCommand): Promise<LockAnswer> {
    const answer = this.#answer()
    this.#child.send(command, () => {})
    return answer
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exited
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }
}
