import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LogError } from '../../src/errors.ts'
import type { StoredTopic } from '../../src/topics/stored-topic.ts'
import {
  collidingTopic,
  foreignTopic,
  newTopic,
  reconcile,
  requireSameTopic,
} from '../../src/topics/stored-topic.ts'
import type { TopicDeclaration } from '../../src/topics/topic-definition.ts'
import { resolveDeclaration } from '../../src/topics/topic-definition.ts'

const ID = 'xRQf76KASpmJ78nw4a8qVg'
const declare = (declaration: TopicDeclaration = {}) => resolveDeclaration('orders', declaration)
const stored: StoredTopic = {
  name: 'orders',
  topicId: ID,
  partitions: 3,
  key: 'string',
  serializer: 'json',
  config: { retentionMs: 10, segmentMs: 20 },
  state: 'live',
}

function hasCode(code: string, ...parts: string[]): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof LogError)
    assert.equal(error.code, code)
    for (const part of parts) assert.ok(error.message.includes(part), error.message)
    return true
  }
}

test('a topic that is not there is created, with the defaults for what the declaration leaves out', () => {
  assert.deepEqual(reconcile(undefined, declare()), { kind: 'create' })
  assert.deepEqual(newTopic(declare({ retentionMs: 5 }), ID), {
    name: 'orders',
    topicId: ID,
    partitions: 1,
    key: 'string',
    serializer: 'msgpack',
    config: { retentionMs: 5 },
    state: 'live',
  })
})

test('what a declaration leaves out stays as stored', () => {
  assert.deepEqual(reconcile(stored, declare()), { kind: 'unchanged', topic: stored })
  const same = declare({ partitions: 3, key: 'string', value: 'json', retentionMs: 10 })
  assert.equal(reconcile(stored, same).kind, 'unchanged')
})

test('a declaration alters the configuration that it gives and nothing else', () => {
  assert.deepEqual(
    reconcile(stored, declare({ retentionMs: 11, segmentMs: 20, segmentBytes: 2048 })),
    {
      kind: 'altered',
      topic: { ...stored, config: { retentionMs: 11, segmentMs: 20, segmentBytes: 2048 } },
      config: { retentionMs: 11, segmentBytes: 2048 },
    },
  )
})

test('a declaration that does not go with what is stored is refused', () => {
  const lagging = { ...stored, config: { minCompactionLagMs: 9 } }
  assert.throws(() => reconcile(lagging, declare({ maxCompactionLagMs: 8 })), RangeError)
})

test('a declaration adds partitions', () => {
  assert.deepEqual(reconcile(stored, declare({ partitions: 5 })), {
    kind: 'altered',
    topic: { ...stored, partitions: 5 },
    partitions: 5,
  })
})

test('fewer partitions, another key type or another serializer is TOPIC_MISMATCH, naming both', () => {
  const mismatch = (declaration: TopicDeclaration, ...parts: string[]) =>
    assert.throws(
      () => reconcile(stored, declare(declaration)),
      hasCode('TOPIC_MISMATCH', 'orders', ...parts),
    )
  mismatch({ partitions: 2 }, 'has 3 partitions', 'declared with 2')
  mismatch({ key: 'bytes' }, "key 'string'", "'bytes'")
  mismatch({ value: 'msgpack' }, "serializer 'json'", "'msgpack'")
})

test('a foreign topic takes key and serializer from the first declaration that gives a serializer, and from no other after it', () => {
  const foreign = foreignTopic('orders', ID, 2)
  const first = reconcile(foreign, declare({ key: 'bytes', value: 'string' }))
  assert.equal(first.kind, 'altered')
  const adopted = { ...foreign, key: 'bytes', serializer: 'string' } as const
  assert.deepEqual('topic' in first && first.topic, adopted)
  assert.throws(() => reconcile(adopted, declare({ value: 'json' })), hasCode('TOPIC_MISMATCH'))
})

test('a foreign topic stays foreign while no serializer is declared', () => {
  const foreign = foreignTopic('orders', ID, 2)
  assert.deepEqual(reconcile(foreign, declare()), { kind: 'unchanged', topic: foreign })
  const altered = reconcile(foreign, declare({ key: 'bytes', retentionMs: 1 }))
  assert.deepEqual('topic' in altered && altered.topic, {
    ...foreign,
    key: 'bytes',
    config: { retentionMs: 1 },
  })
  assert.throws(() => reconcile(foreign, declare({ partitions: 1 })), hasCode('TOPIC_MISMATCH'))
})

test('two creators of the same topic agree, whether or not they write defaults out', () => {
  requireSameTopic(newTopic(declare(), ID), declare())
  requireSameTopic(
    newTopic(declare(), ID),
    declare({ partitions: 1, key: 'string', value: 'msgpack', retentionMs: -1 }),
  )
  requireSameTopic(
    newTopic(declare({ retentionMs: -1, durability: 'os' }), ID),
    declare({ durability: 'os' }),
  )
})

test('TOPIC_EXISTS names every difference', () => {
  const wanted = declare({
    key: 'bytes',
    value: 'string',
    retentionMs: 11,
    segmentMs: 20,
    durability: 'os',
  })
  assert.throws(
    () => requireSameTopic(stored, wanted),
    hasCode(
      'TOPIC_EXISTS',
      'topic orders exists: ',
      'partitions is 3, not 1',
      'key is string, not bytes',
      'serializer is json, not string',
      'retentionMs is 10, not 11',
      "durability is the log's, not os",
    ),
  )
  assert.throws(
    () => requireSameTopic(stored, wanted),
    (error: Error) => !error.message.includes('segmentMs'),
  )
})

test("names that differ in '.' and '_' alone collide, as in Kafka", () => {
  assert.equal(collidingTopic('a.b', ['x', 'a_b']), 'a_b')
  assert.equal(collidingTopic('a_b', ['a.b']), 'a.b')
  assert.equal(collidingTopic('a.b', ['a.b', 'a-b', 'ab']), undefined)
  assert.equal(collidingTopic('ab', ['a.b']), undefined)
})
