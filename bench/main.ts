// npm run bench: runs the trials that the command line asks for, prints their table and writes JSON and a picture beside it.
// Ends with code 1 where a program failed or a check did not hold, with 2 where the command line makes no sense.
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Command } from './cli.ts'
import { parseCommand, USAGE, UsageError } from './cli.ts'
import { machineOf } from './harness/machine.ts'
import { runTrials } from './harness/run.ts'
import { jsonOf } from './report/json.ts'
import { svgOf } from './report/svg.ts'
import { tablesOf } from './report/table.ts'
import { TRIALS } from './trials/trials.ts'

/** Beside the build that this runs from. */
const CACHE = path.join(import.meta.dirname, '../../bench')

function write(file: string, text: string): void {
  mkdirSync(path.dirname(path.resolve(file)), { recursive: true })
  writeFileSync(file, text)
}

async function run(command: Command): Promise<void> {
  const began = performance.now()
  const { workloads, repetitions, isQuick, isCold } = command
  const directory = path.resolve(command.directory ?? path.join(CACHE, 'data'))
  const machine = machineOf(directory)
  const { results, failures } = await runTrials(workloads, {
    repetitions,
    isQuick,
    isCold,
    directory,
    progress: (line) => console.error(line),
  })
  const json = command.json ?? path.join(CACHE, 'results.json')
  const svg = command.svg ?? path.join(CACHE, 'results.svg')
  write(json, jsonOf(results, machine, { repetitions, isQuick, isCold }))
  write(svg, svgOf(results, machine))
  const minutes = ((performance.now() - began) / 60_000).toFixed(1)
  const kind = isQuick ? 'a smoke run, whose figures say nothing' : `medians of ${repetitions}`
  const state = isCold ? 'cold processes' : 'warm processes'
  console.log(`${machine.summary}; ${kind}; ${state}; ${minutes} minutes\n`)
  console.log(tablesOf(results, !isQuick))
  console.log(`\nwritten: ${json}, ${svg}`)
  for (const failure of failures) console.error(`\nFAILED  ${failure}`)
  if (failures.length > 0) process.exitCode = 1
}

try {
  const command = parseCommand(process.argv.slice(2), TRIALS)
  if (command.help) console.log(USAGE)
  else await run(command)
} catch (error) {
  console.error(error instanceof UsageError ? error.message : error)
  process.exitCode = error instanceof UsageError ? 2 : 1
}
