import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MalformedBytesError } from '../../src/groups/byte-reader.ts'
import type { TransactionState } from '../../src/transactions/transaction-state-format.ts'
import {
  decodeTransactionKey,
  decodeTransactionValue,
  encodeTransactionKey,
  encodeTransactionValue,
} from '../../src/transactions/transaction-state-format.ts'

const hex = (...parts: string[]): Buffer => Buffer.from(parts.join('').replaceAll(' ', ''), 'hex')

/** producerId 5, epoch 2, timeout 60,000. */
const BEGINNING = '0000000000000005 0002 0000ea60'
/** 1,000 and 2,000. */
const TIMES = '00000000000003e8 00000000000007d0'

test('a key holds the transactional id', () => {
  assert.equal(decodeTransactionKey(hex('0000 0004', '74782d31')), 'tx-1')
  assert.throws(() => decodeTransactionKey(hex('0001 0004', '74782d31')), MalformedBytesError)
  assert.throws(() => decodeTransactionKey(hex('0000 0005', '74782d31')), MalformedBytesError)
})

test('a value of version 0', () => {
  // Ongoing, one topic "a" with partitions 0 and 3.
  const value = hex('0000', BEGINNING, '01 00000001 0001 61 00000002 00000000 00000003', TIMES)
  assert.deepEqual(decodeTransactionValue(value), {
    producerId: 5,
    previousProducerId: -1,
    nextProducerId: -1,
    producerEpoch: 2,
    transactionTimeoutMs: 60_000,
    status: 'Ongoing',
    partitions: [{ topic: 'a', partitions: [0, 3] }],
    lastUpdateTimestamp: 1000,
    startTimestamp: 2000,
    clientTransactionVersion: 0,
  })
})

test('a value of version 0 without partitions', () => {
  const value = hex('0000', BEGINNING, '00 ffffffff', TIMES)
  const { status, partitions } = decodeTransactionValue(value)
  assert.deepEqual([status, partitions], ['Empty', []])
})

test('a value of version 1, with tagged fields', () => {
  // CompleteCommit, one topic "a" with partition 1; previous producer id 4, client version 2, an unknown tag 9.
  const topics = '02 02 61 02 00000001 00'
  const tags = '03 00 08 0000000000000004 02 02 0002 09 01 ff'
  const value = decodeTransactionValue(hex('0001', BEGINNING, '04', topics, TIMES, tags))
  assert.equal(value.status, 'CompleteCommit')
  assert.deepEqual(value.partitions, [{ topic: 'a', partitions: [1] }])
  assert.deepEqual(
    [value.previousProducerId, value.nextProducerId, value.clientTransactionVersion],
    [4, -1, 2],
  )
  const none = decodeTransactionValue(hex('0001', BEGINNING, '00 00', TIMES, '00'))
  assert.deepEqual(none.partitions, [])
})

test('what is malformed or newer is refused, and nothing else is thrown', () => {
  const refused = (bytes: Buffer): void =>
    assert.throws(() => decodeTransactionValue(bytes), MalformedBytesError)
  refused(hex('0002', BEGINNING, '00 00', TIMES, '00'))
  refused(hex('0000', BEGINNING, '08 ffffffff', TIMES))
  refused(hex('0000', BEGINNING, '01 7fffffff', TIMES))
  refused(hex('0000', BEGINNING))
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.constantFrom(0, 1), (bytes, version) => {
      const value = Buffer.from(bytes)
      if (value.length >= 2) value.writeInt16BE(version, 0)
      try {
        decodeTransactionValue(value)
      } catch (error) {
        assert.ok(error instanceof MalformedBytesError)
      }
    }),
  )
})

/** Values that a broker (4.1, `transaction.version` 2) wrote for a producer of `kafka-clients`, the timestamps as they were. */
const BROKER_VALUES = [
  '0001000000000000000a0000000927c00000000001a1fe4580fdffffffffffffffff010008000000000000000a',
  '0001000000000000000a0000000927c001020d7472616e73616374696f6e73020000000000000001a1fe4581b1000001a1fe4581b1020008000000000000000a02020002',
  '0001000000000000000a0001000927c002020d7472616e73616374696f6e73020000000000000001a1fe45825a000001a1fe4581b1020008000000000000000a02020002',
  '0001000000000000000a0001000927c00401000001a1fe458294000001a1fe4581b1020008000000000000000a02020002',
  '0001000000000000000a000b000927c003020d7472616e73616374696f6e73020000000000000001a1fe4586b1000001a1fe4585f7020008000000000000000a02020002',
  '0001000000000000000a000b000927c00501000001a1fe4586c1000001a1fe4585f7020008000000000000000a02020002',
]

test('what a broker wrote is written again byte for byte', () => {
  for (const value of BROKER_VALUES) {
    const state = decodeTransactionValue(hex(value))
    assert.equal(encodeTransactionValue(state).toString('hex'), value)
  }
  const key = '0000000e7472616e73616374696f6e732d30'
  assert.equal(encodeTransactionKey(decodeTransactionKey(hex(key))).toString('hex'), key)
})

test('every state comes back as it was', () => {
  const id = fc.maxSafeNat()
  const offsets = fc.array(id, { maxLength: 4 })
  const state: fc.Arbitrary<TransactionState> = fc.record(
    {
      producerId: id,
      previousProducerId: fc.oneof(fc.constant(-1), id),
      nextProducerId: fc.oneof(fc.constant(-1), id),
      producerEpoch: fc.integer({ min: 0, max: 32_767 }),
      transactionTimeoutMs: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
      status: fc.constantFrom('Ongoing', 'PrepareCommit', 'PrepareAbort', 'CompleteAbort'),
      partitions: fc.array(
        fc.record(
          {
            topic: fc.string({ maxLength: 249 }),
            partitions: fc.array(fc.nat({ max: 2 ** 31 - 1 }), { maxLength: 200 }),
          },
          { noNullPrototype: true },
        ),
        { maxLength: 5 },
      ),
      lastUpdateTimestamp: id,
      startTimestamp: fc.oneof(fc.constant(-1), id),
      clientTransactionVersion: fc.constantFrom(0, 1, 2),
      firstOffsets: offsets,
    },
    { noNullPrototype: true },
  )
  fc.assert(
    fc.property(state, fc.boolean(), (given, isOurs) => {
      const { firstOffsets, ...rest } = given
      const written = isOurs && firstOffsets !== undefined ? { ...rest, firstOffsets } : rest
      assert.deepEqual(decodeTransactionValue(encodeTransactionValue(written)), written)
    }),
  )
})
