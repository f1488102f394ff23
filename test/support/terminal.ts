// A program in a pseudo-terminal, by way of `script` (util-linux, or that of macOS).
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { AfterHook } from './fixtures.ts'
import { eventually } from './log-places.ts'

export const CTRL_C = '\u0003'
export const CTRL_D = '\u0004'

const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`

/** What is typed is echoed, and standard output and standard error are one. */
export class Terminal {
  readonly #child: ChildProcess
  #shown = ''
  #failure: Error | undefined

  /** Starts a program in a terminal of so many columns. */
  constructor(t: AfterHook, command: readonly string[], columns = 80) {
    const line = `stty cols ${columns} && exec ${command.map(quoted).join(' ')}`
    const args =
      process.platform === 'darwin'
        ? ['-q', '/dev/null', 'sh', '-c', line]
        : ['-q', '-e', '-f', '-c', line, '/dev/null']
    this.#child = spawn('script', args, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#child.stdout?.on('data', (chunk: Buffer) => {
      this.#shown += chunk.toString('utf8')
    })
    this.#child.on('error', (cause) => {
      const message =
        'there is no `script` here, which makes the terminal (util-linux; on Debian bsdutils)'
      this.#failure = new Error(message, { cause })
    })
    t.after(async () => {
      this.#child.kill('SIGKILL')
    })
  }

  /** What has been shown, lines ended by `\n`. */
  get shown(): string {
    return this.#shown.replaceAll('\r\n', '\n')
  }

  /** Waits until this has been shown. */
  async shows(text: string | RegExp): Promise<void> {
    const isShown = (): boolean => {
      if (this.#failure !== undefined) throw this.#failure
      return typeof text === 'string' ? this.shown.includes(text) : text.test(this.shown)
    }
    await eventually(isShown, `${text} on the terminal`)
  }

  type(text: string): void {
    this.#child.stdin?.write(text)
  }

  /** The program's exit code, once it has ended. */
  async ended(): Promise<number | null> {
    if (this.#child.exitCode === null) await once(this.#child, 'close').catch(() => {})
    if (this.#failure !== undefined) throw this.#failure
    return this.#child.exitCode
  }
}
