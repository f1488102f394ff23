// The pure parts of the command line: places, lines, records, values.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { LineSplitter } from '../../src/cli/line-splitter.ts'
import type { Output } from '../../src/cli/output.ts'
import { parsePosition, parseTime } from '../../src/cli/position.ts'
import type { RawRecord } from '../../src/cli/record-format.ts'
import { writerOf } from '../../src/cli/record-format.ts'
import type { RecordRule } from '../../src/cli/record-parser.ts'
import { jsonParser, lineParser } from '../../src/cli/record-parser.ts'
import { unescaped } from '../../src/cli/text.ts'
import { jsonValueOf, serializerNamed } from '../../src/cli/value-text.ts'
import type { ReadHeaders, RecordHeaders } from '../../src/index.ts'
import { msgpack } from '../../src/index.ts'

suite('a place in a partition', () => {
  test('is an end, an offset, so many before the end, or a time', () => {
    assert.deepEqual(parsePosition('start'), { kind: 'start' })
    assert.deepEqual(parsePosition('end'), { kind: 'end' })
    assert.deepEqual(parsePosition('0'), { kind: 'offset', offset: 0 })
    assert.deepEqual(parsePosition('42'), { kind: 'offset', offset: 42 })
    assert.deepEqual(parsePosition('-5'), { kind: 'before-end', count: 5 })
    const timestamp = Date.UTC(2026, 4, 1, 12)
    for (const text of [`@${timestamp}`, '2026-05-01T12:00:00Z', '2026-05-01T14:00+02:00']) {
      assert.deepEqual(parsePosition(text), { kind: 'time', timestamp }, text)
    }
    assert.equal(parseTime('2026-05-01'), Date.UTC(2026, 4, 1))
    assert.equal(parseTime('2026-05'), Date.UTC(2026, 4, 1))
  })

  test('is nothing else', () => {
    const none = [
      '',
      'begin',
      '1.5',
      '@',
      '@-1',
      '@x',
      '1969-12-31',
      '2026-13-01',
      '5x',
      'May 1 2026',
    ]
    for (const text of none) assert.equal(parsePosition(text), undefined, text)
  })
})

test('escapes stand for what they stand for in other programs, and other backslashes for themselves', () => {
  assert.equal(unescaped('a\\n\\t\\r\\0\\\\n\\x41\\q\\x4'), 'a\n\t\r\0\\nA\\q\\x4')
})

suite('lines', () => {
  const split = (delimiter: Buffer, chunks: readonly Buffer[]): string[] => {
    const splitter = new LineSplitter(delimiter)
    const lines = chunks.flatMap((chunk) =>
      [...splitter.push(chunk)].map((line) => line.toString('latin1')),
    )
    const last = splitter.end()
    return last === undefined ? lines : [...lines, last.toString('latin1')]
  }

  test('are cut at the delimiter, however the stream is cut', () => {
    const delimiters = fc.constantFrom('\n', 'ab', 'aab', 'aba')
    const bytes = fc.array(fc.constantFrom('a', 'b', '\n', 'c'), { maxLength: 40 })
    const cuts = fc.array(fc.nat(40), { maxLength: 8 })
    fc.assert(
      fc.property(delimiters, bytes, cuts, (delimiter, letters, at) => {
        const text = letters.join('')
        const bounds = [0, ...at.map((cut) => Math.min(cut, text.length)), text.length]
        bounds.sort((a, b) => a - b)
        const chunks = bounds
          .slice(1)
          .map((end, index) => Buffer.from(text.slice(bounds[index], end)))
        const expected = text.split(delimiter)
        if (expected.at(-1) === '') expected.pop()
        assert.deepEqual(split(Buffer.from(delimiter), chunks), expected)
      }),
    )
  })

  test('that have begun are counted, so that one without end is seen', () => {
    const splitter = new LineSplitter(Buffer.from('\r\n'))
    assert.deepEqual([...splitter.push(Buffer.from('abc'))], [])
    assert.equal(splitter.pendingBytes, 3)
    assert.deepEqual([...splitter.push(Buffer.from('d\r'))], [])
    assert.equal(splitter.pendingBytes, 5)
    assert.deepEqual([...splitter.push(Buffer.from('\ne'))].map(String), ['abcd'])
    assert.equal(splitter.pendingBytes, 1)
  })
})

