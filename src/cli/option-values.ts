import { UsageError } from './errors.ts'
import { isIntegerText } from './text.ts'

const MAX_INT32 = 2 ** 31 - 1

/** The options that a command was given. What is wrong with one is a `UsageError` that names it and what is allowed. */
export class OptionValues {
  readonly #where: string
  readonly #values: ReadonlyMap<string, readonly string[]>

  /** `where`: the command's name, for messages. */
  constructor(where: string, values: ReadonlyMap<string, readonly string[]>) {
    this.#where = where
    this.#values = values
  }

  flag(name: string): boolean {
    return this.#values.has(name)
  }

  /** The value of an option, of which the last one counts; undefined where it was not given. */
  text(name: string): string | undefined {
    return this.#values.get(name)?.at(-1)
  }

  /** All values of an option that may be given several times. */
  texts(name: string): readonly string[] {
    return this.#values.get(name) ?? []
  }

  needed(name: string, value: string): string {
    const text = this.text(name)
    if (text !== undefined && text !== '') return text
    throw new UsageError(`${this.#where} needs --${name} ${value}`)
  }

  choice<Choice extends string>(name: string, choices: readonly Choice[]): Choice | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    const choice = choices.find((each) => each === text)
    if (choice !== undefined) return choice
    throw this.refusal(name, text, `${choices.slice(0, -1).join(', ')} or ${choices.at(-1)}`)
  }

  integer(name: string, least: number, most: number = Number.MAX_SAFE_INTEGER): number | undefined {
    const text = this.text(name)
    return text === undefined ? undefined : this.#integer(name, text, least, most)
  }

  /** Numbers of partitions: none were given, all are meant. */
  partitions(name = 'partition'): readonly number[] | undefined {
    const given = this.texts(name)
    if (given.length === 0) return undefined
    return [...new Set(given.map((text) => this.#integer(name, text, 0, MAX_INT32)))]
  }

  /** For a value that is not what it must be. */
  refusal(name: string, value: string, allowed: string): UsageError {
    return new UsageError(`${this.#where}: --${name} is '${value}'; it must be ${allowed}`)
  }

  #integer(name: string, text: string, least: number, most: number): number {
    const value = Number(text)
    if (isIntegerText(text) && value >= least && value <= most) return value
    const range =
      most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`
    throw this.refusal(name, text, `an integer ${range}`)
  }
}
