import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { ByteReader, MalformedBytesError } from '../../src/groups/byte-reader.ts'
import {
  decodeAssignment,
  decodeGroupMetadata,
  decodeSubscription,
} from '../../src/groups/group-metadata-format.ts'
import {
  decodeKey,
  decodeOffsetValue,
  encodeGroupKey,
  encodeOffsetKey,
  encodeOffsetValue,
  javaHashCode,
  offsetsPartitionFor,
} from '../../src/groups/offset-format.ts'

/** Bytes from numbers and strings: [type, value] a field. */
type Field =
  | readonly ['i8' | 'i16' | 'i32' | 'i64' | 'uvarint', number]
  | readonly ['string', string | null]
  | readonly ['compact', string | null]
  | readonly ['raw', Buffer]

function bytesOf(...fields: Field[]): Buffer {
  return Buffer.concat(fields.map(fieldBytes))
}

function fieldBytes([type, value]: Field): Buffer {
  if (type === 'raw') return value
  if (type === 'string') {
    if (value === null) return Buffer.from([0xff, 0xff])
    return Buffer.concat([fieldBytes(['i16', Buffer.byteLength(value)]), Buffer.from(value)])
  }
  if (type === 'compact') {
    if (value === null) return Buffer.from([0])
    return Buffer.concat([
      fieldBytes(['uvarint', Buffer.byteLength(value) + 1]),
      Buffer.from(value),
    ])
  }
  if (type === 'uvarint') return unsignedVarint(value)
  const bytes = Buffer.alloc({ i8: 1, i16: 2, i32: 4, i64: 8 }[type])
  if (type === 'i64') bytes.writeBigInt64BE(BigInt(value))
  else bytes.writeIntBE(value, 0, bytes.length)
  return bytes
}

function unsignedVarint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80)
  return Buffer.from([...bytes, rest])
}

const group = fc
  .string({ unit: 'binary', maxLength: 40 })
  .filter((text) => !/\p{Surrogate}/u.test(text))
const int32 = fc.integer({ min: 0, max: 2 ** 31 - 1 })

describe('the hash that chooses the partition', () => {
  test('is that of Java', () => {
    assert.equal(javaHashCode('billing'), -109829509)
    assert.equal(javaHashCode(''), 0)
    assert.equal(javaHashCode('polygenelubricants'), -(2 ** 31))
  })

  test('takes the absolute value, and that of the least integer is 0', () => {
    assert.equal(offsetsPartitionFor('billing', 50), 9)
    assert.equal(offsetsPartitionFor('billing', 4), 1)
    assert.equal(offsetsPartitionFor('billing', 1), 0)
    assert.equal(offsetsPartitionFor('polygenelubricants', 50), 0)
    assert.equal(offsetsPartitionFor('polygenelubricants', 7), 0)
  })
})