const rule = (serializer: string, more: Partial<RecordRule> = {}): RecordRule => ({
  topic: 'orders',
  serializer: serializerNamed(serializer),
  partitions: 3,
  requiresKey: false,
  ...more,
})

suite('a plain line', () => {
  const parse = (serializer: string, line: string | Buffer) =>
    lineParser(rule(serializer), undefined, null)(Buffer.from(line as string))

  test('is the value, as the topic has values', () => {
    const binary = Buffer.from([0xff, 0])
    assert.deepEqual(parse('bytes', binary), { key: null, value: binary })
    assert.deepEqual(parse('of-their-own', binary).value, binary)
    assert.deepEqual(parse('string', 'ä').value, Buffer.from('ä'))
    assert.deepEqual(parse('string', '').value, Buffer.alloc(0))
    const json = '{"a": 1.0, "a": 12345678901234567890, "b": "\\u00e4"}'
    assert.deepEqual(parse('json', ` ${json}\r`).value, Buffer.from(json), 'not a digit is lost')
    assert.deepEqual(
      Buffer.from(parse('msgpack', '{"a":1}').value ?? []),
      Buffer.from(msgpack.serialize({ a: 1 })),
    )
    assert.equal(parse('json', 'null').value, null)
    assert.throws(() => parse('string', binary), /^TypeError: it is no UTF-8, and values of orders/)
    assert.throws(() => parse('json', '{'), /^TypeError: it is no JSON/)
    assert.throws(() => parse('json', ''), /it is no JSON/)
  })

  test('has its key before the separator', () => {
    const parser = lineParser(rule('string'), Buffer.from('=>'), null)
    assert.deepEqual(parser(Buffer.from('k=>v=>w')), {
      key: Buffer.from('k'),
      value: Buffer.from('v=>w'),
    })
    assert.deepEqual(parser(Buffer.from('=>')), { key: Buffer.alloc(0), value: Buffer.alloc(0) })
    assert.throws(() => parser(Buffer.from('k')), /it has no key: '=>' does not stand in it/)
    const compacted = rule('string', { requiresKey: true })
    assert.throws(
      () => lineParser(compacted, undefined, null)(Buffer.from('v')),
      /orders is compacted/,
    )
    const ofAll = lineParser(compacted, undefined, Buffer.from('all'))
    assert.deepEqual(ofAll(Buffer.from('v')).key, Buffer.from('all'))
  })
})

