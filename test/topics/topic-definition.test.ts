import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Serializer } from '../../src/topics/serializers.ts'
import { json, msgpack } from '../../src/topics/serializers.ts'
import type { StandardSchemaV1 } from '../../src/topics/standard-schema.ts'
import { resolveDeclaration } from '../../src/topics/topic-definition.ts'
import { newTopicId } from '../../src/topics/topic-id.ts'

const schema: StandardSchemaV1 = {
  '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) },
}
const own: Serializer = { ...json, name: 'own' }

test('a declaration keeps what it gives, and undefined is what it leaves out', () => {
  const nothing = {
    name: 'orders',
    partitions: undefined,
    key: undefined,
    serializer: undefined,
    schema: undefined,
    partitioner: undefined,
    config: {},
  }
  assert.deepEqual(resolveDeclaration('orders', {}), nothing)
  assert.deepEqual(resolveDeclaration('orders'), nothing)
  assert.deepEqual(
    resolveDeclaration('orders', { key: undefined, retentionMs: undefined }),
    nothing,
  )
  const partitioner = () => 0
  const full = { partitions: 3, key: 'bytes', value: 'json', schema, partitioner, retentionMs: 9 }
  assert.deepEqual(resolveDeclaration('orders', full), {
    name: 'orders',
    partitions: 3,
    key: 'bytes',
    serializer: json,
    schema,
    partitioner,
    config: { retentionMs: 9 },
  })
})

test("value is a built-in serializer's name, a serializer or a schema", () => {
  assert.equal(resolveDeclaration('t', { value: 'msgpack' }).serializer, msgpack)
  assert.equal(resolveDeclaration('t', { value: own }).serializer, own)
  const checked = resolveDeclaration('t', { value: schema })
  assert.deepEqual([checked.serializer, checked.schema], [undefined, schema])
})

test('a schema may be a function', () => {
  const callable = Object.assign(() => undefined, schema)
  assert.equal(resolveDeclaration('t', { value: callable }).schema, callable)
})

for (const [what, declaration, name, message] of [
  [
    'an unknown option',
    { retentionms: 1 },
    'TypeError',
    /topic t: unknown option retentionms; did you mean retentionMs\?/,
  ],
  [
    'an unknown serializer',
    { value: 'xml' },
    'RangeError',
    /topic t: value is 'xml'; it must be 'msgpack'/,
  ],
  ['a value of another kind', { value: 5 }, 'TypeError', /topic t: value is 5/],
  [
    'a value and a schema that are both schemas',
    { value: schema, schema },
    'TypeError',
    /one of them/,
  ],
  ['a schema that is none', { schema: {} }, 'TypeError', /a Standard Schema/],
  [
    'no partitions',
    { partitions: 0 },
    'RangeError',
    /partitions is 0; it must be an integer from 1 to 100000/,
  ],
  ['half a partition', { partitions: 1.5 }, 'RangeError', /partitions is 1.5/],
  ['partitions as text', { partitions: '3' }, 'TypeError', /partitions is '3'/],
  [
    'another key type',
    { key: 'number' },
    'RangeError',
    /key is 'number'; it must be 'string' or 'bytes'/,
  ],
  ['a partitioner that is no function', { partitioner: 1 }, 'TypeError', /partitioner is 1/],
  [
    'a value of the configuration outside its range',
    { segmentBytes: 1 },
    'RangeError',
    /topic t: segmentBytes is 1/,
  ],
  ['a serializer without a name', { value: { ...own, name: '' } }, 'TypeError', /name/],
  ['no object', 5, 'TypeError', /the declaration is 5/],
  ['null', null, 'TypeError', /the declaration is null/],
] as const) {
  test(`a declaration with ${what} is refused`, () => {
    assert.throws(() => resolveDeclaration('t', declaration), { name, message })
  })
}

test("a declaration's topic has a name that Kafka takes", () => {
  assert.equal(resolveDeclaration('a.b_c-9').name, 'a.b_c-9')
  for (const name of ['', '.', '..', 'a b', 'é', 'x'.repeat(250)]) {
    assert.throws(() => resolveDeclaration(name), RangeError, name)
  }
})

test('a topic id is a UUID of version 4 in base64url', () => {
  const id = newTopicId(() => Buffer.alloc(16, 0xff).fill(0x11, 0, 1))
  assert.equal(Buffer.from(id, 'base64url').toString('hex'), '11ffffffffff4fffbfffffffffffffff')
  assert.equal(id.length, 22)
  assert.notEqual(newTopicId(), newTopicId())
})

test('a topic id never begins with a dash', () => {
  const draws = [Buffer.alloc(16, 0xfb), Buffer.alloc(16, 0x22)]
  const id = newTopicId(() => draws.shift() ?? assert.fail('a third draw'))
  assert.ok(id.startsWith('I'))
  assert.equal(draws.length, 0)
})
