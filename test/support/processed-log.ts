// A log whose inputs are turned into results, and what there is of both.
import assert from 'node:assert/strict'
import { Log } from '../../src/index.ts'

/** The part of an input that a result is, and how many there are. Stands in `results`, or in `audit`. */
export interface Result {
  readonly of: string
  readonly part: number
  readonly parts: number
}

export const INPUT_PARTITIONS = 3
export const PROCESSED_GROUP = 'workers'

export const openProcessedLog = (directory: string) =>
  Log.open(directory, {
    topics: {
      inputs: { value: 'string', partitions: INPUT_PARTITIONS, segmentBytes: 16 * 1024 },
      results: { value: 'json', partitions: 2, segmentBytes: 16 * 1024 },
      audit: { value: 'json' },
      graves: { value: 'string' },
    },
    durability: 'os',
    flushIntervalMs: 50,
    maxTransactionBytes: 8000,
  })

export type ProcessedLog = Awaited<ReturnType<typeof openProcessedLog>>

export interface Processed {
  /** Of the inputs' partitions. */
  readonly ends: readonly number[]
  readonly committed: readonly number[]
  readonly results: number
  readonly graves: number
}

/** Looks at all of it: what the group has committed has its results, or its dead letter, once; what it has not has none. */
export async function processedIn(log: ProcessedLog): Promise<Processed> {
  const results = await resultsOf(log)
  const graves = await gravesOf(log)
  const committed = await committedOf(log)
  const ends = await endsOf(log)
  let found = 0
  for (const [partition, end] of ends.entries()) {
    for (let offset = 0; offset < end; offset += 1) {
      const input = `${partition}:${offset}`
      const isDone = offset < (committed[partition] ?? 0)
      const times = (results.has(input) ? 1 : 0) + (graves.has(input) ? 1 : 0)
      assert.equal(times, isDone ? 1 : 0, `results of ${input}, ${committed} is committed`)
      found += times
    }
  }
  assert.equal(found, results.size + graves.size, 'results of inputs that are not there')
  return { ends, committed, results: results.size, graves: graves.size }
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

export async function committedOf(log: ProcessedLog): Promise<number[]> {
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
