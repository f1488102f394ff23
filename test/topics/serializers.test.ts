import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ValidationError } from '../../src/errors.ts'
import { checkKey } from '../../src/topics/record-key.ts'
import type { Serializer } from '../../src/topics/serializers.ts'
import {
  builtInSerializer,
  bytes,
  checkSerializerName,
  json,
  msgpack,
  string,
} from '../../src/topics/serializers.ts'
import type { StandardSchemaV1 } from '../../src/topics/standard-schema.ts'
import { encodeValue } from '../../src/topics/value-encoding.ts'

/** There and back; the bytes lie in the middle of a page, as they do in a log. */
function throughPage<V>(serializer: Serializer<V>, value: V): V {
  const page = Buffer.concat([Buffer.of(0xff), serializer.serialize(value), Buffer.of(0xff)])
  return serializer.deserialize(page.subarray(1, page.length - 1))
}

const wellFormed = fc.string({ unit: 'grapheme' })
// msgpackr renames this one property, so that no value reaches a prototype.
const propertyName = wellFormed.filter((name) => name !== '__proto__')
const plain = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.boolean(),
    fc.constant(null),
    fc.double().map((number) => (Object.is(number, -0) ? 0 : number)),
    fc.integer(),
    wellFormed,
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(propertyName, tie('value'), { maxKeys: 5, noNullPrototype: true }),
  ),
})).value

test('MessagePack brings back every plain value', () => {
  fc.assert(
    fc.property(
      plain.filter((value) => value !== null),
      (value) => assert.deepEqual(throughPage(msgpack, value), value),
    ),
  )
})

test('MessagePack brings back dates, bigints of 64 bits, bytes and undefined within a value', () => {
  const value = {
    at: new Date(1_700_000_000_123),
    big: [2n ** 63n, -(2n ** 63n), 2n ** 64n - 1n, 5n],
    bytes: Buffer.from('abc'),
    nothing: undefined,
    list: [undefined, 1],
  }
  assert.deepEqual(throughPage(msgpack, value), value)
  assert.deepEqual(throughPage(msgpack, new Uint8Array([1, 2])), Buffer.of(1, 2))
})

test('MessagePack gives these back as something else, as documented', () => {
  class Point {
    readonly x = 1
  }
  const cases: readonly (readonly [unknown, unknown])[] = [
    [
      new Map<unknown, unknown>([
        ['a', 1],
        [2, 'b'],
      ]),
      { a: 1, 2: 'b' },
    ],
    [new Set([1, 2]), [1, 2]],
    [new Point(), { x: 1 }],
    [new URL('http://a/b'), 'http://a/b'],
    [/a/g, ['a', 'g']],
    [new Uint8Array([1, 2]).buffer, Buffer.of(1, 2)],
    [{ call: () => 1 }, { call: undefined }],
    [-0, 0],
    ['\ud800', '\ufffd\ufffd\ufffd'],
    [JSON.parse('{"__proto__":1}'), { __proto_: 1 }],
  ]
  for (const [value, back] of cases) assert.deepEqual(throughPage(msgpack, value), back)
})

test('MessagePack is plain: small maps have the short form, and no extension but the standard one is needed', () => {
  const encoded = Buffer.from(msgpack.serialize({ id: 7, list: ['x', true, null] }))
  assert.equal(encoded.toString('hex'), '82a2696407a46c69737493a178c3c0')
})

test('packed bytes are not changed by values that are packed later', () => {
  const values = Array.from({ length: 3000 }, (_, i) => ({ i, text: 'x'.repeat(i % 200) }))
  const packed = values.map((value) => msgpack.serialize(value))
  for (const [i, value] of values.entries()) {
    assert.deepEqual(msgpack.deserialize(Buffer.from(packed[i] ?? [])), value)
  }
})

test('MessagePack refuses what it would not bring back', () => {
  const refused: readonly (readonly [unknown, RegExp])[] = [
    [undefined, /undefined/],
    [() => 1, /a function/],
    [Symbol('x'), /a symbol/],
    [new Float32Array([1]), /Float32Array/],
    [{ deep: [{ view: new DataView(new ArrayBuffer(1)) }] }, /DataView/],
    [new Set([new Uint16Array(1)]), /Uint16Array/],
    [new Map([['a', new Int8Array(1)]]), /Int8Array/],
    [new Map([[{}, 1]]), /the key an object/],
    [Object.assign(Object.create(null), { a: new Float64Array(1) }), /Float64Array/],
  ]
  for (const [value, message] of refused) {
    assert.throws(() => msgpack.serialize(value), { name: 'TypeError', message })
  }
  assert.throws(() => msgpack.serialize(2n ** 64n), RangeError)
  const circle: { self?: unknown } = {}
  circle.self = circle
  assert.throws(() => msgpack.serialize(circle), RangeError)
})

test('a value that was refused half-way leaves the next one whole', () => {
  assert.throws(() => msgpack.serialize(['a', 2n ** 70n]))
  assert.deepEqual(throughPage(msgpack, { b: 'c' }), { b: 'c' })
})

test('an object of more than 65,535 properties comes back whole from MessagePack', () => {
  const large = Object.fromEntries(Array.from({ length: 70_000 }, (_, i) => [`p${i}`, i]))
  assert.deepEqual(throughPage(msgpack, large), large)
})

test('bytes that are no MessagePack are refused, and announce no memory that is not there', () => {
  for (const hex of ['', 'dd7fffffff', 'df7fffffff', 'c67fffffff', 'db7fffffff', '0101']) {
    assert.throws(() => msgpack.deserialize(Buffer.from(hex, 'hex')), Error, hex)
  }
})

