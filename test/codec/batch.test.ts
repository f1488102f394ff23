import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BatchHeaderFields } from '../../src/codec/batch.ts'
import {
  attributesAt,
  BATCH_HEADER_BYTES,
  baseOffsetAt,
  batchSizeAt,
  CONTROL_ABORT,
  CONTROL_COMMIT,
  checkBatch,
  checkBatchHeader,
  lastOffsetAt,
  magicAt,
  maxTimestampAt,
  readBatchHeader,
  readControlRecord,
  writeBatchHeader,
} from '../../src/codec/batch.ts'
import { encodeBatch, encodeControlBatch } from '../../src/codec/batch-encoder.ts'
import { BatchFormatError } from '../../src/codec/batch-format-error.ts'
import { crc32c } from '../../src/codec/crc32c.ts'
import { decodeBatch } from './support.ts'

const SMALL = encodeBatch({
  baseOffset: 1000,
  partitionLeaderEpoch: 3,
  records: [
    { key: 'a', value: Buffer.from('one'), timestamp: 1_700_000_000_000 },
    { key: null, value: null, headers: { h: 'x', n: null }, timestamp: 1_700_000_000_500 },
  ],
})

const FIELDS: BatchHeaderFields = {
  baseOffset: 2 ** 40,
  sizeBytes: 100,
  partitionLeaderEpoch: 7,
  attributes: 0,
  lastOffset: 2 ** 40 + 2,
  baseTimestamp: 1_700_000_000_000,
  maxTimestamp: 1_700_000_000_999,
  producerId: 2 ** 35,
  producerEpoch: 5,
  baseSequence: 77,
  count: 3,
}

/** A header with its CRC over 39 bytes of nothing. */
function headerWith(change: Partial<BatchHeaderFields>): Buffer {
  const fields = { ...FIELDS, ...change }
  const buffer = Buffer.alloc(fields.sizeBytes)
  writeBatchHeader(buffer, 0, fields)
  return buffer
}

test('the header is written field by field as the format says', () => {
  const buffer = headerWith({ attributes: 0x18 })
  const crc = crc32c(buffer, 21, 100).toString(16).padStart(8, '0')
  assert.equal(
    buffer.subarray(0, 61).toString('hex'),
    [
      '0000010000000000', // baseOffset
      '00000058', // 88 bytes follow
      '00000007', // partitionLeaderEpoch
      '02', // magic
      crc,
      '0018', // attributes
      '00000002', // lastOffsetDelta
      '0000018bcfe56800', // baseTimestamp
      '0000018bcfe56be7', // maxTimestamp
      '0000000800000000', // producerId
      '0005', // producerEpoch
      '0000004d', // baseSequence
      '00000003', // count
    ].join(''),
  )
})

test('the header is read as it was written, with its flags taken apart', () => {
  const buffer = Buffer.concat([Buffer.alloc(9), headerWith({ attributes: 0x3b, producerId: 1 })])
  assert.deepEqual(readBatchHeader(buffer, 9), {
    ...FIELDS,
    producerId: 1,
    magic: 2,
    crc: buffer.readUInt32BE(9 + 17),
    attributes: 0x3b,
    codec: 3,
    isControl: true,
    isTransactional: true,
    isLogAppendTime: true,
  })
  assert.equal(baseOffsetAt(buffer, 9), 2 ** 40)
  assert.equal(lastOffsetAt(buffer, 9), 2 ** 40 + 2)
  assert.equal(batchSizeAt(buffer, 9), 100)
  assert.equal(maxTimestampAt(buffer, 9), 1_700_000_000_999)
  assert.equal(magicAt(buffer, 9), 2)
  assert.equal(attributesAt(buffer, 9), 0x3b)
})

test('a header is neither read nor written past its buffer', () => {
  assert.throws(() => readBatchHeader(Buffer.alloc(60), 0), RangeError)
  assert.throws(() => baseOffsetAt(Buffer.alloc(60), 53), RangeError)
  assert.throws(() => writeBatchHeader(Buffer.alloc(99), 0, FIELDS), RangeError)
  assert.throws(
    () => writeBatchHeader(Buffer.alloc(200), 0, { ...FIELDS, sizeBytes: 60 }),
    RangeError,
  )
})

