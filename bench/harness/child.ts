// One measurement, in a process of its own: `child.js <job as JSON>`; prints the metrics as JSON.
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { Dataset } from '../data/records.ts'
import type { Program, Task, TaskContext } from '../programs/program.ts'
import type { Metrics, ProgramName } from '../trials/types.ts'
import { READING_TASKS } from '../trials/types.ts'
import type { Job } from './job.ts'
import { Stopwatch } from './stopwatch.ts'

/** Only the program that is measured, and what it needs, is loaded. */
const PROGRAMS: { readonly [name in ProgramName]: () => Promise<{ readonly program: Program }> } = {
  raw: () => import('../programs/raw.ts'),
  'raw+encode': () => import('../programs/raw-encode.ts'),
  brokerless: () => import('../programs/brokerless.ts'),
  lmdb: () => import('../programs/lmdb.ts'),
  'better-sqlite3': () => import('../programs/better-sqlite3.ts'),
  'classic-level': () => import('../programs/classic-level.ts'),
  codec: () => import('../programs/codec.ts'),
}

async function measure(job: Job): Promise<Metrics> {
  const { program } = await PROGRAMS[job.program]()
  const task = program.tasks[job.task]
  if (task === undefined) throw new Error(`${job.program} has no ${job.task}`)
  const context = {
    directory: job.directory,
    parameters: job.parameters,
    variant: job.variant,
    dataset: new Dataset(job.parameters),
    stopwatch: new Stopwatch(),
    killed: job.ending === 'killed' ? () => process.kill(process.pid, 'SIGKILL') : undefined,
  }
  if (job.isWarmedUp) await warmUp(job, task, context)
  const metrics = await task(context)
  return { ...context.stopwatch.metrics(job.emptyBytes), ...metrics }
}

/** How often the work is done before, where it is short: V8 compiles W1's last loops in its second million records. */
const WARM_UPS = 2
const SHORT_MS = 1500

/** So that what is timed is the rate of a process that is at work, and not how fast V8 compiles. */
async function warmUp(job: Job, task: Task, context: TaskContext): Promise<void> {
  const began = performance.now()
  for (let round = 0; round < WARM_UPS && performance.now() - began < SHORT_MS; round += 1) {
    await runUntimed(job, task, context)
  }
}

async function runUntimed(job: Job, task: Task, context: TaskContext): Promise<void> {
  const stopwatch = new Stopwatch()
  if (READING_TASKS.has(job.task)) {
    await task({ ...context, stopwatch })
    return
  }
  const directory = mkdtempSync(`${job.directory}-warm-up-`)
  await task({ ...context, directory, stopwatch })
  rmSync(directory, { recursive: true })
}

/** A hidden module must not have been found by another way. */
function checkCrc({ program, portableCrc }: Job): void {
  const loaded = Object.keys(createRequire(import.meta.url).cache)
  const native = loaded.some((file) => file.includes('@node-rs'))
  if (program === 'brokerless' && native === portableCrc) {
    throw new Error(`@node-rs/crc32 is ${native ? '' : 'not '}loaded`)
  }
}

const job = JSON.parse(process.argv[2] ?? '') as Job
const metrics = await measure(job)
checkCrc(job)
console.log(JSON.stringify(metrics))
