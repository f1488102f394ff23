// Runs a child process that tells what it does (`tell.ts`), until it is killed at one of its lines.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

export interface ToldRun {
  /** The compiled program. */
  readonly script: string
  readonly args: readonly string[]
  /** The line, from 0, at which it is ended. */
  readonly lastLine: number
  /** Otherwise it is told to end, by a line to its input, and has to do so. */
  readonly isKilled: boolean
}

/** Calls back with each whole line; answers with their number. */
export async function runToldChild<T>(run: ToldRun, note: (told: T) => void): Promise<number> {
  const child = spawn(process.execPath, [run.script, ...run.args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  // One that is killed does not read.
  child.stdin.on('error', () => {})
  const exited = once(child, 'exit')
  let lines = 0
  try {
    for await (const line of createInterface(child.stdout)) {
      if (lines === run.lastLine) {
        if (run.isKilled) child.kill('SIGKILL')
        else child.stdin.write('end\n')
      }
      lines += 1
      // The last line may be cut off.
      if (line.endsWith('}')) note(JSON.parse(line) as T)
    }
  } catch (error) {
    // It would go on for ever.
    child.kill('SIGKILL')
    throw error
  }
  const [code, signal] = await exited
  if (run.isKilled) assert.equal(signal, 'SIGKILL', `the child ended by itself, with ${code}`)
  else assert.equal(code, 0, `the child ended with ${code ?? signal}`)
  return lines
}
