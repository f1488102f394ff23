// Kafka's tools read what this library writes without one complaint: after a random run, and after kills.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { randomInteger, seededRandom } from '../support/random.ts'
import { dumpDirectories, verifyIndexes } from './kafka-tools.ts'
import type { ExpectedRecord } from './random-run.ts'
import {
  checkDump,
  deleteSomeRecords,
  openRandomLog,
  partitionDirectories,
  produceRandomly,
} from './random-run.ts'

const SEED = Number(process.env['BROKERLESS_SEED'] ?? Date.now() % 1_000_000)
const BURSTS = 300
const KILLS = 6
const CHILD = path.join(import.meta.dirname, 'writing-child.ts')

function newDirectory(t: { after(done: () => void): void }): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'brokerless-dump-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** Has a child write into the directory, kills it after so many acknowledgements, and answers with them. */
async function writeAndKill(directory: string, seed: number): Promise<ExpectedRecord[]> {
  const args = ['--import', 'tsx', CHILD, directory, String(seed)]
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  const killAfter = 20 + randomInteger(seededRandom(seed), 400)
  const acknowledged: ExpectedRecord[] = []
  let calls = 0
  for await (const line of createInterface({ input: child.stdout })) {
    // The kill may cut off the last line.
    if (!line.endsWith(']')) break
    acknowledged.push(...(JSON.parse(line) as ExpectedRecord[]))
    calls += 1
    if (calls === killAfter) child.kill('SIGKILL')
  }
  await ended
  assert.ok(calls >= killAfter, `the child ended after ${calls} calls`)
  return acknowledged
}

test(`a random run, closed, is sound to Kafka (seed ${SEED})`, async (t) => {
  const directory = newDirectory(t)
  const acknowledged: ExpectedRecord[] = []
  const tell = (records: readonly ExpectedRecord[]): void => {
    acknowledged.push(...records)
  }
  let log = await openRandomLog(directory)
  await produceRandomly(log, SEED, BURSTS, tell)
  await deleteSomeRecords(log, SEED)
  await log.close()
  log = await openRandomLog(directory)
  await produceRandomly(log, SEED + 1, BURSTS, tell)
  await log.close()

  const directories = partitionDirectories(directory)
  checkDump(await dumpDirectories(directories), directory, acknowledged)
  await verifyIndexes(directories)
})

test(`each state that a kill and a reopen left is sound to Kafka (seed ${SEED})`, async (t) => {
  const states: { directory: string; acknowledged: ExpectedRecord[] }[] = []
  for (let kill = 0; kill < KILLS; kill += 1) {
    const directory = newDirectory(t)
    const acknowledged = await writeAndKill(directory, SEED + kill)
    const log = await openRandomLog(directory)
    assert.equal(log.recovery.clean, false)
    await log.close()
    states.push({ directory, acknowledged })
  }
  const directories = states.flatMap(({ directory }) => partitionDirectories(directory))
  const dump = await dumpDirectories(directories)
  await verifyIndexes(directories)
  for (const { directory, acknowledged } of states) checkDump(dump, directory, acknowledged)
})
