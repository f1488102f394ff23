#!/usr/bin/env node
/** `brokerless <command>`: the process around `run`. */
import { nodeFileSystem } from '../storage/file-system.ts'
import { systemClock } from '../util/clock.ts'
import { Interrupted } from './errors.ts'
import { run } from './run.ts'

const interrupt = new AbortController()

/** The first one asks for an orderly end; who sends a second one has waited long enough. */
function interrupted(name: NodeJS.Signals): void {
  const reason = new Interrupted(name)
  if (interrupt.signal.aborted) process.exit(reason.exitCode)
  interrupt.abort(reason)
}

for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, interrupted)

void run(process.argv.slice(2), {
  input: process.stdin,
  output: process.stdout,
  errors: process.stderr,
  fileSystem: nodeFileSystem,
  clock: systemClock,
  signal: interrupt.signal,
  isDebugging: process.env['DEBUG'] !== undefined,
}).then((exitCode) => {
  process.exitCode = exitCode
  // What was asked to end may still be at work, and a terminal or pipe may never end by itself.
  if (interrupt.signal.aborted) process.exit()
  process.stdin.destroy()
})
