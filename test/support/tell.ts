// How a child process tells its parent what it has done, so that it is known after a kill.
import { writeSync } from 'node:fs'

/** A line of JSON, in the pipe before anything else is done. Where that is full, its reader is waited for. */
export function tellParent(told: object): void {
  const line = Buffer.from(`${JSON.stringify(told)}\n`)
  for (let written = 0; written < line.length; ) {
    try {
      written += writeSync(1, line, written)
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'EAGAIN') throw error
    }
  }
}

/** Whether this process was started to run the module. */
export function isProgram(filename: string): boolean {
  return process.argv[1]?.replace(/\.[jt]s$/, '') === filename.replace(/\.[jt]s$/, '')
}
