/** The command line as a function: arguments in, exit code out. What belongs to the process is given to it. */
import { fileURLToPath } from 'node:url'
import { readFileIfThere } from '../storage/checkpoint.ts'
import { nodeFileSystem } from '../storage/file-system.ts'
import { closestName } from '../util/closest-name.ts'
import { asError } from '../util/error-code.ts'
import { parseArguments, takeOperand } from './arguments.ts'
import type { Command, Surroundings } from './command.ts'
import { COMMANDS } from './commands.ts'
import {
  EXIT_OK,
  EXIT_TROUBLE,
  EXIT_USAGE,
  Interrupted,
  messageOf,
  originOf,
  UsageError,
} from './errors.ts'
import {
  DIR_OPTION,
  HELP_OPTION,
  helpOf,
  helpOfAll,
  JSON_OPTION,
  optionsOf,
  PROGRAM,
  VERSION_OPTION,
} from './help.ts'
import { OptionValues } from './option-values.ts'
import { Output } from './output.ts'
import { printable } from './text.ts'

/** What may stand before the command. */
const LEADING_OPTIONS = [DIR_OPTION, JSON_OPTION, HELP_OPTION, VERSION_OPTION]

interface Invocation {
  readonly surroundings: Surroundings
  readonly output: Output
  readonly errors: Output
  readonly signal: AbortSignal
}

export async function run(args: readonly string[], surroundings: Surroundings): Promise<number> {
  const end = new AbortController()
  const gone = (): void => end.abort(new Interrupted('SIGPIPE'))
  const invocation: Invocation = {
    surroundings,
    output: new Output(surroundings.output, gone),
    // Without a reader of the messages the command goes on.
    errors: new Output(surroundings.errors),
    signal: AbortSignal.any([surroundings.signal, end.signal]),
  }
  const { output, errors } = invocation
  let exitCode: number
  try {
    exitCode = await dispatch(args, invocation)
    await output.flush()
    if (end.signal.aborted) exitCode = end.signal.reason.exitCode
  } catch (error) {
    exitCode = tell(error, invocation)
    await output.flush().catch(() => {})
  }
  await errors.flush().catch(() => {})
  return exitCode
}

async function dispatch(args: readonly string[], invocation: Invocation): Promise<number> {
  const { output, errors } = invocation
  const taken = takeOperand(args, LEADING_OPTIONS)
  if (taken === undefined) return withoutCommand(args, invocation)
  const { operand, rest } = taken
  if (operand === 'help') return help(rest, output)
  const command = await load(operand)
  const where = command.name
  const specs = optionsOf(command)
  const { values, operands } = parseArguments(where, rest, specs)
  if (values.has(HELP_OPTION.name)) {
    output.write(helpOf(command))
    return EXIT_OK
  }
  checkOperands(where, command, operands)
  const { input, fileSystem, clock } = invocation.surroundings
  const { signal } = invocation
  const options = new OptionValues(where, values)
  const context = { options, operands, input, output, errors, fileSystem, clock, signal }
  const running = command.run(context)
  if (command.endsBySignal === true) return running
  return Promise.race([running, rejectsWhenAborted(signal)])
}

/** `brokerless`, `brokerless --help`, `brokerless --version`. */
async function withoutCommand(args: readonly string[], invocation: Invocation): Promise<number> {
  const { output, errors } = invocation
  const { values } = parseArguments('without a command', args, LEADING_OPTIONS)
  if (values.has(VERSION_OPTION.name)) {
    output.line(await version())
    return EXIT_OK
  }
  if (values.has(HELP_OPTION.name)) return help([], output)
  errors.write(await helpText([]))
  return EXIT_USAGE
}

async function help(names: readonly string[], output: Output): Promise<number> {
  output.write(await helpText(names))
  return EXIT_OK
}

async function helpText([name]: readonly string[]): Promise<string> {
  if (name !== undefined) return helpOf(await load(name))
  return helpOfAll(await Promise.all(COMMANDS.map((entry) => entry.load())))
}

function load(name: string): Promise<Command> {
  const entry = COMMANDS.find((each) => each.name === name)
  if (entry !== undefined) return entry.load()
  const names = COMMANDS.map((each) => each.name)
  const closest = closestName(name, names)
  const hint = closest === undefined ? `there are ${names.join(', ')}` : `did you mean ${closest}?`
  throw new UsageError(`there is no command '${name}'; ${hint}`)
}

function checkOperands(where: string, command: Command, operands: readonly string[]): void {
  const { least, most } = command.operands ?? { least: 0, most: 0 }
  const usage = `${PROGRAM} ${where} ${command.usage}`
  if (operands.length < least)
    throw new UsageError(`${where}: an argument is missing. Usage: ${usage}`)
  if (operands.length <= most) return
  throw new UsageError(`${where}: '${operands[most]}' is one argument too many. Usage: ${usage}`)
}

function rejectsWhenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}

/** Says what went wrong, and answers with the exit code. */
function tell(error: unknown, { surroundings, errors }: Invocation): number {
  const thrown = originOf(error)
  if (thrown instanceof Interrupted) return thrown.exitCode
  errors.line(`${PROGRAM}: ${printable(messageOf(thrown))}`)
  if (surroundings.isDebugging) errors.line(asError(thrown).stack ?? '')
  return thrown instanceof UsageError ? EXIT_USAGE : EXIT_TROUBLE
}

/** From the package's own package.json, which lies two folders above this file, in `src` as in `dist`. */
async function version(): Promise<string> {
  const file = fileURLToPath(new URL('../../package.json', import.meta.url))
  const bytes = await readFileIfThere(nodeFileSystem, file)
  return String(JSON.parse(bytes?.toString('utf8') ?? '{}').version)
}
