// Child processes that run a module of test/support to its own end.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { TYPESCRIPT } from './typescript.ts'

export interface ChildResult {
  readonly stdout: string
  readonly stderr: string
  readonly code: number
}

/** How long a child may take before it is killed: far longer than any does. */
const LONGEST_MS = 60_000

/** Runs a module of test/support in a process of its own, and waits until that has ended. */
export function runChild(module: string, args: readonly string[]): Promise<ChildResult> {
  const file = fileURLToPath(new URL(module, import.meta.url))
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ['--import', TYPESCRIPT, file, ...args],
      { timeout: LONGEST_MS },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
        resolve({ stdout, stderr, code })
      },
    )
  })
}