test('an intact batch passes, also with other bytes around it', () => {
  assert.equal(checkBatch(SMALL, 0, SMALL.length), undefined)
  const around = Buffer.concat([Buffer.from('before'), SMALL, Buffer.from('behind')])
  assert.equal(checkBatch(around, 6, SMALL.length + 6), undefined)
})

test('a batch cut at any byte is truncated', () => {
  for (let bytes = 0; bytes < SMALL.length; bytes += 1) {
    const cut = Buffer.from(SMALL.subarray(0, bytes))
    assert.equal(checkBatch(cut, 0, bytes), 'truncated', `${bytes} bytes in a buffer of their own`)
    assert.equal(checkBatchHeader(SMALL, 0, bytes), 'truncated', `${bytes} bytes available`)
  }
})

test('a header alone is judged by what the file holds, not the buffer', () => {
  const header = Buffer.from(SMALL.subarray(0, BATCH_HEADER_BYTES))
  assert.equal(checkBatchHeader(header, 0, SMALL.length), undefined)
  assert.equal(checkBatchHeader(header, 0, SMALL.length - 1), 'truncated')
  assert.equal(checkBatch(header, 0, SMALL.length), 'truncated')
})

test('a batch whose end was lost as zeros never passes', () => {
  for (let kept = 0; kept < SMALL.length; kept += 1) {
    const torn = Buffer.alloc(SMALL.length + 1000)
    SMALL.copy(torn, 0, 0, kept)
    if (torn.subarray(0, SMALL.length).equals(SMALL)) continue
    const fault = checkBatch(torn, 0, torn.length)
    assert.ok(fault === 'bad-header' || fault === 'bad-crc', `${kept} bytes kept: ${fault}`)
  }
})

/** Nothing in the batch covers these: a broker sets the offset and the epoch after the CRC is made. */
const isUnderNoCheck = (position: number): boolean =>
  position < 8 || (position >= 12 && position < 16)

test('any changed byte is found, save in baseOffset and partitionLeaderEpoch', () => {
  for (let position = 0; position < SMALL.length; position += 1) {
    for (const flip of [0x01, 0x10, 0x80, 0xff]) {
      const damaged = Buffer.from(SMALL)
      damaged.writeUInt8((SMALL[position] ?? 0) ^ flip, position)
      const fault = checkBatch(damaged, 0, damaged.length)
      if (!isUnderNoCheck(position)) assert.ok(fault, `byte ${position} ^ ${flip} was not found`)
      else if (position > 7) assert.equal(fault, undefined)
    }
  }
})

test('a changed record byte is a matter of the CRC', () => {
  const damaged = Buffer.from(SMALL)
  damaged.writeUInt8(0xaa, SMALL.length - 3)
  assert.equal(checkBatchHeader(damaged, 0, damaged.length), undefined)
  assert.equal(checkBatch(damaged, 0, damaged.length), 'bad-crc')
})

const BAD_HEADERS: [string, (header: Buffer) => void][] = [
  ['a negative offset', (header) => header.writeBigInt64BE(-1n, 0)],
  ['an offset beyond the safe integers', (header) => header.writeBigInt64BE(2n ** 53n, 0)],
  ['a last offset beyond them', (header) => header.writeBigInt64BE(2n ** 53n - 2n, 0)],
  ['a length of 48', (header) => header.writeInt32BE(48, 8)],
  ['a negative length', (header) => header.writeInt32BE(-1, 8)],
  ['a length that passes 2^31 with its field', (header) => header.writeInt32BE(2 ** 31 - 1, 8)],
  ['magic 3', (header) => header.writeInt8(3, 16)],
  ['magic -1', (header) => header.writeInt8(-1, 16)],
  ['codec 5', (header) => header.writeInt16BE(5, 21)],
  ['codec 7', (header) => header.writeInt16BE(7, 21)],
  ['a negative lastOffsetDelta', (header) => header.writeInt32BE(-1, 23)],
  ['a negative count', (header) => header.writeInt32BE(-1, 57)],
  ['more records than offsets', (header) => header.writeInt32BE(4, 57)],
  ['no record but record bytes', (header) => header.writeInt32BE(0, 57)],
  ['producer id -2', (header) => header.writeBigInt64BE(-2n, 43)],
  ['producer epoch -2', (header) => header.writeInt16BE(-2, 51)],
  ['sequence -2', (header) => header.writeInt32BE(-2, 53)],
  ['a producer without an epoch', (header) => header.writeInt16BE(-1, 51)],
  [
    'a transaction without a producer',
    (header) => {
      header.writeInt16BE(0x10, 21)
      header.writeBigInt64BE(-1n, 43)
    },
  ],
]
for (const [what, change] of BAD_HEADERS) {
  test(`a header with ${what} is bad`, () => {
    const header = headerWith({})
    assert.equal(checkBatchHeader(header, 0, 100), undefined)
    change(header)
    assert.equal(checkBatchHeader(header, 0, 100), 'bad-header')
    assert.equal(checkBatchHeader(header, 0, 1 << 30), 'bad-header')
  })
}

