import { LogError } from '../errors.ts'
import { asError } from '../util/error-code.ts'

/** A package that a codec needs, loaded when it is first asked for. */
export class OptionalPackage<Exports> {
  readonly #codec: string
  readonly #name: string
  readonly #load: () => unknown
  #exports: Exports | undefined
  #failure: unknown

  /** `load` holds the `require`, with the name written out: whoever bundles or audits sees it. */
  constructor(codec: string, name: string, load: () => unknown) {
    this.#codec = codec
    this.#name = name
    this.#load = load
  }

  /** Throws `LogError` `UNSUPPORTED_CODEC` where it cannot be loaded. */
  get(): Exports {
    if (this.#exports !== undefined) return this.#exports
    // To look for it anew takes 0.1 ms, for each of perhaps many batches.
    if (this.#failure === undefined) {
      try {
        this.#exports = this.#load() as Exports
        return this.#exports
      } catch (error) {
        this.#failure = error
      }
    }
    const name = this.#name
    const [reason] = asError(this.#failure).message.split('\n')
    throw new LogError(
      'UNSUPPORTED_CODEC',
      `the codec ${this.#codec} needs the package ${name}, which cannot be loaded (${reason}): npm install ${name}`,
      { cause: this.#failure },
    )
  }
}
