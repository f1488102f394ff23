// Kafka's tools read what this library writes without one complaint: after a random run, and after kills.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { randomInteger, seededRandom } from '../support/random.ts'
import { expectDump } from './expectations.ts'
import { dumpDirectories, verifyIndexes } from './kafka-tools.ts'
import { Acknowledgements, openRandomLog, writeTerm } from './random-run.ts'
import type { Seen } from './records.ts'
import { readLog } from './records.ts'
import { endWithThisFile, scratchDirectory } from './scratch.ts'
import { SEED } from './seed.ts'

const BURSTS = 300
const KILLS = 6
const CHILD = path.join(import.meta.dirname, 'writing-child.ts')

/** Has a child write into the directory, kills it after so many acknowledgements, and answers with them. */
async function writeAndKill(directory: string, seed: number): Promise<Acknowledgements> {
  const args = ['--import', 'tsx', CHILD, directory, String(seed)]
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] })
  endWithThisFile(child)
  const ended = once(child, 'exit')
  const killAfter = 20 + randomInteger(seededRandom(seed), 400)
  const acknowledged = new Acknowledgements()
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
  return acknowledged
}

/** Opens the log, which tells whether it was closed, and reads all of it. */
async function reopen(directory: string, isClean: boolean): Promise<Seen> {
  const log = await openRandomLog(directory)
  assert.equal(log.recovery.clean, isClean)
  const seen = await readLog(log)
  await log.close()
  return seen
}

const partitionsOf = (directory: string, seen: Seen): string[] =>
  [...seen.keys()].map((name) => path.join(directory, name))

test(`random runs, closed, are sound to Kafka (seed ${SEED})`, async () => {
  const directory = scratchDirectory('dump')
  const acknowledged = new Acknowledgements()
  for (const seed of [SEED, SEED + 1]) {
    const log = await openRandomLog(directory)
    await writeTerm(log, seed, BURSTS, acknowledged.add)
    await log.close()
  }
  const seen = await reopen(directory, true)
  acknowledged.expectIn(seen, { wasKilled: false })
  const partitions = partitionsOf(directory, seen)
  expectDump(await dumpDirectories(partitions), directory, seen)
  await verifyIndexes(partitions)
})

test(`each state that a kill and a reopen left is sound to Kafka (seed ${SEED})`, async () => {
  const states: { directory: string; seen: Seen }[] = []
  for (let kill = 0; kill < KILLS; kill += 1) {
    const directory = scratchDirectory('kill')
    const acknowledged = await writeAndKill(directory, SEED + kill)
    const seen = await reopen(directory, false)
    acknowledged.expectIn(seen, { wasKilled: true })
    states.push({ directory, seen })
  }
  const partitions = states.flatMap(({ directory, seen }) => partitionsOf(directory, seen))
  const dump = await dumpDirectories(partitions)
  await verifyIndexes(partitions)
  for (const { directory, seen } of states) expectDump(dump, directory, seen)
})
