// npm run bench:self [-- --repetitions 5]: this library against bare node:fs on the same work, in the same run.
//
// Every measurement has a process and a directory of its own; repetitions are the outer loop, so that a slow minute of the
// machine falls on all. Below about 15 % a difference means nothing on a shared machine.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { buildLibrary } from './self/library.ts'
import type { Measurement } from './self/measure.ts'
import { tableOf } from './self/table.ts'
import { WORKLOADS } from './self/workloads.ts'

const { values } = parseArgs({
  options: {
    repetitions: { type: 'string', default: '5' },
    directory: { type: 'string', default: tmpdir() },
  },
})
const CHILD = path.join(import.meta.dirname, 'self/child.ts')

function inDirectory<T>(work: (directory: string) => T): T {
  const directory = mkdtempSync(path.join(values.directory, 'brokerless-bench-'))
  try {
    return work(directory)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function measure(name: string, directory: string): Measurement {
  const args = ['--import', 'tsx', CHILD, name, directory]
  const output = execFileSync(process.execPath, args, { encoding: 'utf8' })
  return JSON.parse(output) as Measurement
}

/** Memory that the machine handed back is slow to touch again. */
function warmMemory(): void {
  for (let chunk = 0; chunk < 8; chunk += 1) Buffer.allocUnsafeSlow(128 * 1024 * 1024).fill(1)
}

buildLibrary()
warmMemory()
const results = new Map<string, Measurement[]>()
const repetitions = Number(values.repetitions)
for (let repetition = 1; repetition <= repetitions; repetition += 1) {
  console.error(`repetition ${repetition} of ${repetitions}`)
  for (const { contenders, needsW1 } of WORKLOADS) {
    inDirectory((shared) => {
      if (needsW1) measure('appendLog', shared)
      for (const { name } of contenders) {
        const result = needsW1 ? measure(name, shared) : inDirectory((own) => measure(name, own))
        results.set(name, [...(results.get(name) ?? []), result])
      }
    })
  }
}
console.log(
  `Node ${process.version}, ${process.platform}, ${availableParallelism()} CPUs, medians of ${repetitions}\n`,
)
console.log(tableOf(WORKLOADS, results))
