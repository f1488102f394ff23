import type { Clock, Timer } from '../types.ts'
import type { CommandContext } from './command.ts'
import type { Output } from './output.ts'

/** What takes less is not worth a word; also the time between two looks. */
const INTERVAL_MS = 1000
const CLEAR_LINE = '\r\u001b[K'

/**
 * One line on a terminal's standard error for what takes longer than a second; it goes when `stop` is called. Nothing
 * where standard error is no terminal. Its timer needs turns of the event loop.
 */
export class Progress implements Disposable {
  readonly #errors: Output
  readonly #clock: Clock
  readonly #text: () => string
  #timer: Timer | undefined
  #isShown = false

  /** `text`: how far it is, in a few words; asked for each second. */
  constructor({ errors, clock }: Pick<CommandContext, 'errors' | 'clock'>, text: () => string) {
    this.#errors = errors
    this.#clock = clock
    this.#text = text
    if (errors.isTerminal) this.#arm()
  }

  /** Takes the line away; safe to call twice. To be called before anything else is written to standard error. */
  stop(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    if (this.#isShown) this.#errors.write(CLEAR_LINE)
    this.#isShown = false
  }

  /** Takes the line away until it comes again by itself, so that something else can be written to the terminal. */
  hide(): void {
    if (!this.#isShown) return
    this.#isShown = false
    this.#errors.write(CLEAR_LINE)
    void this.#errors.flush().catch(() => {})
  }

  [Symbol.dispose](): void {
    this.stop()
  }

  #arm(): void {
    this.#timer = this.#clock.setTimer(() => this.#show(), INTERVAL_MS)
  }

  async #show(): Promise<void> {
    const columns = this.#errors.columns ?? 80
    this.#errors.write(`${CLEAR_LINE}${this.#text().slice(0, Math.max(0, columns - 1))}`)
    this.#isShown = true
    this.#arm()
    await this.#errors.flush().catch(() => {})
  }
}
