/** The texts of `--help`. Pure. */
import type { Command, OptionSpec } from './command.ts'
import { displayWidth } from './table.ts'

/** The name that users call. */
export const PROGRAM = 'brokerless'
const WIDTH = 80
const INDENT = '  '

export const HELP_OPTION: OptionSpec = { name: 'help', short: 'h', summary: 'Show this help' }
export const VERSION_OPTION: OptionSpec = { name: 'version', summary: 'Show the version' }
export const JSON_OPTION: OptionSpec = {
  name: 'json',
  summary: 'Print JSON instead of text for people',
}
/** For commands that work on a data directory. */
export const DIR_OPTION: OptionSpec = {
  name: 'dir',
  short: 'd',
  value: 'DIR',
  summary: 'The data directory',
}

/** For commands that may do with some partitions of a topic. */
export function partitionsOption(summary: string): OptionSpec {
  return { name: 'partition', short: 'p', value: 'N', isRepeatable: true, summary }
}

/** For commands that tell of several topics. */
export const INTERNAL_OPTION: OptionSpec = {
  name: 'internal',
  summary:
    'Include __consumer_offsets and __transaction_state, where committed offsets and the states of transactions are kept',
}

/** For commands that write. */
export const BREAK_LOCK_OPTION: OptionSpec = {
  name: 'break-lock',
  value: 'TOKEN',
  summary: 'Clear the lock of this token, whose holder is known to be gone',
}

const EXIT_CODES: readonly (readonly [string, string])[] = [
  ['0', 'Done'],
  ['1', 'Trouble: what was asked for could not be done, or damage was found'],
  ['2', 'The command line is wrong; nothing was done'],
  ['130, 143', 'Interrupted by Ctrl-C (SIGINT) or SIGTERM; 0 where --follow is ended so'],
  ['141', 'Whoever read the output has gone, as with `| head`'],
]

export function helpOfAll(commands: readonly Command[]): string {
  return [
    `Usage: ${PROGRAM} <command> [options]\n`,
    "Looks into a directory in the format of Kafka's log, reads it and writes to it.",
    'Commands that only read change nothing, and run beside a live writer.\n',
    `Commands:\n${listed(commands.map(({ name, summary }) => [name, summary]))}`,
    `Options:\n${optionList([HELP_OPTION, VERSION_OPTION])}`,
    `Exit codes:\n${listed(EXIT_CODES)}`,
    `${PROGRAM} <command> --help tells more of a command.`,
  ]
    .map((part) => `${part}\n`)
    .join('')
}

/** Those of a command and those of every command, of which it may word `--json` itself. */
export function optionsOf({ options }: Command): readonly OptionSpec[] {
  const ownJson = options.some(({ name }) => name === JSON_OPTION.name)
  return [...options, ...(ownJson ? [] : [JSON_OPTION]), HELP_OPTION]
}

export function helpOf(command: Command): string {
  const { name, usage, summary, details = [], examples } = command
  const paragraphs = [`${summary}.`, ...details].map((text) => `${wrapped(text, WIDTH)}\n`)
  const shown = examples.flatMap(({ command: line, does }) => [
    `${INDENT}# ${does}`,
    `${INDENT}${line}`,
  ])
  return [
    `Usage: ${PROGRAM} ${name} ${usage}\n`,
    ...paragraphs,
    `Options:\n${optionList(optionsOf(command))}`,
    `Examples:\n${shown.join('\n')}`,
  ]
    .map((part) => `${part}\n`)
    .join('')
}

function optionList(options: readonly OptionSpec[]): string {
  return listed(
    options.map(({ name, short, value, summary, isRepeatable }) => [
      `${short === undefined ? '    ' : `-${short}, `}--${name}${value === undefined ? '' : ` ${value}`}`,
      `${summary}${isRepeatable === true ? '; may be given several times' : ''}`,
    ]),
  )
}

/** A word and its text a line, the texts below each other. */
function listed(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([word]) => displayWidth(word)))
  const hanging = INDENT.length + width + 2
  return rows
    .map(([word, text]) => {
      const lines = wrapped(text, WIDTH - hanging).split('\n')
      return `${INDENT}${word.padEnd(width)}  ${lines.join(`\n${' '.repeat(hanging)}`)}\n`
    })
    .join('')
}

/** In lines of at most `width` characters, where no word is longer. */
function wrapped(text: string, width: number): string {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else {
      line = line === '' ? word : `${line} ${word}`
    }
  }
  return [...lines, line].join('\n')
}