test('more records than the bytes can hold is a bad header', () => {
  const header = headerWith({ count: 6, lastOffset: FIELDS.baseOffset + 5 })
  assert.equal(checkBatchHeader(header, 0, 100), 'bad-header')
  const compressed = headerWith({ count: 6, lastOffset: FIELDS.baseOffset + 5, attributes: 2 })
  assert.equal(checkBatchHeader(compressed, 0, 100), undefined)
})

test('a few bytes that no batch starts with are bad, not truncated', () => {
  const negative = Buffer.alloc(8, 0xff)
  assert.equal(checkBatchHeader(negative, 0, 8), 'bad-header')
  assert.equal(checkBatchHeader(Buffer.alloc(12), 0, 12), 'bad-header')
  assert.equal(checkBatchHeader(Buffer.alloc(1000), 0, 1000), 'bad-header')
})

const GOOD_HEADERS: [string, Partial<BatchHeaderFields>][] = [
  [
    'as kafkajs leaves it: no producer, epoch 0',
    { producerId: -1, producerEpoch: 0, baseSequence: 0 },
  ],
  ['of the coordinator: sequence 0', { producerId: -1, producerEpoch: -1, baseSequence: 0 }],
  ['of a marker: sequence -1', { attributes: 0x30, baseSequence: -1 }],
  ['with fewer records than offsets', { count: 1 }],
  ['with a delete horizon', { attributes: 0x40, baseTimestamp: 1_800_000_000_000 }],
  ['emptied by compaction', { sizeBytes: 61, count: 0, baseTimestamp: -1 }],
]
for (const [what, change] of GOOD_HEADERS) {
  test(`a header ${what} is good`, () => {
    const header = headerWith(change)
    assert.equal(checkBatch(header, 0, header.length), undefined)
  })
}

/** crc, magic, attributes, (timestamp), key, value, as Kafka wrote them before 0.11. */
function legacyMessage(magic: 0 | 1, key: Buffer | null, value: Buffer | null): Buffer {
  const field = (bytes: Buffer | null): Buffer => {
    const length = Buffer.alloc(4)
    length.writeInt32BE(bytes === null ? -1 : bytes.length)
    return bytes === null ? length : Buffer.concat([length, bytes])
  }
  const body = Buffer.concat([
    Buffer.from('deadbeef', 'hex'),
    Buffer.from([magic, 0]),
    Buffer.alloc(magic === 0 ? 0 : 8, 1),
    field(key),
    field(value),
  ])
  const start = Buffer.alloc(12)
  start.writeInt32BE(5, 4)
  start.writeInt32BE(body.length, 8)
  return Buffer.concat([start, body])
}

for (const magic of [0, 1] as const) {
  test(`a message of magic ${magic} is named, not called damage`, () => {
    for (const key of [null, Buffer.alloc(0), Buffer.from('key'), Buffer.alloc(80, 1)]) {
      for (const value of [null, Buffer.from('some value'), Buffer.alloc(200, 7)]) {
        const message = legacyMessage(magic, key, value)
        const file = Buffer.concat([message, message, message])
        assert.equal(checkBatchHeader(file, 0, file.length), 'unsupported-magic')
        assert.equal(checkBatch(file, 0, file.length), 'unsupported-magic')
      }
    }
  })

  test(`bytes that show magic ${magic} but do not add up are a bad header`, () => {
    const message = legacyMessage(magic, Buffer.from('key'), Buffer.alloc(60))
    const at = magic === 0 ? 18 : 26
    for (const [position, value] of [
      [at, 4],
      [at, -2],
      [at, 1 << 20],
      [at + 7, -2],
      [8, 13],
    ] as const) {
      const damaged = Buffer.from(message)
      damaged.writeInt32BE(value, position)
      assert.equal(checkBatchHeader(damaged, 0, 1000), 'bad-header')
    }
    const attributes = Buffer.from(message)
    attributes.writeUInt8(0x10, 17)
    assert.equal(checkBatchHeader(attributes, 0, 1000), 'bad-header')
  })
}

