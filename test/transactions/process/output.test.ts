// What handlers come to, kept until its transaction is written: whose bytes it is made of, and the batches that it makes.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { RecordSet } from '../../../src/codec/record-set.ts'
import { MemoryFileSystem } from '../../../src/testing/index.ts'
import { RecordCollector } from '../../../src/topics/log-record.ts'
import { bytes, string } from '../../../src/topics/serializers.ts'
import type { Topic } from '../../../src/topics/topic.ts'
import type { Output } from '../../../src/transactions/process/output.ts'
import { outputOf, writesOf } from '../../../src/transactions/process/output.ts'
import type { Consumed } from '../../../src/transactions/process/seams.ts'
import { openTopic, topicOf } from '../../support/topics.ts'

const GIVEN = 100

async function opened(): Promise<Topic> {
  const { partitions } = await openTopic(new MemoryFileSystem(), { partitions: 2 })
  return topicOf(partitions, { key: 'bytes', serializer: bytes })
}

async function close({ partitions }: Topic): Promise<void> {
  await Promise.all(partitions.map((each) => each.close()))
}

/** Records as they are read: the keys a0, a1 …, the values v0, v1 …. */
function read(serializer = bytes as typeof bytes | typeof string): readonly Consumed[] {
  const collector = new RecordCollector('in', 0, 'bytes', serializer)
  for (let offset = 0; offset < GIVEN; offset += 1) {
    const key = Buffer.from(`a${offset}`)
    const value = Buffer.from(`v${offset}`)
    const page = Buffer.concat([key, value])
    collector.record(offset, 0, page, 0, key.length, key.length, value.length, 0, 0)
  }
  return collector.records as unknown as readonly Consumed[]
}

function setOf(
  keys: readonly (string | Uint8Array | null)[],
  values: readonly (Uint8Array | null)[],
): RecordSet {
  return { keys, values, headers: undefined, timestamps: undefined }
}

function bytesOf(given: readonly Consumed[], field: 'key' | 'value'): readonly Buffer[] {
  return given.map((record) => record[field] as Buffer)
}

function kept(topic: Topic, set: RecordSet, given: readonly Consumed[] = []): RecordSet {
  return outputOf(topic, 0, set, undefined, 0, given).set
}

const texts = (list: readonly unknown[]): unknown[] =>
  list.map((each) => (each instanceof Uint8Array ? Buffer.from(each).toString() : each))

suite('bytes of an output', () => {
  test('are copied: the handler may use its buffers again', async () => {
    const topic = await opened()
    const mine = [Buffer.from('one'), null, Buffer.from(''), Buffer.from('two')] as const
    const { keys, values } = kept(topic, setOf(['k', null, mine[0], mine[3]], mine))
    for (const each of mine) each?.fill('x')
    assert.deepEqual(texts(keys), ['k', null, 'one', 'two'])
    assert.deepEqual(texts(values), ['one', null, '', 'two'])
    await close(topic)
  })

  test('are passed on as they are where they are those of a record that was handed out', async () => {
    const topic = await opened()
    const given = read()
    const [keys, values] = [bytesOf(given, 'key'), bytesOf(given, 'value')]
    const all = kept(topic, setOf(keys, values), given)
    assert.ok(all.keys.every((key, at) => key === keys[at]))
    assert.ok(all.values.every((value, at) => value === values[at]))
    // Some are left out, some come twice, and some are the handler's own.
    const mine = Buffer.from('mine')
    const [v0, v9, v10] = [values[0], values[9], values[10]] as [Buffer, Buffer, Buffer]
    const some = kept(topic, setOf([null, null, null, null, null], [v0, mine, v9, v9, v10]), given)
    mine.fill('x')
    assert.deepEqual(texts(some.values), ['v0', 'mine', 'v9', 'v9', 'v10'])
    assert.deepEqual([some.values[0], some.values[3], some.values[4]], [v0, v9, v10])
    assert.equal(some.values[2], v9)
    assert.notEqual(some.values[1], mine)
    await close(topic)
  })

  test('are copied where they come in another order, or are a part of what was handed out', async () => {
    const topic = await opened()
    const given = read()
    const [first, last] = [given[0], given[GIVEN - 1]].map((record) => record?.value as Buffer)
    const part = last?.subarray(1) as Buffer
    const { values } = kept(
      topic,
      setOf([null, null, null], [last as Buffer, first as Buffer, part]),
      given,
    )
    assert.deepEqual(texts(values), [`v${GIVEN - 1}`, 'v0', `${GIVEN - 1}`])
    assert.notEqual(values[0], last)
    await close(topic)
  })

  test('do not ask for a value that is decoded only when it is asked for', async () => {
    const topic = await opened()
    const given = read(string)
    let decoded = 0
    for (const record of given) {
      Object.defineProperty(record, 'value', {
        get: () => {
          decoded += 1
          return 'text'
        },
      })
    }
    kept(
      topic,
      setOf(
        bytesOf(given, 'key'),
        Array.from(given, () => Buffer.from('own')),
      ),
      given,
    )
    assert.equal(decoded, 0)
    await close(topic)
  })
})

suite('writes', () => {
  test('are the only output of a partition as it is, or all of them in their order', async () => {
    const topic = await opened()
    const output = (partition: number, values: string, timestamps?: number[]): Output => {
      const list = [...values].map((value) => Buffer.from(value))
      const keys = list.map(() => null)
      const set = { keys, values: list, headers: undefined, timestamps }
      return outputOf(topic, partition, set, undefined, 0)
    }
    const [only, ...joined] = [
      output(1, 'xy'),
      output(0, 'ab'),
      output(0, 'c', [7]),
      output(0, 'd'),
    ]
    const { before, last } = writesOf([...joined.slice(0, 1), only as Output, ...joined.slice(1)])
    assert.deepEqual(before, [])
    assert.deepEqual(
      last.map(({ log }) => log.partition),
      [0, 1],
    )
    assert.deepEqual(texts(last[0]?.set.values ?? []), ['a', 'b', 'c', 'd'])
    assert.deepEqual(last[0]?.set.timestamps, [undefined, undefined, 7, undefined])
    assert.equal(last[1]?.set, only?.set)
    // The outputs are what they were, for another try.
    assert.deepEqual(texts(joined[0]?.set.values ?? []), ['a', 'b'])
    await close(topic)
  })
})
