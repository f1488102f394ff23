// Calls of all sizes, levels and codecs, made in any rhythm: a partition is what an array of them would be.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type {
  BatchAcknowledgement,
  CompressionType,
  Durability,
  TopicsOf,
} from '../../src/index.ts'
import { Log } from '../../src/index.ts'
import { MemoryFileSystem } from '../../src/testing/index.ts'
import { batchesIn, line } from '../support/compressed-batches.ts'

const RUNS = Number(process.env['BROKERLESS_MODEL_RUNS'] ?? 60)
const SEED = process.env['BROKERLESS_SEED']
const LOG_FILE = `${'0'.repeat(20)}.log`

const call: fc.Arbitrary<SentCall> = fc.record({
  /** Small batches are compressed in the call, larger ones elsewhere, and several of the largest do not fit in one. */
  bytes: fc.oneof(fc.nat(300), fc.nat(40_000), fc.nat({ max: 700_000 })),
  count: fc.integer({ min: 1, max: 4 }),
  compression: fc.constantFrom(undefined, 'none', 'gzip', 'snappy', 'lz4', 'zstd'),
  durability: fc.constantFrom('disk', 'os'),
  /** -1: not conditional; 0: right; 1: wrong. */
  expectation: fc.constantFrom(-1, -1, -1, 0, 1),
  /** Turns of the event loop until the next call; -1: until this one is answered. */
  pause: fc.constantFrom(0, 0, 0, 1, 3, -1),
})

const config = fc.record({
  compression: fc.constantFrom('none', 'gzip', 'lz4', 'zstd'),
  durability: fc.constantFrom('disk', 'os'),
  maxMessageBytes: fc.constantFrom(1_048_588, 3_000_000),
  segmentBytes: fc.constantFrom(2 ** 30, 4_000_000),
})

interface SentCall {
  readonly bytes: number
  readonly count: number
  readonly compression: CompressionType | undefined
  readonly durability: Durability
  readonly expectation: number
  readonly pause: number
}

type StringLog = Log<TopicsOf<{ readonly t: { readonly value: 'string' } }>>

/** Makes calls, and checks what they are told against an array of the values. */
class Calls {
  readonly values: string[] = []
  readonly #log: StringLog
  readonly #durability: Durability
  readonly #answers: Promise<unknown>[] = []
  /** Of calls at the topic's level, as they were told. */
  readonly #told: number[] = []

  constructor(log: StringLog, durability: Durability) {
    this.#log = log
    this.#durability = durability
  }

  async make(n: number, sent: SentCall): Promise<void> {
    const { bytes, count, compression, durability, expectation, pause } = sent
    const values = Array.from({ length: count }, (_, i) => line(10 * n + i, 1 + bytes / count))
    const base = this.values.length
    const answer = this.#log.produce(
      't',
      values.map((value) => ({ value })),
      {
        partition: 0,
        durability,
        ...(compression === undefined ? {} : { compression }),
        ...(expectation < 0 ? {} : { expectedOffset: base + expectation }),
      },
    )
    if (expectation === 1) {
      this.#answers.push(assert.rejects(answer, { code: 'OFFSET_CONFLICT', actual: base }))
    } else {
      this.values.push(...values)
      this.#answers.push(answer.then((acks) => this.#acknowledged(acks, base, count, durability)))
    }
    if (pause < 0) await this.#answers.at(-1)
    for (let turn = 0; turn < pause; turn += 1) await new Promise((go) => setImmediate(go))
  }

  async settled(): Promise<void> {
    await Promise.all(this.#answers)
    const inOrder = [...this.#told].sort((a, b) => a - b)
    assert.deepEqual(this.#told, inOrder, 'told in order')
  }

  #acknowledged(
    [ack]: readonly BatchAcknowledgement[],
    base: number,
    count: number,
    level: Durability,
  ): void {
    assert.deepEqual([ack?.baseOffset, ack?.lastOffset], [base, base + count - 1])
    if (level === this.#durability) this.#told.push(base)
  }
}

async function read(log: StringLog): Promise<(string | null)[]> {
  const values: (string | null)[] = []
  for await (const record of log.read('t', { until: 'end' })) {
    assert.equal(record.offset, values.length)
    values.push(record.value)
  }
  return values
}

test('any calls in any rhythm are read back in the order in which they were made', async () => {
  await fc.assert(
    fc.asyncProperty(
      config,
      fc.array(call, { minLength: 1, maxLength: 25 }),
      async (topic, sent) => {
        const fileSystem = new MemoryFileSystem()
        const topics = { t: { value: 'string', ...topic } } as const
        const log = await Log.open('log', { fileSystem, topics })
        const calls = new Calls(log, topic.durability)
        for (const [n, each] of sent.entries()) await calls.make(n, each)
        await calls.settled()
        await log.flush()
        assert.deepEqual(await read(log), calls.values)
        await log.close()
        const again = await Log.open('log', { fileSystem, topics })
        assert.deepEqual(await read(again), calls.values)
        await again.close()
        checkBatches(fileSystem, topic.maxMessageBytes)
      },
    ),
    { numRuns: RUNS, ...(SEED === undefined ? {} : { seed: Number(SEED) }) },
  )
})

/** No batch is above the largest size. */
function checkBatches(fileSystem: MemoryFileSystem, maxMessageBytes: number): void {
  const handle = fileSystem.openSync(`log/t-0/${LOG_FILE}`, 'read')
  const file = Buffer.alloc(handle.sizeSync())
  handle.readSync(file, 0, file.length, 0)
  handle.closeSync()
  for (const { sizeBytes } of batchesIn(file)) assert.ok(sizeBytes <= maxMessageBytes)
}
