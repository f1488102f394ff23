// What a transaction has in hand: batches by partition and codec, and where their conditions say that they begin.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { OffsetConflictError } from '../../src/errors.ts'
import { resolveTransactionProduceOptions } from '../../src/options.ts'
import { MemoryFileSystem } from '../../src/testing/index.ts'
import { prepareProduce } from '../../src/topics/produce.ts'
import type { Topic } from '../../src/topics/topic.ts'
import { TransactionBuffer } from '../../src/transactions/transaction-buffer.ts'
import type { TransactionWrite } from '../../src/transactions/types.ts'
import { openTopic } from '../support/topics.ts'

const PARTITIONS = 2

interface Call {
  readonly partition: number
  readonly count: number
  readonly isZipped: boolean
  readonly expectedOffset: number | undefined
}

/** `true`: all that is buffered is taken, and written right behind what was written before. */
type Step = Call | true

const call = fc.record<Call>({
  partition: fc.nat(PARTITIONS - 1),
  count: fc.integer({ min: 1, max: 4 }),
  isZipped: fc.boolean(),
  expectedOffset: fc.option(fc.nat(12), { nil: undefined }),
})
const steps = fc.array<Step>(fc.oneof({ arbitrary: call, weight: 5 }, fc.constant(true as const)), {
  maxLength: 20,
})

function add(
  buffer: TransactionBuffer,
  topic: Topic,
  given: Call,
  values: readonly string[],
): void {
  const { partition, isZipped, expectedOffset } = given
  const options = resolveTransactionProduceOptions({
    partition,
    ...(isZipped ? { compression: 'gzip' } : {}),
    ...(expectedOffset === undefined ? {} : { expectedOffset }),
  })
  const records = values.map((value) => ({ value }))
  buffer.add(topic, prepareProduce(topic.codec, PARTITIONS, topic.sticky, records, options), {
    now: () => 0,
  })
}

/** One partition, as it should be: what is buffered, where it must begin, and where what was written ends. */
class Expected {
  readonly taken: string[] = []
  buffered: string[] = []
  base: number | undefined
  end = 0

  /** Undefined where the condition can hold beside the others. */
  conflictOf(expectedOffset: number | undefined): number | undefined {
    if (expectedOffset === undefined) return undefined
    const base = expectedOffset - this.buffered.length
    if (this.base !== undefined) return base === this.base ? undefined : this.base
    return base >= this.end ? undefined : this.end
  }

  take(): void {
    this.taken.push(...this.buffered)
    this.end = (this.base ?? this.end) + this.buffered.length
    this.buffered = []
    this.base = undefined
  }
}

function valuesOf(writes: readonly TransactionWrite[], partition: number): string[] {
  return writes
    .filter(({ log }) => log.partition === partition)
    .flatMap(({ set }) => set.values.map((value) => Buffer.from(value ?? []).toString()))
}

test('records keep their order, conditions agree, and what is refused changes nothing', async () => {
  const topic = await openTopic(new MemoryFileSystem(), { partitions: PARTITIONS })
  fc.assert(
    fc.property(steps, (given) => {
      const buffer = new TransactionBuffer()
      const model = Array.from({ length: PARTITIONS }, () => new Expected())
      const taken: TransactionWrite[] = []
      let next = 0
      const take = (writes: readonly TransactionWrite[]): void => {
        for (const { log, set, expectedOffset } of writes) {
          const expected = model[log.partition] as Expected
          if (expectedOffset >= 0) assert.ok(expectedOffset >= expected.end)
          assert.ok(set.values.length > 0)
        }
        for (const expected of model) expected.take()
        taken.push(...writes)
        buffer.written(
          writes.map(({ log, set }) => {
            const { length: count } = set.values
            const { end } = model[log.partition] as Expected
            return { log, baseOffset: end - count, count, timestamp: 0 }
          }),
        )
      }
      for (const step of given) {
        if (step === true) {
          take(buffer.take())
          assert.equal(buffer.bytes, 0)
          continue
        }
        const expected = model[step.partition] as Expected
        const values = Array.from({ length: step.count }, () => `${next++}`)
        const conflict = expected.conflictOf(step.expectedOffset)
        const bytes = buffer.bytes
        if (conflict !== undefined) {
          assert.throws(() => add(buffer, topic, step, values), OffsetConflictError)
          assert.equal(buffer.bytes, bytes)
          continue
        }
        add(buffer, topic, step, values)
        assert.ok(buffer.bytes > bytes)
        if (step.expectedOffset !== undefined) {
          expected.base = step.expectedOffset - expected.buffered.length
        }
        expected.buffered.push(...values)
      }
      const { before, last } = buffer.takeLast()
      const touched = last.map(({ log }) => log.partition)
      assert.equal(new Set(touched).size, touched.length)
      take([...before, ...last])
      for (const [partition, expected] of model.entries()) {
        assert.deepEqual(valuesOf(taken, partition), expected.taken)
      }
    }),
    { numRuns: 300 },
  )
  await Promise.all(topic.partitions.map((partition) => partition.close()))
})

test('every batch has where it begins, up to the last one that has a condition', async () => {
  const topic = await openTopic(new MemoryFileSystem(), { partitions: PARTITIONS })
  const buffer = new TransactionBuffer()
  const calls = [
    { isZipped: false, expectedOffset: undefined },
    { isZipped: true, expectedOffset: 7 },
    { isZipped: false, expectedOffset: undefined },
  ]
  for (const each of calls) add(buffer, topic, { partition: 0, count: 2, ...each }, ['a', 'b'])
  const { before, last } = buffer.takeLast()
  const begins = [...before, ...last].map(({ expectedOffset }) => expectedOffset)
  assert.deepEqual(begins, [5, 7, -1])
  await Promise.all(topic.partitions.map((partition) => partition.close()))
})
