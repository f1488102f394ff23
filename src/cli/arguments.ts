import { parseArgs } from 'node:util'
import { closestName } from '../util/closest-name.ts'
import type { OptionSpec } from './command.ts'
import { UsageError } from './errors.ts'

/** The command line taken apart: values by option name, and the arguments that are no options. */
export interface ParsedArguments {
  readonly values: ReadonlyMap<string, readonly string[]>
  readonly operands: readonly string[]
}

/** A value that begins with a dash and is a value all the same: `-5`, and `-` for standard input. */
const DASHED_VALUE = /^-\d*$/

type Token = NonNullable<ReturnType<typeof parseArgs>['tokens']>[number]
type OptionToken = Extract<Token, { kind: 'option' }>

/** `where`: the command's name, for messages. Throws `UsageError`, with a hint for what is not known. */
export function parseArguments(
  where: string,
  args: readonly string[],
  specs: readonly OptionSpec[],
): ParsedArguments {
  const known = new Map(specs.map((spec) => [spec.name, spec]))
  const values = new Map<string, string[]>()
  const operands: string[] = []
  for (const token of tokensOf(args, specs)) {
    if (token.kind === 'positional') operands.push(token.value)
    if (token.kind !== 'option') continue
    const spec = known.get(token.name)
    if (spec === undefined) throw unknownOption(where, token, known.keys())
    const value = givenValue(where, token, spec)
    values.set(spec.name, [...(values.get(spec.name) ?? []), value])
  }
  return { values, operands }
}

/** Takes the first argument that is no option out of the others; undefined where there is none. */
export function takeOperand(
  args: readonly string[],
  specs: readonly OptionSpec[],
): { readonly operand: string; readonly rest: readonly string[] } | undefined {
  const token = tokensOf(args, specs).find(({ kind }) => kind === 'positional')
  if (token?.kind !== 'positional') return undefined
  return { operand: token.value, rest: args.toSpliced(token.index, 1) }
}

function tokensOf(args: readonly string[], specs: readonly OptionSpec[]): readonly Token[] {
  const options = Object.fromEntries(
    specs.map(({ name, short, value }) => [
      name,
      {
        type: value === undefined ? ('boolean' as const) : ('string' as const),
        ...(short === undefined ? {} : { short }),
      },
    ]),
  )
  // Not strict: its own messages know neither the command nor what is near to what was written.
  return parseArgs({ args: [...args], options, strict: false, tokens: true }).tokens
}

/** A flag that is given counts as the empty text. */
function givenValue(where: string, token: OptionToken, spec: OptionSpec): string {
  const { value, rawName } = token
  if (spec.value === undefined) {
    if (value === undefined) return ''
    throw new UsageError(`${where}: ${rawName} takes no value`)
  }
  if (value === undefined) throw new UsageError(`${where}: ${rawName} needs a value: ${spec.value}`)
  if (token.inlineValue || !value.startsWith('-') || DASHED_VALUE.test(value)) return value
  throw new UsageError(
    `${where}: ${rawName} needs a value: ${spec.value}; one that begins with a dash is written ${rawName}=${value}`,
  )
}

function unknownOption(where: string, token: OptionToken, known: Iterable<string>): UsageError {
  const closest = token.name.length > 1 ? closestName(token.name, known) : undefined
  const hint = closest === undefined ? 'see --help' : `did you mean --${closest}?`
  return new UsageError(`${where}: unknown option ${token.rawName}; ${hint}`)
}
