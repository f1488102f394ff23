// Kafka's tools read what this library writes without one complaint: after a random run, and after kills.
import assert from 'node:assert/strict'
import path from 'node:path'
import { test } from 'node:test'
import { expectCodecs, expectDump, expectGaps, hasGaps } from './expectations.ts'
import { dumpDirectories, verifyIndexes } from './kafka-tools.ts'
import { writeAndKill } from './killed-writer.ts'
import { Acknowledgements, openRandomLog, writeTerm } from './random-run.ts'
import type { Seen } from './records.ts'
import { readLog } from './records.ts'
import { scratchDirectory } from './scratch.ts'
import { SEED } from './seed.ts'

const BURSTS = 300
const KILLS = 6

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
  const dump = await dumpDirectories(partitions, hasGaps)
  expectDump(dump, directory, seen)
  expectCodecs(dump, directory)
  expectGaps(seen)
  await verifyIndexes(partitions)
})

test(`each state that a kill and a reopen left is sound to Kafka (seed ${SEED})`, async () => {
  const states: { directory: string; seen: Seen }[] = []
  for (let kill = 0; kill < KILLS; kill += 1) {
    const directory = scratchDirectory('kill')
    const acknowledged = new Acknowledgements()
    await writeAndKill(directory, SEED + kill, acknowledged)
    const seen = await reopen(directory, false)
    acknowledged.expectIn(seen, { wasKilled: true })
    states.push({ directory, seen })
  }
  const partitions = states.flatMap(({ directory, seen }) => partitionsOf(directory, seen))
  const dump = await dumpDirectories(partitions, hasGaps)
  await verifyIndexes(partitions)
  for (const { directory, seen } of states) expectDump(dump, directory, seen)
})
