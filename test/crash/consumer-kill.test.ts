// A process that consumes is killed at a random moment, again and again: no record is lost, and handed out again is only what was not
// committed before.
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { compile } from '../support/compile.ts'
import { ConsumedEvidence } from '../support/consumed-evidence.ts'
import type { ChildWay, Told } from '../support/consumer-child.ts'
import { CONSUMED_GROUP, openConsumedLog, PARTITIONS, TOPIC } from '../support/consumer-child.ts'
import { randomInteger, seededRandom } from '../support/random.ts'
import { runToldChild } from '../support/told-child.ts'

const KILLS = Number(process.env['BROKERLESS_ROUNDS'] ?? 100)
const SEED = Number(process.env['BROKERLESS_SEED'] ?? Date.now() % 2 ** 31)
/** Then a new directory is begun. */
const KILLS_A_DIRECTORY = 10
/** Each so many-th process is not killed, but told to end. */
const RUNS_TO_AN_END = 6
/** Lines that a child may tell before it is ended. */
const MAX_LINES = 400
/** Directories at work at the same time: a process is waiting for most of its life. */
const LANES = 2
const WAYS: readonly ChildWay[] = ['record', 'key', 'partition']

class KilledGroup {
  readonly evidence = new ConsumedEvidence(PARTITIONS)
  readonly #directory: string
  readonly #random: () => number

  constructor(directory: string, random: () => number) {
    this.#directory = directory
    this.#random = random
  }

  /** Answers with the number of lines that the child told. */
  async runChild(script: string, isKilled: boolean): Promise<number> {
    const way = WAYS[randomInteger(this.#random, WAYS.length)] ?? 'record'
    const seed = String(randomInteger(this.#random, 2 ** 31))
    const lastLine = Math.floor(this.#random() ** 2 * MAX_LINES)
    this.evidence.begin(way !== 'key')
    let isClosed = false
    const args = [this.#directory, seed, way]
    const lines = await runToldChild<Told>({ script, args, lastLine, isKilled }, (told) => {
      if (told.is === 'closed') isClosed = true
      this.evidence.note(told)
    })
    if (!isKilled) {
      assert.ok(isClosed, 'the child ended before its log was closed')
      this.evidence.closed()
    }
    return lines
  }

  /** Hands out here what is left, and looks whether anything is missing. */
  async check(): Promise<void> {
    const log = await openConsumedLog(this.#directory)
    try {
      const ends: number[] = []
      for (let partition = 0; partition < PARTITIONS; partition += 1) {
        // So that something is left in each.
        const { offset } = await log.produce(TOPIC, { value: 'the last', partition })
        ends.push(offset + 1)
      }
      this.evidence.begin(true)
      const left = new Set(ends.keys())
      const consumer = log.consumer({ group: CONSUMED_GROUP, topics: [TOPIC] })
      for await (const { partition, offset, key } of consumer) {
        this.evidence.note({ is: 'handed', partition, offset, key })
        this.evidence.note({ is: 'done', partition, offset })
        if (offset + 1 === ends[partition]) left.delete(partition)
        if (left.size === 0) break
      }
      this.evidence.checkIsAllDone(ends)
    } finally {
      await log.close()
    }
  }
}

test(`in ${KILLS} kills of a process that consumes, no record is lost, and handed out again is only what was not committed`, async (t) => {
  t.diagnostic(`BROKERLESS_SEED=${SEED}`)
  await using child = await compile(
    path.resolve(import.meta.dirname, '../support/consumer-child.ts'),
  )
  const sums = { lines: 0, handedOut: 0, handedOutAgain: 0, rememberedAbove: 0, orderly: 0 }
  let begun = 0
  const lane = async (): Promise<void> => {
    while (begun < KILLS) {
      const first = begun
      begun += KILLS_A_DIRECTORY
      const kills = Math.min(KILLS_A_DIRECTORY, KILLS - first)
      const { evidence, lines, orderly } = await runDirectory(child.script, SEED + first, kills)
      sums.lines += lines
      sums.orderly += orderly
      sums.handedOut += evidence.handedOut
      sums.handedOutAgain += evidence.handedOutAgain
      sums.rememberedAbove += evidence.rememberedAbove
    }
  }
  await Promise.all(Array.from({ length: LANES }, lane))
  assert.ok(sums.lines > KILLS * 10, JSON.stringify(sums))
  for (const sum of Object.values(sums)) assert.ok(sum > 0, JSON.stringify(sums))
})

interface DirectoryRun {
  readonly evidence: ConsumedEvidence
  readonly lines: number
  readonly orderly: number
}

async function runDirectory(script: string, seed: number, kills: number): Promise<DirectoryRun> {
  const directory = await mkdtemp(path.join(tmpdir(), 'brokerless-consumer-kill-'))
  const group = new KilledGroup(directory, seededRandom(seed))
  let lines = 0
  let orderly = 0
  try {
    for (let killed = 0; killed < kills; ) {
      const isKilled = (killed + orderly) % RUNS_TO_AN_END !== RUNS_TO_AN_END - 1
      lines += await group.runChild(script, isKilled)
      if (isKilled) killed += 1
      else orderly += 1
    }
    await group.check()
  } catch (error) {
    // The directory stays, to be looked at.
    if (error instanceof Error) error.message = `${directory}, seed ${seed}: ${error.message}`
    throw error
  }
  await rm(directory, { recursive: true })
  return { evidence: group.evidence, lines, orderly }
}
