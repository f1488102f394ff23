// A process that turns inputs into results is killed at a random moment, again and again: each input has its results exactly once.
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { compile } from '../support/compile.ts'
import { at } from '../support/failure-place.ts'
import type { ProcessTold } from '../support/process-child.ts'
import { PROCESS_WAYS, processTheRest } from '../support/process-child.ts'
import { INPUT_PARTITIONS, openProcessedLog, processedIn } from '../support/processed-log.ts'
import { randomInteger, seededRandom } from '../support/random.ts'
import { runToldChild } from '../support/told-child.ts'

const KILLS = Number(process.env['BROKERLESS_ROUNDS'] ?? 100)
const SEED = Number(process.env['BROKERLESS_SEED'] ?? Date.now() % 2 ** 31)
/** Then a new directory is begun. */
const KILLS_A_DIRECTORY = 10
/** Each so many-th process is not killed, but told to end. */
const RUNS_TO_AN_END = 10
/** Lines that a child may tell before it is ended. */
const MAX_LINES = 120
/** Directories at work at the same time: a process is waiting for most of its life. */
const LANES = 2

const sums = { lines: 0, handled: 0, results: 0, graves: 0 }

class KilledProcess {
  readonly #directory: string
  readonly #random: () => number
  /** Of the inputs that were acknowledged. */
  readonly #ends = Array.from({ length: INPUT_PARTITIONS }, () => 0)

  constructor(directory: string, random: () => number) {
    this.#directory = directory
    this.#random = random
  }

  async run(script: string, isKilled: boolean): Promise<void> {
    const way = PROCESS_WAYS[randomInteger(this.#random, PROCESS_WAYS.length)] ?? 'record'
    const seed = randomInteger(this.#random, 2 ** 31)
    const lastLine = Math.floor(this.#random() ** 2 * MAX_LINES)
    const args = [this.#directory, String(seed), way]
    await at(`as ${way}`, SEED, async () => {
      const lines = await runToldChild<ProcessTold>({ script, args, lastLine, isKilled }, (told) =>
        this.#note(told),
      )
      // Other directories have added theirs meanwhile.
      sums.lines += lines
    })
  }

  /** All that was written has its results at last. */
  async end(): Promise<void> {
    const log = await openProcessedLog(this.#directory)
    const { ends } = await processedIn(log)
    await processTheRest(log, ends)
    const again = await openProcessedLog(this.#directory)
    try {
      const found = await processedIn(again)
      this.#look(found.ends)
      const { results, graves, committed } = found
      assert.deepEqual(committed, ends)
      sums.results += results
      sums.graves += graves
    } finally {
      await again.close()
    }
  }

  #note(told: ProcessTold): void {
    if (told.is === 'handled') sums.handled += told.records
    if (told.is === 'found') this.#look(told.ends)
    if (told.is !== 'acknowledged') return
    const { partition, offset, count } = told
    this.#ends[partition] = Math.max(this.#ends[partition] ?? 0, offset + count)
  }

  /** Each process tells what it finds before it begins: what those before it have left. */
  #look(ends: readonly number[]): void {
    for (const [partition, acknowledged] of this.#ends.entries()) {
      const end = ends[partition] ?? 0
      assert.ok(end >= acknowledged, `inputs-${partition} ends at ${end}, not ${acknowledged}`)
    }
  }
}

test(`in ${KILLS} kills of a process every input has its results exactly once`, async (t) => {
  t.diagnostic(`BROKERLESS_SEED=${SEED}`)
  await using child = await compile(
    path.resolve(import.meta.dirname, '../support/process-child.ts'),
  )
  let begun = 0
  const lane = async (): Promise<void> => {
    while (begun < KILLS) {
      const first = begun
      begun += KILLS_A_DIRECTORY
      await runDirectory(child.script, SEED + first, Math.min(KILLS_A_DIRECTORY, KILLS - first))
    }
  }
  await Promise.all(Array.from({ length: LANES }, lane))
  t.diagnostic(JSON.stringify(sums))
  for (const sum of Object.values(sums)) assert.ok(sum > 0, JSON.stringify(sums))
})

async function runDirectory(script: string, seed: number, kills: number): Promise<void> {
  const directory = await mkdtemp(path.join(tmpdir(), 'brokerless-process-kill-'))
  const killed = new KilledProcess(directory, seededRandom(seed))
  // Where it fails the directory stays, to be looked at.
  await at(directory, seed, async () => {
    for (let runs = 0, count = 0; count < kills; runs += 1) {
      const isKilled = runs % RUNS_TO_AN_END !== RUNS_TO_AN_END - 1
      await killed.run(script, isKilled)
      if (isKilled) count += 1
    }
    await killed.end()
  })
  await rm(directory, { recursive: true })
}
