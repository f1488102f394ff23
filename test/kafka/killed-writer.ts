/** A process that writes to a log of all kinds until it is killed, and what it was promised until then. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { randomInteger, seededRandom } from '../support/random.ts'
import type { Acknowledgements } from './random-run.ts'
import { endWithThisFile } from './scratch.ts'

const CHILD = path.join(import.meta.dirname, 'writing-child.ts')

/** Has it write into the directory, kills it after so many acknowledgements, and adds them to those that are known. */
export async function writeAndKill(
  directory: string,
  seed: number,
  acknowledged: Acknowledgements,
): Promise<void> {
  const args = ['--import', 'tsx', CHILD, directory, String(seed)]
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] })
  endWithThisFile(child)
  const ended = once(child, 'exit')
  const killAfter = 20 + randomInteger(seededRandom(seed), 400)
  let calls = 0
  for await (const line of createInterface({ input: child.stdout })) {
    // The kill may cut off the last line.
    if (!line.endsWith('}')) break
    acknowledged.add(JSON.parse(line))
    calls += 1
    if (calls === killAfter) child.kill('SIGKILL')
  }
  await ended
  assert.ok(calls >= killAfter, `the child ended after ${calls} calls`)
}