describe('keys', () => {
  test('of offsets come back as they were written', () => {
    fc.assert(
      fc.property(group, group, int32, (groupId, topic, partition) => {
        const decoded = decodeKey(encodeOffsetKey(groupId, topic, partition))
        assert.deepEqual(decoded, { kind: 'offset', group: groupId, topic, partition })
      }),
    )
  })

  test('are laid out as Kafka does', () => {
    const expected = bytesOf(['i16', 1], ['string', 'g'], ['string', 'tö'], ['i32', 7])
    assert.deepEqual(encodeOffsetKey('g', 'tö', 7), expected)
    assert.deepEqual(encodeGroupKey('gö'), bytesOf(['i16', 2], ['string', 'gö']))
  })

  test('of version 0 mean the same as those of version 1', () => {
    const key = bytesOf(['i16', 0], ['string', 'g'], ['string', 't'], ['i32', 7])
    assert.deepEqual(decodeKey(key), { kind: 'offset', group: 'g', topic: 't', partition: 7 })
  })

  test('of groups have version 2', () => {
    assert.deepEqual(decodeKey(encodeGroupKey('g')), { kind: 'group', group: 'g' })
  })

  test('of newer versions are unknown, not malformed', () => {
    for (const version of [3, 8, 9, 300]) {
      const key = bytesOf(['i16', version], ['string', 'g'])
      assert.deepEqual(decodeKey(key), { kind: 'unknown', malformed: false })
    }
  })

  test('that are cut short, null where they must not be, or no UTF-8 are malformed', () => {
    const malformed = { kind: 'unknown', malformed: true }
    const whole = encodeOffsetKey('group', 'topic', 1)
    for (let length = 0; length < whole.length; length += 1) {
      assert.deepEqual(decodeKey(whole.subarray(0, length)), malformed)
    }
    assert.deepEqual(decodeKey(bytesOf(['i16', 2], ['string', null])), malformed)
    assert.deepEqual(decodeKey(bytesOf(['i16', 2], ['i16', -2])), malformed)
    assert.deepEqual(decodeKey(bytesOf(['i16', -1], ['string', 'g'])), malformed)
    const notUtf8 = bytesOf(['i16', 2], ['i16', 1], ['raw', Buffer.from([0xff])])
    assert.deepEqual(decodeKey(notUtf8), malformed)
  })
})

describe('offset values', () => {
  const committed = {
    offset: 2 ** 53 - 1,
    metadata: '\ufeffmöta',
    leaderEpoch: 7,
    commitTimestamp: 1_700_000_000_000,
  }

  test('come back as they were written', () => {
    const metadata = group
    const offset = fc.maxSafeNat()
    const timestamp = fc.maxSafeInteger()
    const epoch = fc.integer({ min: -1, max: 2 ** 31 - 1 })
    fc.assert(
      fc.property(offset, metadata, epoch, timestamp, (at, text, leaderEpoch, commitTimestamp) => {
        const value = { offset: at, metadata: text, leaderEpoch, commitTimestamp }
        assert.deepEqual(decodeOffsetValue(encodeOffsetValue(value)), value)
      }),
    )
  })

  test('are written in version 3', () => {
    const expected = bytesOf(
      ['i16', 3],
      ['i64', committed.offset],
      ['i32', 7],
      ['string', committed.metadata],
      ['i64', committed.commitTimestamp],
    )
    assert.deepEqual(encodeOffsetValue(committed), expected)
  })

  test('of versions 0 and 2 have no leader epoch, those of version 1 an expiry on top', () => {
    const body: Field[] = [
      ['i64', 12],
      ['string', 'm'],
      ['i64', 99],
    ]
    const expected = { offset: 12, metadata: 'm', leaderEpoch: -1, commitTimestamp: 99 }
    assert.deepEqual(decodeOffsetValue(bytesOf(['i16', 0], ...body)), expected)
    assert.deepEqual(decodeOffsetValue(bytesOf(['i16', 1], ...body, ['i64', 100])), expected)
    assert.deepEqual(decodeOffsetValue(bytesOf(['i16', 2], ...body)), expected)
    assert.throws(() => decodeOffsetValue(bytesOf(['i16', 1], ...body)), MalformedBytesError)
  })

  test('of version 4 have compact metadata and tagged fields', () => {
    const long = 'x'.repeat(300)
    const head: Field[] = [
      ['i16', 4],
      ['i64', 12],
      ['i32', 3],
      ['compact', long],
      ['i64', 99],
    ]
    const expected = { offset: 12, metadata: long, leaderEpoch: 3, commitTimestamp: 99 }
    const tagged: Field[] = [
      ['uvarint', 2],
      ['uvarint', 0],
      ['uvarint', 16],
      ['raw', Buffer.alloc(16)],
    ]
    assert.deepEqual(decodeOffsetValue(bytesOf(...head, ['uvarint', 0])), expected)
    const second: Field[] = [
      ['uvarint', 200],
      ['uvarint', 0],
    ]
    assert.deepEqual(decodeOffsetValue(bytesOf(...head, ...tagged, ...second)), expected)
    assert.throws(() => decodeOffsetValue(bytesOf(...head, ...tagged)), MalformedBytesError)
    assert.throws(() => decodeOffsetValue(bytesOf(...head)), MalformedBytesError)
  })

  test('of newer versions, or with an offset that cannot be, are refused', () => {
    const body: Field[] = [
      ['i32', 0],
      ['string', ''],
      ['i64', 0],
    ]
    assert.throws(() => decodeOffsetValue(bytesOf(['i16', 5], ['i64', 1], ...body)), /version 5/)
    assert.throws(() => decodeOffsetValue(bytesOf(['i16', 3], ['i64', -1], ...body)), /-1/)
    const tooLarge = Buffer.from('7fffffffffffffff', 'hex')
    const value = bytesOf(['i16', 3], ['raw', tooLarge], ...body)
    assert.throws(() => decodeOffsetValue(value), /no safe integer/)
  })
})

