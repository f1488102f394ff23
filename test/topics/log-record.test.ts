import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { DecodeError } from '../../src/errors.ts'
import { RecordCollector } from '../../src/topics/log-record.ts'
import type { Serializer } from '../../src/topics/serializers.ts'
import { bytes, json, msgpack, string } from '../../src/topics/serializers.ts'
import type { KeyType, LogRecord } from '../../src/types.ts'

const DECODING = { json, string, msgpack } as const
const FIELDS = ['topic', 'partition', 'offset', 'timestamp', 'key', 'value', 'headers']
/** One header: `n` with the value `h`, as a record has it. */
const HEADER = Buffer.from([2, 'n'.charCodeAt(0), 2, 'h'.charCodeAt(0)])

interface Collected {
  readonly record: LogRecord
  readonly page: Buffer
}

function collect(
  serializer: Serializer,
  value: Uint8Array | null,
  keyType: KeyType = 'string',
  key: Uint8Array | null = Buffer.from('k-1'),
  headers: Uint8Array = HEADER,
): Collected {
  const keyBytes = key ?? Buffer.alloc(0)
  const valueBytes = value ?? Buffer.alloc(0)
  const page = Buffer.concat([Buffer.alloc(3), keyBytes, valueBytes, headers])
  const valueStart = 3 + keyBytes.length
  const collector = new RecordCollector('orders', 2, keyType, serializer)
  collector.record(
    7,
    1000,
    page,
    3,
    key === null ? -1 : key.length,
    valueStart,
    value === null ? -1 : value.length,
    valueStart + valueBytes.length,
    headers.length === 0 ? 0 : 1,
  )
  const [record] = collector.records
  assert.ok(record)
  return { record, page }
}

const plain = (value: unknown) => ({
  topic: 'orders',
  partition: 2,
  offset: 7,
  timestamp: 1000,
  key: 'k-1',
  value,
  headers: { n: Buffer.from('h') },
})

test('a record shows its fields, in order, to Object.keys, spread, JSON and deepEqual', () => {
  for (const [serializer, value, back] of [
    [json, Buffer.from('{"a":1}'), { a: 1 }],
    [bytes as Serializer, Buffer.from('xyz'), Buffer.from('xyz')],
  ] as const) {
    const { record } = collect(serializer, value)
    assert.deepEqual(Object.keys(record), FIELDS)
    assert.deepEqual({ ...record }, plain(back))
    assert.equal(JSON.stringify(record), JSON.stringify(plain(back)))
    assert.deepEqual(record, collect(serializer, value).record)
    assert.notDeepEqual(record, collect(serializer, Buffer.from('2')).record)
  }
})

