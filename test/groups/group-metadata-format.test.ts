import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { GroupMetadata } from '../../src/groups/group-metadata-format.ts'
import { decodeGroupMetadata, encodeGroupMetadata } from '../../src/groups/group-metadata-format.ts'

/** As they are written in code, with the prototype of an object. */
function record<T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>
}
const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })
const userData = fc.option(fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes)))
const text = fc.string({ unit: 'grapheme', maxLength: 12 })
const topicPartitions = fc.array(
  record({ topic: text, partitions: fc.array(int32, { maxLength: 4 }) }),
  { maxLength: 4 },
)
const subscription = record({
  topics: fc.array(text, { maxLength: 4 }),
  userData,
  ownedPartitions: topicPartitions,
  generation: int32,
  rack: fc.option(text),
})
const member = record({
  memberId: text,
  groupInstanceId: fc.option(text),
  clientId: text,
  clientHost: text,
  rebalanceTimeoutMs: int32,
  sessionTimeoutMs: int32,
  subscription: fc.option(subscription, { nil: undefined }),
  assignment: fc.option(record({ partitions: topicPartitions, userData }), { nil: undefined }),
})
const metadata: fc.Arbitrary<GroupMetadata> = record({
  protocolType: fc.constant('consumer'),
  generation: int32,
  protocol: fc.option(text),
  leader: fc.option(text),
  currentStateTimestamp: fc.maxSafeInteger(),
  members: fc.array(member, { maxLength: 5 }),
})

test('group metadata that is written is read back as it was', () => {
  fc.assert(
    fc.property(metadata, (given) => {
      assert.deepEqual(decodeGroupMetadata(encodeGroupMetadata(given)), given)
    }),
  )
})

test('the bytes are those of GroupMetadataValue version 3', () => {
  const written = encodeGroupMetadata({
    protocolType: 'consumer',
    generation: 7,
    protocol: 'range',
    leader: 'm',
    currentStateTimestamp: 258,
    members: [
      {
        memberId: 'm',
        groupInstanceId: null,
        clientId: 'c',
        clientHost: '/h',
        rebalanceTimeoutMs: 3,
        sessionTimeoutMs: 4,
        subscription: {
          topics: ['t'],
          userData: null,
          ownedPartitions: [],
          generation: -1,
          rack: null,
        },
        assignment: { partitions: [{ topic: 't', partitions: [1] }], userData: null },
      },
    ],
  })
  const subscription = '0003 00000001 0001 74 ffffffff 00000000 ffffffff ffff'
  const assignment = '0003 00000001 0001 74 00000001 00000001 ffffffff'
  const expected = [
    '0003 0008 636f6e73756d6572 00000007 0005 72616e6765 0001 6d 0000000000000102 00000001',
    '0001 6d ffff 0001 63 0002 2f68 00000003 00000004',
    `00000017 ${subscription} 00000015 ${assignment}`,
  ]
  const hex = expected.join('').replaceAll(' ', '')
  assert.equal(written.toString('hex'), hex)
})
