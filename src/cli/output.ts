import { errorCode } from '../util/error-code.ts'
import type { TerminalStream } from './command.ts'

/** Gathered before it is written, in bytes or UTF-16 units: a write for each line would cost more than the line. */
const CHUNK_SIZE = 64 * 1024

/**
 * Standard output or standard error. What is written is gathered; `flush` hands it on and waits where the reader is slow.
 * A reader that has gone (`EPIPE`) is no error: the rest is dropped and `onGone` is told.
 */
export class Output {
  readonly isTerminal: boolean
  readonly #stream: TerminalStream
  #gathered: (string | Uint8Array)[] = []
  #size = 0
  #failure: Error | undefined
  #isGone = false
  readonly #onGone: () => void

  constructor(stream: TerminalStream, onGone: () => void = () => {}) {
    this.#stream = stream
    this.isTerminal = stream.isTTY === true
    this.#onGone = onGone
    stream.on('error', (error) => this.#failed(error))
  }

  /** Of the terminal; undefined where it is none, or does not say. */
  get columns(): number | undefined {
    return this.isTerminal ? this.#stream.columns : undefined
  }

  /** `flush` is due. */
  get isFull(): boolean {
    return this.#size >= CHUNK_SIZE
  }

  write(chunk: string | Uint8Array): void {
    this.#gathered.push(chunk)
    this.#size += chunk.length
  }

  line(text = ''): void {
    this.write(`${text}\n`)
  }

  /** Resolves when more may be written. Rejects where the stream has failed otherwise than by the end of its reader. */
  async flush(): Promise<void> {
    const chunk = joined(this.#gathered)
    this.#gathered = []
    this.#size = 0
    if (chunk.length > 0 && !this.#isGone && this.#failure === undefined) {
      await new Promise<void>((resolve) => {
        this.#stream.write(chunk, (error) => {
          if (error !== null && error !== undefined) this.#failed(error)
          resolve()
        })
      })
    }
    if (this.#failure !== undefined) throw this.#failure
  }

  /** Told by the write and by the stream, in either order. */
  #failed(error: Error): void {
    if (this.#isGone || this.#failure !== undefined) return
    if (errorCode(error) === 'EPIPE') {
      this.#isGone = true
      this.#onGone()
    } else {
      this.#failure = error
    }
  }
}

/** As one chunk: text where all are, else bytes. */
function joined(chunks: readonly (string | Uint8Array)[]): string | Uint8Array {
  if (chunks.every((chunk) => typeof chunk === 'string')) return chunks.join('')
  return Buffer.concat(chunks.map((each) => (typeof each === 'string' ? Buffer.from(each) : each)))
}