test('console.log shows what the value is, and nothing of what lies behind', () => {
  const { record } = collect(json, Buffer.from('{"a":1}'))
  const shown = inspect(record)
  assert.match(shown, /^LogRecord \{/)
  assert.match(shown, /value: \{ a: 1 \}/)
  assert.doesNotMatch(shown, /Getter|page|serializer/)
  assert.match(inspect(collect(bytes as Serializer, Buffer.from('x')).record), /value: <Buffer 78>/)
})

test('console.log shows the error of a value that cannot be decoded', () => {
  assert.match(inspect(collect(json, Buffer.from('{')).record), /DECODE_FAILED|DecodeError/)
})

test('a value is decoded when it is first asked for, and once', () => {
  let decoded = 0
  const counting: Serializer = {
    ...json,
    name: 'counting',
    deserialize(view) {
      decoded += 1
      return json.deserialize(view)
    },
  }
  const { record } = collect(counting, Buffer.from('{"a":1}'))
  assert.equal(decoded, 0)
  assert.equal(record.value, record.value)
  assert.equal(decoded, 1)
})

test('a value that comes back as undefined or null is decoded once too', () => {
  let decoded = 0
  const nothing: Serializer = {
    ...json,
    name: 'nothing',
    deserialize() {
      decoded += 1
    },
  }
  const { record } = collect(nothing, Buffer.from('x'))
  assert.equal(record.value, undefined)
  assert.equal(record.value, undefined)
  assert.equal(decoded, 1)
})

test('a value that cannot be decoded is a DecodeError with its place and cause, each time', () => {
  const { record } = collect(json, Buffer.from('{'))
  for (let i = 0; i < 2; i += 1) {
    assert.throws(
      () => record.value,
      (error: unknown) => {
        assert.ok(error instanceof DecodeError)
        assert.equal(error.code, 'DECODE_FAILED')
        assert.deepEqual([error.topic, error.partition, error.offset], ['orders', 2, 7])
        assert.ok(error.cause instanceof SyntaxError)
        return true
      },
    )
  }
  assert.equal(record.offset, 7)
})

test('a tombstone is null and reaches no serializer', () => {
  const never: Serializer = { ...json, name: 'never', deserialize: () => assert.fail('decoded') }
  assert.equal(collect(never, null).record.value, null)
  assert.equal(collect(bytes as Serializer, null).record.value, null)
  assert.equal(collect(never, null).record.detach().value, null)
})

test('an empty value is no tombstone', () => {
  assert.equal(collect(string as Serializer, Buffer.alloc(0)).record.value, '')
  assert.deepEqual(collect(bytes as Serializer, Buffer.alloc(0)).record.value, Buffer.alloc(0))
})

test('a key comes back as string or bytes, as its topic says, and as null where there is none', () => {
  const value = Buffer.from('1')
  assert.equal(collect(json, value, 'string', Buffer.from('é€😀')).record.key, 'é€😀')
  assert.equal(collect(json, value, 'string', Buffer.alloc(0)).record.key, '')
  assert.deepEqual(collect(json, value, 'bytes', Buffer.from('k')).record.key, Buffer.from('k'))
  assert.equal(collect(json, value, 'string', null).record.key, null)
})

test('records without headers share one empty object that cannot be changed', () => {
  const first = collect(json, Buffer.from('1'), 'string', null, Buffer.alloc(0)).record.headers
  const second = collect(json, Buffer.from('2'), 'string', null, Buffer.alloc(0)).record.headers
  assert.deepEqual(first, {})
  assert.equal(first, second)
  assert.ok(Object.isFrozen(first))
})

test('what is handed out are views on the page; detach gives a copy that shares no bytes', () => {
  for (const serializer of [...Object.values(DECODING), bytes] as Serializer[]) {
    const value = Buffer.from(serializer.serialize(serializer === bytes ? Buffer.from('v') : 'v'))
    const { record, page } = collect(serializer, value, 'bytes')
    const detached = record.detach()
    const expected = { ...record, key: Buffer.from('k-1'), headers: { n: Buffer.from('h') } }
    if (serializer === bytes) expected.value = Buffer.from('v')
    page.fill(0)
    assert.deepEqual({ ...detached }, expected, serializer.name)
    assert.notEqual((detached.key as unknown as Buffer).buffer, page.buffer)
    assert.deepEqual(record.key, Buffer.alloc(3), 'the record itself is a view')
    assert.deepEqual(detached.detach(), detached)
  }
})

test('detach copies headers that repeat or are null', () => {
  const value = Buffer.from('1')
  const headers = Buffer.concat([HEADER, HEADER, Buffer.from([2, 'z'.charCodeAt(0), 1])])
  const page = Buffer.concat([value, headers])
  const collector = new RecordCollector('t', 0, 'string', json)
  collector.record(0, 0, page, 0, -1, 0, 1, 1, 3)
  const detached = collector.records[0]?.detach()
  page.fill(0)
  assert.deepEqual(detached?.headers, { n: [Buffer.from('h'), Buffer.from('h')], z: null })
})

test('records are gathered in the order in which they are found', () => {
  const collector = new RecordCollector('t', 0, 'bytes', bytes as Serializer)
  const page = Buffer.from('abc')
  for (let i = 0; i < 3; i += 1) collector.record(i, i, page, 0, -1, i, 1, 0, 0)
  assert.deepEqual(
    collector.records.map(({ offset, value }) => [offset, String(value)]),
    [
      [0, 'a'],
      [1, 'b'],
      [2, 'c'],
    ],
  )
})
