// Runs trials: each measurement in a process and directory of its own, repetitions outermost, so that a slow minute of the
// machine falls on all programs.
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Result } from '../report/judgement.ts'
import type { Contender, Metrics, Preparation, Workload } from '../trials/types.ts'
import { COLD_TASKS, DEFAULT_PARAMETERS, READING_TASKS } from '../trials/types.ts'
import type { Job } from './job.ts'

const CHILD = path.join(import.meta.dirname, 'child.js')
const EMPTY = path.join(import.meta.dirname, 'empty.js')
const HIDE_NATIVE_CRC = path.join(import.meta.dirname, 'hide-native-crc.js')
const TIMEOUT_MS = 120_000
/** What is not measured may go side by side. */
const LANES_OF_SMOKE_RUN = 2

export interface RunOptions {
  readonly repetitions: number
  readonly isQuick: boolean
  /** Nothing is warmed up. */
  readonly isCold: boolean
  /** Where the measurements' directories are made, for a time. */
  readonly directory: string
  readonly progress: (line: string) => void
}

export interface Trials {
  readonly results: readonly Result[]
  /** Programs that failed, took too long or did not pass their checks; such a one is not measured again. */
  readonly failures: readonly string[]
}

export async function runTrials(
  workloads: readonly Workload[],
  options: RunOptions,
): Promise<Trials> {
  const failures: string[] = []
  const results = workloads.flatMap((workload) =>
    workload.contenders.map((contender) => ({
      workload,
      contender,
      measurements: [] as Metrics[],
    })),
  )
  mkdirSync(options.directory, { recursive: true })
  if (!options.isQuick) await warmMemory()
  for (let repetition = 1; repetition <= options.repetitions; repetition += 1) {
    const root = mkdtempSync(path.join(options.directory, 'brokerless-bench-'))
    try {
      const runner = new Repetition(root, await emptyPeakBytes(), options)
      // One that has failed is not measured again.
      const rest = results
        .filter(({ measurements }) => measurements.length === repetition - 1)
        .values()
      const lane = async (): Promise<void> => {
        for (const result of rest) {
          const name = `${result.workload.id}  ${result.contender.label}`
          options.progress(`${repetition}/${options.repetitions}  ${name}`)
          try {
            result.measurements.push(await runner.measure(result.workload, result.contender))
          } catch (error) {
            failures.push(`${name}: ${error instanceof Error ? error.message : error}`)
          }
        }
      }
      const lanes = options.isQuick ? LANES_OF_SMOKE_RUN : 1
      await Promise.all(Array.from({ length: lanes }, lane))
    } finally {
      rmSync(root, { recursive: true, force: true })
    }
  }
  return { results, failures }
}

class Repetition {
  readonly #root: string
  readonly #emptyBytes: number
  readonly #isQuick: boolean
  readonly #isCold: boolean
  /** Prepared directories that trials share, by the job that wrote them. */
  readonly #shared = new Map<string, SharedDirectory>()
  #directories = 0

  constructor(root: string, emptyBytes: number, { isQuick, isCold }: RunOptions) {
    this.#root = root
    this.#emptyBytes = emptyBytes
    this.#isQuick = isQuick
    this.#isCold = isCold
  }

  async measure(workload: Workload, contender: Contender): Promise<Metrics> {
    const quick = this.#isQuick ? workload.quick : {}
    const own = { ...workload.parameters, ...contender.parameters, ...quick }
    const parameters = { ...DEFAULT_PARAMETERS, ...own, ...(this.#isQuick ? contender.quick : {}) }
    const task = contender.task ?? workload.task
    const job: Job = {
      program: contender.program,
      task,
      variant: contender.variant ?? '',
      parameters,
      portableCrc: contender.portableCrc ?? false,
      ending: 'closed',
      isWarmedUp: !this.#isCold && !COLD_TASKS.has(task),
      emptyBytes: this.#emptyBytes,
      directory: '',
    }
    const preparation = contender.prepare ?? workload.prepare
    if (preparation === undefined) return this.#runIn(this.#newDirectory(), job)
    return this.#runPrepared(job, preparation)
  }

  async #runPrepared(job: Job, preparation: Preparation): Promise<Metrics> {
    const { program = job.program, task, ending, parameters, quick } = preparation
    const own = { ...job.parameters, ...parameters, ...(this.#isQuick ? quick : {}) }
    const plain = { variant: '', portableCrc: false, isWarmedUp: false }
    const first: Job = { ...job, ...plain, program, task, ending, parameters: own }
    const isShared = READING_TASKS.has(job.task) && ending === 'closed'
    if (!isShared) return this.#runIn(await this.#prepared(first), job)
    const output = await this.#sharedDirectory(first).use((directory) =>
      runChild({ ...job, directory }),
    )
    return JSON.parse(output) as Metrics
  }

  #sharedDirectory(job: Job): SharedDirectory {
    const key = JSON.stringify(job)
    const shared = this.#shared.get(key) ?? new SharedDirectory(this.#prepared(job))
    this.#shared.set(key, shared)
    return shared
  }

  async #prepared(job: Job): Promise<string> {
    const directory = this.#newDirectory()
    await runChild({ ...job, directory })
    return directory
  }

  async #runIn(directory: string, job: Job): Promise<Metrics> {
    const output = await runChild({ ...job, directory })
    rmSync(directory, { recursive: true })
    return JSON.parse(output) as Metrics
  }

  #newDirectory(): string {
    this.#directories += 1
    const directory = path.join(this.#root, String(this.#directories))
    mkdirSync(directory)
    return directory
  }
}

/** One process at a time has it open. */
class SharedDirectory {
  readonly #directory: Promise<string>
  /** The last that was asked for; never rejects. */
  #last: Promise<unknown>

  constructor(directory: Promise<string>) {
    this.#directory = directory
    this.#last = directory.catch(() => {})
  }

  use<T>(work: (directory: string) => Promise<T>): Promise<T> {
    const done = this.#last.then(async () => work(await this.#directory))
    this.#last = done.catch(() => {})
    return done
  }
}

/** What the process printed; nothing where it was to kill itself. */
async function runChild(job: Job): Promise<string> {
  const hooks = job.portableCrc ? ['--import', pathToFileURL(HIDE_NATIVE_CRC).href] : []
  const args = [...hooks, CHILD, JSON.stringify(job)]
  const { stdout, signal, problem } = await runNode(args)
  const isKilled = job.ending === 'killed' && signal === 'SIGKILL'
  if (isKilled || (problem === undefined && job.ending === 'closed')) return stdout
  throw new Error(`${job.program} failed at ${job.task}: ${problem ?? 'it was not killed'}`)
}

interface Ran {
  readonly stdout: string
  readonly signal: string | undefined
  readonly problem: string | undefined
}

function runNode(args: readonly string[]): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(process.execPath, args, { timeout: TIMEOUT_MS }, (error, stdout, stderr) => {
      const signal = error?.signal ?? undefined
      const late = error?.killed ? `it was stopped after ${TIMEOUT_MS / 1000} s. ` : ''
      const problem = error === null ? undefined : `${late}${stderr || error.message}`
      resolve({ stdout, signal, problem })
    })
  })
}

async function emptyPeakBytes(): Promise<number> {
  return Number((await runNode([EMPTY])).stdout)
}

/** Memory that the machine handed back is slow to touch again. A process of its own, so that it is all free again. */
async function warmMemory(): Promise<void> {
  await runNode(['-e', 'for (let i = 0; i < 8; i += 1) Buffer.allocUnsafeSlow(2 ** 27).fill(1)'])
}
