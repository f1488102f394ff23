/** Directories and processes of one test file that are gone when it ends, also by Ctrl-C, a time-out or an error. */
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import path from 'node:path'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

const directories = new Set<string>()
const children = new Set<ChildProcess>()
let isWatched = false

function cleanUp(): void {
  for (const child of children) child.kill('SIGKILL')
  if (process.env['BROKERLESS_KEEP'] === '1') {
    process.stderr.write(`kept: ${[...directories].join(' ')}\n`)
    return
  }
  for (const directory of directories) {
    rmSync(directory, { recursive: true, force: true, maxRetries: 10 })
  }
}

function watch(): void {
  if (isWatched) return
  isWatched = true
  process.on('exit', cleanUp)
  for (const signal of SIGNALS) {
    process.on(signal, () => process.exit(128 + constants.signals[signal]))
  }
}

/** An empty directory. With `BROKERLESS_KEEP=1` it stays, and its path is printed at the end. */
export function scratchDirectory(purpose: string): string {
  watch()
  const directory = mkdtempSync(path.join(tmpdir(), `brokerless-kafka-${purpose}-`))
  directories.add(directory)
  return directory
}

/** Has a process killed at the end, unless it has ended by itself. */
export function endWithThisFile(child: ChildProcess): void {
  watch()
  children.add(child)
  child.once('exit', () => children.delete(child))
}

/** Rejects after a time: nothing here may hang. */
export async function within<T>(milliseconds: number, what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`${what}: not within ${milliseconds} ms`)),
      milliseconds,
    )
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
