// A record is read by a short way or by the long one: both must find the same.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { BatchFormatError } from '../../src/codec/batch-format-error.ts'
import { RecordLayout } from '../../src/codec/record-layout.ts'
import { VarintReader, writeVarint, writeVarlong } from '../../src/codec/varint.ts'

interface Parts {
  readonly timestampDelta: number
  readonly offsetDelta: number
  readonly keyLength: number
  readonly valueLength: number
  readonly headers: readonly (readonly [nameLength: number, valueLength: number])[]
}

function writeRecord(parts: Parts): Buffer {
  const body = Buffer.alloc(40_000)
  let at = writeVarlong(body, 1, parts.timestampDelta)
  at = writeVarint(body, at, parts.offsetDelta)
  at = writeVarint(body, at, parts.keyLength) + Math.max(0, parts.keyLength)
  at = writeVarint(body, at, parts.valueLength) + Math.max(0, parts.valueLength)
  at = writeVarint(body, at, parts.headers.length)
  for (const [nameLength, valueLength] of parts.headers) {
    at = writeVarint(body, at, nameLength) + nameLength
    at = writeVarint(body, at, valueLength) + Math.max(0, valueLength)
  }
  const length = Buffer.alloc(5)
  return Buffer.concat([length.subarray(0, writeVarint(length, 0, at)), body.subarray(0, at)])
}

/** Number by number, as the format says. */
function model(page: Buffer, start: number, end: number): Record<string, number> {
  const reader = new VarintReader(page, start, end)
  const length = reader.readVarint()
  const recordEnd = reader.position + length
  if (length < 6 || recordEnd > end) throw new BatchFormatError('length')
  reader.end = recordEnd
  reader.position += 1
  const timestampDelta = reader.readVarlong()
  const offsetDelta = reader.readVarint()
  const keyLength = reader.readVarint()
  const keyStart = reader.position
  reader.skip(keyLength)
  const valueLength = reader.readVarint()
  const valueStart = reader.position
  reader.skip(valueLength)
  const headerCount = reader.readVarint()
  const headersStart = reader.position
  if (headerCount < 0) throw new BatchFormatError('headers')
  for (let header = 0; header < headerCount; header += 1) {
    const nameLength = reader.readVarint()
    if (nameLength < 0) throw new BatchFormatError('name')
    reader.skip(nameLength)
    reader.skip(reader.readVarint())
  }
  if (reader.position !== recordEnd) throw new BatchFormatError('end')
  const numbers = { timestampDelta, offsetDelta, keyLength, keyStart, valueLength, valueStart }
  return { ...numbers, headerCount, headersStart, recordEnd }
}

function found(page: Buffer, start: number, end: number): unknown {
  const layout = new RecordLayout()
  return outcome(() => {
    const recordEnd = layout.read(page, start, end)
    return { ...layout, recordEnd }
  })
}

function outcome(read: () => object): unknown {
  try {
    return read()
  } catch (error) {
    assert.ok(error instanceof BatchFormatError, String(error))
    return 'refused'
  }
}

/** Lengths at which a number takes one byte more. */
const lengths = fc.oneof(
  fc.integer({ min: -1, max: 200 }),
  fc.constantFrom(63, 64, 8191, 8192, 12_000),
)
const parts: fc.Arbitrary<Parts> = fc.record({
  timestampDelta: fc.oneof(fc.integer({ min: -100, max: 9000 }), fc.maxSafeInteger()),
  offsetDelta: fc.oneof(fc.nat(200), fc.constantFrom(8191, 8192), fc.nat()),
  keyLength: lengths,
  valueLength: lengths,
  headers: fc.oneof(
    fc.constant([]),
    fc.array(fc.tuple(fc.nat(90), fc.integer({ min: -1, max: 90 })), { maxLength: 3 }),
  ),
})

suite('a record', () => {
  test('is found to have the parts that were written', () => {
    fc.assert(
      fc.property(parts, fc.nat(9), (each, before) => {
        const record = writeRecord(each)
        const page = Buffer.concat([Buffer.alloc(before, 0xff), record, Buffer.alloc(3, 0xff)])
        const given = found(page, before, page.length) as Record<string, number>
        const { headers, ...numbers } = each
        for (const [name, value] of Object.entries(numbers)) assert.equal(given[name], value, name)
        assert.equal(given['headerCount'], headers.length)
        assert.equal(given['recordEnd'], before + record.length)
        assert.deepEqual(
          given,
          outcome(() => model(page, before, page.length)),
        )
      }),
      { numRuns: 500 },
    )
  })

  test('of which bytes are changed or missing is read as the format says, or refused', () => {
    const changes = fc.array(fc.tuple(fc.nat(30), fc.nat(255)), { minLength: 1, maxLength: 3 })
    fc.assert(
      fc.property(parts, changes, fc.nat(20), (each, changed, missing) => {
        const page = Buffer.concat([writeRecord(each), Buffer.alloc(8, 2)])
        for (const [at, byte] of changed) if (at < page.length) page[at] = byte
        const end = Math.max(0, page.length - missing)
        assert.deepEqual(
          found(page, 0, end),
          outcome(() => model(page, 0, end)),
        )
        const cut = page.subarray(0, end)
        assert.deepEqual(
          found(cut, 0, end),
          outcome(() => model(page, 0, end)),
        )
      }),
      { numRuns: 3000 },
    )
  })
})
