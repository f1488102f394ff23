// The command line of npm run bench.
import { parseArgs } from 'node:util'
import type { Contender, ProgramName, Workload } from './trials/types.ts'
import { PROGRAMS } from './trials/types.ts'

export const USAGE = `npm run bench [-- WORKLOAD… [options]]

  WORKLOAD…          such as W5; default: all
  --only PROGRAM,…   only these programs: ${PROGRAMS.join(', ')}
  --quick            a smoke run: little data, one repetition, no target judged
  --cold             each process begins with what is timed; default: it does the same before, once or twice
  --repetitions N    default 5
  --directory DIR    where the data is written, for a time; default .cache/bench/data
  --json FILE        default .cache/bench/results.json
  --svg FILE         default .cache/bench/results.svg`

/** What was asked for makes no sense; the message says what is allowed. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export interface Command {
  readonly help: boolean
  /** With only the contenders that are asked for. */
  readonly workloads: readonly Workload[]
  readonly isQuick: boolean
  readonly isCold: boolean
  readonly repetitions: number
  readonly directory: string | undefined
  readonly json: string | undefined
  readonly svg: string | undefined
}

const OPTIONS = {
  help: { type: 'boolean', default: false },
  only: { type: 'string' },
  quick: { type: 'boolean', default: false },
  cold: { type: 'boolean', default: false },
  repetitions: { type: 'string' },
  directory: { type: 'string' },
  json: { type: 'string' },
  svg: { type: 'string' },
} as const

/** Throws UsageError. */
export function parseCommand(args: readonly string[], all: readonly Workload[]): Command {
  const { values, positionals } = parse(args)
  const programs = programsOf(values.only)
  const isQuick = values.quick
  return {
    help: values.help,
    workloads: withContenders(
      workloadsOf(positionals, all),
      ({ program, notInQuick }) => programs.includes(program) && !(isQuick && notInQuick),
      programs,
    ),
    isQuick,
    isCold: values.cold,
    repetitions: repetitionsOf(values.repetitions, isQuick),
    directory: values.directory,
    json: values.json,
    svg: values.svg,
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true })
  } catch (cause) {
    throw new UsageError(`${cause instanceof Error ? cause.message : cause}\n\n${USAGE}`, { cause })
  }
}

function workloadsOf(names: readonly string[], all: readonly Workload[]): readonly Workload[] {
  const ids = [...new Set(all.map(({ id }) => id))]
  for (const name of names) {
    if (!ids.some((id) => isSame(id, name))) {
      throw new UsageError(`no workload is called ${name}; there are ${ids.join(', ')}`)
    }
  }
  return names.length === 0 ? all : all.filter(({ id }) => names.some((name) => isSame(id, name)))
}

function isSame(id: string, name: string): boolean {
  return id.toLowerCase() === name.toLowerCase()
}

function programsOf(list: string | undefined): readonly ProgramName[] {
  if (list === undefined) return PROGRAMS
  return list.split(',').map((name) => {
    const program = PROGRAMS.find((each) => each === name.trim())
    if (program !== undefined) return program
    throw new UsageError(`no program is called ${name.trim()}; there are ${PROGRAMS.join(', ')}`)
  })
}

function withContenders(
  workloads: readonly Workload[],
  isChosen: (contender: Contender) => boolean | undefined,
  programs: readonly ProgramName[],
): readonly Workload[] {
  const chosen = workloads.flatMap((workload) => {
    const contenders = workload.contenders.filter(isChosen)
    return contenders.length === 0 ? [] : { ...workload, contenders }
  })
  if (chosen.length > 0) return chosen
  const ids = workloads.map(({ id }) => id).join(', ')
  throw new UsageError(`none of ${programs.join(', ')} takes part in ${ids}`)
}

function repetitionsOf(text: string | undefined, isQuick: boolean): number {
  if (text === undefined) return isQuick ? 1 : 5
  const repetitions = Number(text)
  if (Number.isInteger(repetitions) && repetitions >= 1) return repetitions
  throw new UsageError(`--repetitions is ${text}; it must be an integer of at least 1`)
}
