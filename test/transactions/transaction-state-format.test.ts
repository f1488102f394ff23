import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MalformedBytesError } from '../../src/groups/byte-reader.ts'
import {
  decodeTransactionKey,
  decodeTransactionValue,
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
