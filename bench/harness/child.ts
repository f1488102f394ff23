// One measurement, in a process of its own: `child.js <job as JSON>`; prints the metrics as JSON.
import { createRequire } from 'node:module'
import { Dataset } from '../data/records.ts'
import type { Program } from '../programs/program.ts'
import type { Metrics, ProgramName } from '../trials/types.ts'
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
}

async function measure(job: Job): Promise<Metrics> {
  const { program } = await PROGRAMS[job.program]()
  const task = program.tasks[job.task]
  if (task === undefined) throw new Error(`${job.program} has no ${job.task}`)
  const stopwatch = new Stopwatch()
  const metrics = await task({
    directory: job.directory,
    parameters: job.parameters,
    variant: job.variant,
    dataset: new Dataset(job.parameters),
    stopwatch,
    killed: job.ending === 'killed' ? () => process.kill(process.pid, 'SIGKILL') : undefined,
  })
  return { ...stopwatch.metrics(job.emptyBytes), ...metrics }
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
