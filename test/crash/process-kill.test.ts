// A process that turns inputs into results is killed at a random moment, again and again: each input has its results exactly once.
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { compile } from '../support/compile.ts'
import { at } from '../support/failure-place.ts'
import type { ProcessedLog, ProcessTold, Result } from '../support/process-child.ts'
import {
  INPUT_PARTITIONS,
  openProcessedLog,
  PROCESS_WAYS,
  PROCESSED_GROUP,
  processTheRest,
} from '../support/process-child.ts'
import { randomInteger, seededRandom } from '../support/random.ts'
import { runToldChild } from '../support/told-child.ts'

const KILLS = Number(process.env['BROKERLESS_ROUNDS'] ?? 100)
const SEED = Number(process.env['BROKERLESS_SEED'] ?? Date.now() % 2 ** 31)
/** Then a new directory is begun. */
const KILLS_A_DIRECTORY = 10
/** Each so many-th process is not killed, but told to end. */
const RUNS_TO_AN_END = 10
/** Lines that a child may tell before it is ended. */
const MAX_LINES = 250
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
      sums.lines += await runToldChild<ProcessTold>({ script, args, lastLine, isKilled }, (told) =>
        this.#note(told),
      )
      const log = await openProcessedLog(this.#directory)
      try {
        await this.#check(log)
      } finally {
        await log.close()
      }
    })
  }

  /** All that was written has its results at last. */
  async end(): Promise<void> {
    const log = await openProcessedLog(this.#directory)
    const ends = await endsOf(log)
    await processTheRest(log, async () => {
      const committed = await committedOf(log)
      return ends.every((end, partition) => end === committed[partition])
    })
    const again = await openProcessedLog(this.#directory)
    try {
      const { results, graves } = await this.#check(again)
      assert.deepEqual(await committedOf(again), await endsOf(again))
      sums.results += results
      sums.graves += graves
    } finally {
      await again.close()
    }
  }

  #note(told: ProcessTold): void {
    if (told.is === 'handled') sums.handled += told.records
    if (told.is !== 'acknowledged') return
    const { partition, offset, count } = told
    this.#ends[partition] = Math.max(this.#ends[partition] ?? 0, offset + count)
  }

  /** What the group has committed has its results, or its dead letter, once; what it has not has none. */
  async #check(log: ProcessedLog): Promise<{ results: number; graves: number }> {
    const results = await resultsOf(log)
    const graves = await gravesOf(log)
    const committed = await committedOf(log)
    const ends = await endsOf(log)
    let found = 0
    for (let partition = 0; partition < INPUT_PARTITIONS; partition += 1) {
      const end = ends[partition] ?? 0
      const acknowledged = this.#ends[partition] ?? 0
      assert.ok(end >= acknowledged, `inputs-${partition} ends at ${end}, not ${acknowledged}`)
      for (let offset = 0; offset < end; offset += 1) {
        const input = `${partition}:${offset}`
        const isDone = offset < (committed[partition] ?? 0)
        const times = (results.has(input) ? 1 : 0) + (graves.has(input) ? 1 : 0)
        assert.equal(times, isDone ? 1 : 0, `results of ${input}, ${committed} is committed`)
        found += times
      }
    }
    assert.equal(found, results.size + graves.size, 'results of inputs that are not there')
    return { results: results.size, graves: graves.size }
  }
}

/** Inputs of which all parts are there. */
async function resultsOf(log: ProcessedLog): Promise<ReadonlySet<string>> {
  const parts = new Map<string, Set<number>>()
  const wanted = new Map<string, number>()
  for (const topic of ['results', 'audit'] as const) {
    for await (const record of log.read(topic, { until: 'end' })) {
      const { of, part, parts: count } = record.value as Result
      const known = parts.get(of) ?? new Set()
      assert.ok(!known.has(part), `part ${part} of the results of ${of} is there twice`)
      parts.set(of, known.add(part))
      wanted.set(of, count)
    }
  }
  for (const [of, { size }] of parts) assert.equal(size, wanted.get(of), `parts of ${of}`)
  return new Set(parts.keys())
}

async function gravesOf(log: ProcessedLog): Promise<ReadonlySet<string>> {
  const graves = new Set<string>()
  for await (const { headers } of log.read('graves', { until: 'end' })) {
    const input = `${headers['dlq.partition']}:${headers['dlq.offset']}`
    assert.ok(!graves.has(input), `${input} has two dead letters`)
    graves.add(input)
  }
  return graves
}

async function committedOf(log: ProcessedLog): Promise<number[]> {
  const committed = Array.from({ length: INPUT_PARTITIONS }, () => 0)
  for (const each of await log.committedOffsets(PROCESSED_GROUP)) {
    assert.equal(each.topic, 'inputs')
    committed[each.partition] = each.offset
  }
  return committed
}

async function endsOf(log: ProcessedLog): Promise<number[]> {
  const { partitions } = await log.describeTopic('inputs')
  return partitions.map(({ logEndOffset }) => logEndOffset)
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