const MARKER = {
  baseOffset: 12,
  producerId: 4000,
  producerEpoch: 9,
  coordinatorEpoch: 21,
  timestamp: 1_700_000_000_000,
}

for (const [name, type] of [
  ['abort', CONTROL_ABORT],
  ['commit', CONTROL_COMMIT],
] as const) {
  test(`an ${name} marker is 78 bytes and is read back`, () => {
    const batch = Buffer.concat([Buffer.alloc(5), encodeControlBatch({ ...MARKER, type })])
    assert.equal(batch.length, 5 + 78)
    assert.equal(checkBatch(batch, 5, 78), undefined)
    assert.deepEqual(readControlRecord(batch, 5), { type, coordinatorEpoch: 21 })
    const { header, records } = decodeBatch(batch, 5)
    assert.equal(header.attributes, 0x30)
    assert.equal(header.baseSequence, -1)
    assert.equal(header.producerId, 4000)
    assert.equal(header.producerEpoch, 9)
    assert.equal(records[0]?.key?.toString('hex'), `0000000${type}`)
    assert.equal(records[0]?.value?.toString('hex'), '000000000015')
  })
}

test('a marker is what encodeBatch makes of its record', () => {
  const wide = {
    baseOffset: 2 ** 40 + 3,
    producerId: 2 ** 50 + 1,
    producerEpoch: 32_767,
    coordinatorEpoch: 2 ** 30 + 5,
    timestamp: 1_800_000_000_001,
    partitionLeaderEpoch: 77,
  }
  for (const marker of [
    { ...MARKER, type: CONTROL_ABORT },
    { ...wide, type: CONTROL_COMMIT },
  ]) {
    const { type, coordinatorEpoch, timestamp, ...header } = marker
    const key = Buffer.alloc(4)
    key.writeInt16BE(type, 2)
    const value = Buffer.alloc(6)
    value.writeInt32BE(coordinatorEpoch, 2)
    const batch = { ...header, attributes: 0x30, records: [{ key, value, timestamp }] }
    assert.deepEqual(encodeControlBatch(marker), encodeBatch(batch))
  }
})

const NO_PRODUCER = { producerId: 1, producerEpoch: 0, attributes: 0x30 }

test('a control record of another type is passed by its type', () => {
  const key = Buffer.from('00000005', 'hex')
  const batch = encodeBatch({
    baseOffset: 0,
    records: [{ key, value: null, timestamp: 1 }],
    ...NO_PRODUCER,
  })
  assert.deepEqual(readControlRecord(batch, 0), { type: 5, coordinatorEpoch: -1 })
})

test('a control batch emptied by compaction has no control record', () => {
  const batch = encodeBatch({ baseOffset: 7, records: [], ...NO_PRODUCER })
  assert.equal(checkBatch(batch, 0, 61), undefined)
  assert.equal(readControlRecord(batch, 0), undefined)
})

test("a control record that is none of Kafka's is refused", () => {
  const of = (key: string | null, value: string | null): Buffer =>
    encodeBatch({
      baseOffset: 0,
      records: [
        {
          key: key === null ? null : Buffer.from(key, 'hex'),
          value: value === null ? null : Buffer.from(value, 'hex'),
          timestamp: 1,
        },
      ],
      ...NO_PRODUCER,
    })
  for (const batch of [
    of(null, '000000000015'),
    of('000000', '000000000015'),
    of('00000001', null),
    of('00000001', '0000000015'),
  ]) {
    assert.throws(() => readControlRecord(batch, 0), BatchFormatError)
  }
  const compressed = of('00000001', '000000000015')
  compressed.writeUInt8(0x31, 22)
  assert.throws(() => readControlRecord(compressed, 0), BatchFormatError)
})