suite('a JSON line', () => {
  const parse = (serializer: string, fields: unknown, more?: Partial<RecordRule>) =>
    jsonParser(rule(serializer, more))(Buffer.from(JSON.stringify(fields)))

  test('has value, and key, headers, timestamp and partition where they are wanted', () => {
    assert.deepEqual(parse('json', { value: 1 }), { key: null, value: Buffer.from('1') })
    const all = {
      topic: 'elsewhere',
      offset: 7,
      key: 'k',
      value: 'v',
      headers: { a: 'x', b: null, c: ['1', { base64: '/w==' }] },
      timestamp: 5,
      partition: 2,
    }
    assert.deepEqual(parse('string', all), {
      key: Buffer.from('k'),
      value: Buffer.from('v'),
      headers: { a: 'x', b: null, c: ['1', Buffer.from([0xff])] },
      timestamp: 5,
      partition: 2,
    })
    const stored = parse('json', { keyBase64: '/w==', value: 'shown', valueBase64: 'AAE=' })
    assert.deepEqual(stored, { key: Buffer.from([0xff]), value: Buffer.from([0, 1]) })
    assert.equal(parse('string', { value: null }).value, null)
    assert.equal(
      parse('string', { value: '', timestamp: '2026-05-01' }).timestamp,
      Date.UTC(2026, 4, 1),
    )
  })

  for (const [what, serializer, fields, message] of [
    ['no object', 'json', [1], /it is an array; it must be an object with key and value/],
    ['no value', 'json', { key: 'k' }, /it has no value \(null makes a tombstone\)/],
    ['an unknown field', 'json', { vlue: 1 }, /unknown field "vlue"; did you mean value\?/],
    [
      'another type of value',
      'string',
      { value: 5 },
      /value is 5; values of orders are string: a string or null/,
    ],
    [
      'no text for bytes',
      'bytes',
      { value: {} },
      /values of orders are bytes: text, valueBase64 or null/,
    ],
    [
      'a key that is no string',
      'json',
      { key: 5, value: 1 },
      /key is 5; it must be a string or null/,
    ],
    ['no base64', 'json', { valueBase64: 'a' }, /valueBase64 is 'a'; it must be base64/],
    [
      'a partition that is not there',
      'json',
      { value: 1, partition: 3 },
      /orders has no partition 3; it has 3/,
    ],
    ['a partition that is no number', 'json', { value: 1, partition: '1' }, /partition is '1'/],
    ['a bad timestamp', 'json', { value: 1, timestamp: -1 }, /timestamp is -1/],
    [
      'no time',
      'json',
      { value: 1, timestamp: 'now' },
      /timestamp is 'now'; it must be milliseconds or ISO 8601/,
    ],
    ['headers of another shape', 'json', { value: 1, headers: [] }, /headers is an array/],
    [
      'a header of another type',
      'json',
      { value: 1, headers: { a: 5 } },
      /header "a" is 5; it must be/,
    ],
  ] as const) {
    test(`is refused with ${what}`, () => {
      assert.throws(() => parse(serializer, fields), message)
    })
  }

  test('is refused with half of a surrogate pair, which no UTF-8 would bring back', () => {
    for (const fields of [
      '"key":"\\ud800","value":"a"',
      '"value":"\\ud800"',
      '"value":"","headers":{"h":"\\ud800"}',
    ]) {
      assert.throws(
        () => jsonParser(rule('string'))(Buffer.from(`{${fields}}`)),
        /half of a surrogate pair/,
      )
    }
  })

  test('is refused without a key where the topic is compacted', () => {
    assert.throws(
      () => parse('json', { value: 1 }, { requiresKey: true }),
      /it has no key, and orders is compacted/,
    )
  })
})

suite('a record', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 30 }).map((all) => Buffer.from(all)),
    fc.string({ unit: 'binary', maxLength: 20 }).map((text) => Buffer.from(text)),
    fc.json({ maxDepth: 2 }).map((text) => Buffer.from(text)),
    fc.anything({ maxDepth: 2, withBigInt: true, withDate: true }).map(packed),
  )
  const nullable = fc.option(bytes)
  const headers = fc.dictionary(
    fc.string({ maxLength: 4 }),
    fc.oneof(nullable, fc.array(nullable, { minLength: 2, maxLength: 3 })),
    { maxKeys: 3 },
  )
  const serializers = fc.constantFrom('bytes', 'string', 'json', 'msgpack', 'of-their-own')

  test('that is printed as JSON and produced again has the same key, value and headers', () => {
    fc.assert(
      fc.property(serializers, nullable, nullable, headers, (name, key, value, given) => {
        const again = jsonParser(rule(name))(Buffer.from(writerPrinting(name, key, value, given)))
        assert.deepEqual(again.key, key)
        assert.deepEqual(plainHeaders(again.headers ?? {}), plainHeaders(given))
        const same = sameValue(name, again.value, value)
        assert.ok(same, `${JSON.stringify(again.value)} is not ${JSON.stringify(value)}`)
      }),
      { numRuns: 2000 },
    )
  })

  /** The bytes, or what they are decoded to. */
  function sameValue(name: string, again: Uint8Array | null, value: Buffer | null): boolean {
    if (again === null || value === null) return again === value
    if (value.equals(again)) return true
    const { deserialize } = serializerNamed(name)
    return isDeepStrictEqual(deserialize(Buffer.from(again)), deserialize(value))
  }
})