describe('group metadata', () => {
  const subscription = bytesOf(
    ['i16', 3],
    ['i32', 2],
    ['string', 'a'],
    ['string', 'b'],
    ['i32', 3],
    ['raw', Buffer.from('you')],
    ['i32', 1],
    ['string', 'a'],
    ['i32', 2],
    ['i32', 0],
    ['i32', 4],
    ['i32', 17],
    ['string', 'rack-1'],
  )
  const assignment = bytesOf(
    ['i16', 1],
    ['i32', 1],
    ['string', 'a'],
    ['i32', 1],
    ['i32', 4],
    ['i32', -1],
  )
  const decodedSubscription = {
    topics: ['a', 'b'],
    userData: Buffer.from('you'),
    ownedPartitions: [{ topic: 'a', partitions: [0, 4] }],
    generation: 17,
    rack: 'rack-1',
  }
  const decodedAssignment = { partitions: [{ topic: 'a', partitions: [4] }], userData: null }

  function metadataOf(version: number, protocolType = 'consumer'): Buffer {
    const head: Field[] = [
      ['i16', version],
      ['string', protocolType],
      ['i32', 5],
      ['string', 'range'],
      ['string', null],
    ]
    if (version >= 2) head.push(['i64', 1234])
    head.push(['i32', 1], ['string', 'm-1'])
    if (version >= 3) head.push(['string', 'static-1'])
    head.push(['string', 'client'], ['string', '/host'])
    if (version >= 1) head.push(['i32', 60_000])
    head.push(['i32', 45_000])
    head.push(['i32', subscription.length], ['raw', subscription])
    head.push(['i32', assignment.length], ['raw', assignment])
    return bytesOf(...head)
  }

  function decodedOf(version: number) {
    return {
      protocolType: 'consumer',
      generation: 5,
      protocol: 'range',
      leader: null,
      currentStateTimestamp: version >= 2 ? 1234 : -1,
      members: [
        {
          memberId: 'm-1',
          groupInstanceId: version >= 3 ? 'static-1' : null,
          clientId: 'client',
          clientHost: '/host',
          rebalanceTimeoutMs: version >= 1 ? 60_000 : -1,
          sessionTimeoutMs: 45_000,
          subscription: decodedSubscription,
          assignment: decodedAssignment,
        },
      ],
    }
  }

  test('of versions 0 to 3 is read', () => {
    for (const version of [0, 1, 2, 3]) {
      assert.deepEqual(decodeGroupMetadata(metadataOf(version)), decodedOf(version))
    }
  })

  test('of version 4 is read in its flexible form', () => {
    const member = bytesOf(
      ['compact', 'm-1'],
      ['compact', 'static-1'],
      ['compact', 'client'],
      ['compact', '/host'],
      ['i32', 60_000],
      ['i32', 45_000],
      ['uvarint', subscription.length + 1],
      ['raw', subscription],
      ['uvarint', assignment.length + 1],
      ['raw', assignment],
      ['uvarint', 1],
      ['uvarint', 9],
      ['uvarint', 2],
      ['i16', 0],
    )
    const value = bytesOf(
      ['i16', 4],
      ['compact', 'consumer'],
      ['i32', 5],
      ['compact', 'range'],
      ['compact', null],
      ['i64', 1234],
      ['uvarint', 2],
      ['raw', member],
      ['uvarint', 0],
    )
    assert.deepEqual(decodeGroupMetadata(value), decodedOf(4))
  })

  test('of another protocol keeps its members and leaves their bytes alone', () => {
    const [member] = decodeGroupMetadata(metadataOf(3, 'connect')).members
    assert.equal(member?.memberId, 'm-1')
    assert.equal(member?.subscription, undefined)
    assert.equal(member?.assignment, undefined)
  })

  test('of a newer version, or cut short anywhere, is refused', () => {
    assert.throws(() => decodeGroupMetadata(metadataOf(5)), /version 5/)
    const whole = metadataOf(3)
    for (let length = 0; length < whole.length; length += 1) {
      assert.throws(() => decodeGroupMetadata(whole.subarray(0, length)), MalformedBytesError)
    }
  })

  test('subscriptions of older versions lack fields, newer ones are read as version 3', () => {
    const topics: Field[] = [
      ['i32', 1],
      ['string', 'a'],
      ['i32', -1],
    ]
    const owned: Field[] = [['i32', 0]]
    const read = (version: number, ...rest: Field[]) =>
      decodeSubscription(bytesOf(['i16', version], ...topics, ...rest))
    const old = { topics: ['a'], userData: null, ownedPartitions: [], generation: -1, rack: null }
    assert.deepEqual(read(0), old)
    assert.deepEqual(read(1, ...owned), old)
    assert.deepEqual(read(2, ...owned, ['i32', 4]), { ...old, generation: 4 })
    const newer = read(9, ...owned, ['i32', 4], ['string', 'r'], ['i64', 0])
    assert.deepEqual(newer, { ...old, generation: 4, rack: 'r' })
    assert.throws(() => read(-1), MalformedBytesError)
  })

  test('user data is a copy', () => {
    const bytes = Buffer.concat([assignment.subarray(0, -4), bytesOf(['i32', 1], ['i8', 5])])
    const decoded = decodeAssignment(bytes)
    bytes.fill(0)
    assert.deepEqual(decoded.userData, Buffer.from([5]))
  })
})