test('JSON brings back what JSON has, and refuses what it has no text for', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) =>
      assert.deepEqual(throughPage(json, value), JSON.parse(JSON.stringify(value))),
    ),
  )
  for (const value of [undefined, () => 1, Symbol('x')]) {
    assert.throws(() => json.serialize(value), TypeError)
  }
})

test('strings come back as they were; those with a lone surrogate are refused', () => {
  fc.assert(fc.property(wellFormed, (text) => assert.equal(throughPage(string, text), text)))
  assert.equal(throughPage(string, 'a\ufffdb'), 'a\ufffdb')
  assert.throws(() => string.serialize('a\ud800'), TypeError)
  assert.throws(() => string.serialize(5 as unknown as string), TypeError)
})

test('bytes that are no UTF-8 are no string and no JSON', () => {
  assert.throws(() => string.deserialize(Buffer.of(0x61, 0xff)), TypeError)
  assert.throws(() => json.deserialize(Buffer.of(0x22, 0xff, 0x22)), TypeError)
})

test('bytes are taken as they are, and nothing else is', () => {
  const given = new Uint8Array([1, 2])
  assert.equal(bytes.serialize(given), given)
  assert.deepEqual(throughPage(bytes, Buffer.from('abc')), Buffer.from('abc'))
  assert.throws(() => bytes.serialize('abc' as unknown as Uint8Array), TypeError)
})

test('built-in serializers are found by name, others are not', () => {
  for (const each of [msgpack, json, string, bytes]) {
    assert.equal(builtInSerializer(each.name), each)
  }
  assert.equal(builtInSerializer('toString'), undefined)
})

test("a serializer's name is 1 to 64 printable characters and not a built-in one's", () => {
  const named = (name: unknown): Serializer => ({ ...json, name: name as string })
  checkSerializerName(json)
  checkSerializerName(named('avro v2'))
  checkSerializerName(named('x'.repeat(64)))
  for (const name of ['', 'x'.repeat(65), 'a\nb', 'é', 5, 'json']) {
    assert.throws(() => checkSerializerName(named(name)), TypeError, String(name))
  }
})

function schemaOf(validate: (value: unknown) => unknown): StandardSchemaV1 {
  const standard = { version: 1, vendor: 'test', validate }
  return { '~standard': standard } as unknown as StandardSchemaV1
}

test("what is stored is the schema's output", () => {
  const schema = schemaOf((value) => ({ value: Number(value) * 2 }))
  assert.deepEqual(encodeValue('t', json, schema, '21', 0), Buffer.from('42'))
})

test('a value that the schema refuses is a ValidationError with its place and its issues', () => {
  const issues = [{ message: 'too small', path: ['n'] }]
  assert.throws(
    () =>
      encodeValue(
        'orders',
        json,
        schemaOf(() => ({ issues })),
        1,
        3,
      ),
    (error: unknown) => {
      assert.ok(error instanceof ValidationError)
      assert.equal(error.code, 'VALIDATION_FAILED')
      assert.deepEqual([error.topic, error.index, error.issues], ['orders', 3, issues])
      return true
    },
  )
})

test('a schema that answers with a promise is refused, and its rejection goes nowhere', async () => {
  const failing = schemaOf(() => Promise.reject(new Error('later')))
  assert.throws(() => encodeValue('t', json, failing, 1, 0), {
    name: 'TypeError',
    message: /promise/,
  })
  await new Promise((resolve) => setImmediate(resolve))
})

test('a tombstone is neither validated nor serialized', () => {
  const never = schemaOf(() => assert.fail('validated'))
  assert.equal(encodeValue('t', json, never, null, 0), null)
})

test('a schema that makes null of a value is refused, since null is a tombstone', () => {
  assert.throws(
    () =>
      encodeValue(
        't',
        json,
        schemaOf(() => ({ value: null })),
        1,
        0,
      ),
    TypeError,
  )
})

test('a serializer that gives no bytes is refused by name', () => {
  const odd = { ...json, name: 'odd', serialize: () => 'text' } as unknown as Serializer
  assert.throws(() => encodeValue('t', odd, undefined, 1, 0), {
    name: 'TypeError',
    message: /odd gave 'text'/,
  })
})

test("a key is of its topic's type, well-formed, or there is none", () => {
  const strings = { name: 't', key: 'string', requiresKey: false } as const
  const bytesRule = { ...strings, key: 'bytes' } as const
  assert.equal(checkKey(strings, 'k'), 'k')
  assert.equal(checkKey(strings, ''), '')
  assert.equal(checkKey(strings, undefined), null)
  assert.equal(checkKey(bytesRule, null), null)
  const key = new Uint8Array(1)
  assert.equal(checkKey(bytesRule, key), key)
  assert.throws(() => checkKey(strings, '\udc00'), {
    name: 'TypeError',
    message: /well-formed/,
  })
  assert.throws(() => checkKey(strings, key), TypeError)
  assert.throws(() => checkKey(bytesRule, 'k'), { name: 'TypeError', message: /a Uint8Array/ })
  assert.throws(() => checkKey(strings, 5), { name: 'TypeError', message: /a key is 5/ })
})

test('where a key is required none is KEY_REQUIRED, and an empty one is a key', () => {
  const rule = { name: 't', key: 'string', requiresKey: true } as const
  assert.equal(checkKey(rule, ''), '')
  for (const none of [null, undefined]) {
    assert.throws(() => checkKey(rule, none), { name: 'LogError', code: 'KEY_REQUIRED' })
  }
})
