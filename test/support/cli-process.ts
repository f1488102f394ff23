// The command line as a process of its own.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Ran } from './command-line.ts'
import { TYPESCRIPT } from './typescript.ts'

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
/** How long a command may take before it is killed: far longer than any does. */
const LONGEST_MS = 60_000

/** Runs `brokerless` in a process, with pipes around it, to its end. */
export function ranAsProcess(args: readonly string[]): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ['--import', TYPESCRIPT, MAIN, ...args],
      { timeout: LONGEST_MS, maxBuffer: 2 ** 28 },
      (error, stdout, stderr) => {
        const exitCode = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
        resolve({ exitCode, stdout, stderr })
      },
    )
  })
}