function packed(value: unknown): Buffer {
  try {
    return Buffer.from(msgpack.serialize(value))
  } catch {
    return Buffer.from([0xc1])
  }
}

/** A record as `cat --json` prints it. */
function writerPrinting(
  name: string,
  key: Buffer | null,
  value: Buffer | null,
  headers: ReadHeaders,
): string {
  const write = writerOf('json', '', { serializer: serializerNamed(name), isRaw: false })
  const lines: string[] = []
  const output = { isTerminal: false, line: (text: string) => lines.push(text) }
  const place = { topic: 'orders', partition: 0, offset: 1, timestamp: 2 }
  const record = { ...place, key, value, headers } as RawRecord
  write?.(record, output as unknown as Output)
  return lines.join()
}

function plainHeaders(headers: RecordHeaders): unknown {
  const plain = (value: unknown): unknown =>
    Array.isArray(value)
      ? value.map(plain)
      : typeof value === 'string'
        ? Buffer.from(value).toString('hex')
        : value instanceof Uint8Array
          ? Buffer.from(value).toString('hex')
          : value
  return Object.entries(headers).map(([name, value]) => [name, plain(value)])
}

suite('a stored value as JSON', () => {
  const shown = (serializer: string, stored: Uint8Array) =>
    jsonValueOf(serializerNamed(serializer), Buffer.from(stored))

  test('is exact where serializing it again gives the same value', () => {
    const value = { a: [1, 'x', null, true, { b: 1.5 }], c: {} }
    assert.deepEqual(shown('msgpack', msgpack.serialize(value)), { json: value, isExact: true })
    assert.deepEqual(shown('json', Buffer.from('{"a":1}')), { json: { a: 1 }, isExact: true })
    assert.deepEqual(shown('string', Buffer.from('ä')), { json: 'ä', isExact: true })
    assert.deepEqual(shown('of-their-own', Buffer.from('ä')), { json: 'ä', isExact: true })
  })

  test('is not exact where serializing it again gives other bytes', () => {
    const texts = [
      '12345678901234567890',
      '1.0',
      '1e400',
      '-0',
      '{"a":1,"a":2}',
      '{"a": 1}',
      '"\\/"',
    ]
    for (const text of texts) {
      const expected = { json: JSON.parse(text), isExact: false }
      assert.deepEqual(shown('json', Buffer.from(text)), expected, text)
    }
    const one = Buffer.from([0xcb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0])
    assert.deepEqual(shown('msgpack', one), { json: 1, isExact: false })
  })

  test('is shown all the same where JSON has less than MessagePack', () => {
    const at = new Date(0)
    const value = { at, big: 2n ** 60n, bytes: Buffer.from([1]), none: undefined, inf: Infinity }
    assert.deepEqual(JSON.parse(JSON.stringify(shown('msgpack', msgpack.serialize(value)))), {
      json: {
        at: at.toISOString(),
        big: '1152921504606846976',
        bytes: 'AQ==',
        none: null,
        inf: null,
      },
      isExact: false,
    })
  })

  test('is not exact for a null that is stored: as a value null is a tombstone', () => {
    assert.deepEqual(shown('json', Buffer.from('null')), { json: null, isExact: false })
    assert.deepEqual(shown('msgpack', Buffer.from([0xc0])), { json: null, isExact: false })
  })

  test('is none for what cannot be decoded', () => {
    const none = { json: undefined, isExact: false }
    for (const serializer of ['json', 'msgpack', 'string', 'bytes']) {
      assert.deepEqual(shown(serializer, Buffer.from([0xc1, 0xff])), none, serializer)
    }
  })
})