describe('whatever the bytes are', () => {
  const decoders = [decodeOffsetValue, decodeGroupMetadata, decodeSubscription, decodeAssignment]

  test('a decoder answers or throws MalformedBytesError', () => {
    const bytes = fc.tuple(fc.integer({ min: 0, max: 5 }), fc.uint8Array({ maxLength: 80 }))
    fc.assert(
      fc.property(bytes, ([version, rest]) => {
        const value = Buffer.concat([bytesOf(['i16', version]), rest])
        decodeKey(value)
        for (const decode of decoders) {
          try {
            decode(value)
          } catch (error) {
            assert.ok(error instanceof MalformedBytesError)
          }
        }
      }),
      { numRuns: 1000 },
    )
  })

  test('a count above what is left is refused before anything is made of it', () => {
    const reader = new ByteReader(bytesOf(['i32', 2 ** 31 - 1], ['i32', 0]))
    let made = 0
    assert.throws(
      () =>
        reader.array(() => {
          made += 1
        }),
      MalformedBytesError,
    )
    assert.equal(made, 0)
  })

  test('a varint of more than 32 bits is refused', () => {
    const read = (hex: string) => new ByteReader(Buffer.from(hex, 'hex')).unsignedVarint()
    assert.equal(read('ffffffff0f'), 2 ** 32 - 1)
    assert.throws(() => read('ffffffff1f'), MalformedBytesError)
    assert.throws(() => read('ffffffffff01'), MalformedBytesError)
  })
})
