// What groups and their consumers tell through node:diagnostics_channel, and what they count.
import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import type { DiagnosticMessages } from '../../../src/groups/consumer/signal-messages.ts'
import type { ConsumerSignals, GroupSignals } from '../../../src/groups/consumer/signals.ts'
import { LogSignals } from '../../../src/groups/consumer/signals.ts'

type Name = keyof DiagnosticMessages

const NAMES = [
  'brokerless:consumer:assigned',
  'brokerless:consumer:revoked',
  'brokerless:consumer:lost',
  'brokerless:consumer:committed',
  'brokerless:consumer:retried',
  'brokerless:consumer:dead-lettered',
  'brokerless:consumer:skipped',
  'brokerless:group:rebalanced',
  'brokerless:loop-blocked',
] as const satisfies readonly Name[]

const RECORD = { topic: 'orders', partition: 1, offset: 7, key: 'k', value: { secret: true } }
const PARTITIONS = [
  { topic: 'orders', partition: 0 },
  { topic: 'orders', partition: 1 },
]
const ORIGIN = { directory: './data', group: 'billing' }
const FROM = { ...ORIGIN, memberId: 'c-1' }
const FAILURE = new Error('no such account')

/** Everything that can be told, once. */
function tellAll(group: GroupSignals, consumer: ConsumerSignals): void {
  group.rebalanced(3, 2)
  consumer.assigned(PARTITIONS)
  consumer.delivered(10, 1_000)
  consumer.retried(RECORD, 1, FAILURE)
  consumer.skipped(RECORD, FAILURE)
  consumer.deadLettered(RECORD, 'orders-dead', FAILURE)
  consumer.committed([{ topic: 'orders', partition: 1, offset: 8 }])
  consumer.revoked(PARTITIONS)
  consumer.lost(PARTITIONS, 'expired')
  group.loopBlocked(2_500)
}

function makeSignals(): { group: GroupSignals; consumer: ConsumerSignals } {
  const group = new LogSignals('./data').of('billing')
  const consumer = group.consumer()
  consumer.memberId = 'c-1'
  return { group, consumer }
}

/** What the channels tell while `work` is done. */
function heard(names: readonly Name[], work: () => void): [Name, unknown][] {
  const messages: [Name, unknown][] = []
  const listeners = names.map((name) => {
    const listener = (message: unknown): void => void messages.push([name, message])
    subscribe(name, listener)
    return { name, listener }
  })
  try {
    work()
  } finally {
    for (const { name, listener } of listeners) unsubscribe(name, listener)
  }
  return messages
}

test('each channel tells its own message, in the order of what happens', () => {
  const { group, consumer } = makeSignals()
  const failed = { ...FROM, topic: 'orders', partition: 1, offset: 7, error: FAILURE }
  const offsets = [{ topic: 'orders', partition: 1, offset: 8 }]
  assert.deepEqual(
    heard(NAMES, () => tellAll(group, consumer)),
    [
      ['brokerless:group:rebalanced', { ...ORIGIN, generation: 3, members: 2 }],
      ['brokerless:consumer:assigned', { ...FROM, partitions: PARTITIONS }],
      ['brokerless:consumer:retried', { ...failed, attempt: 1 }],
      ['brokerless:consumer:skipped', failed],
      ['brokerless:consumer:dead-lettered', { ...failed, deadLetterTopic: 'orders-dead' }],
      ['brokerless:consumer:committed', { ...FROM, offsets }],
      ['brokerless:consumer:revoked', { ...FROM, partitions: PARTITIONS }],
      ['brokerless:consumer:lost', { ...FROM, partitions: PARTITIONS, reason: 'expired' }],
      ['brokerless:loop-blocked', { ...ORIGIN, durationMs: 2_500 }],
    ],
  )
})

test('a consumer that has joined again tells its new member id', () => {
  const { consumer } = makeSignals()
  const messages = heard(['brokerless:consumer:assigned'], () => {
    consumer.memberId = 'c-2'
    consumer.assigned(PARTITIONS)
  })
  assert.deepEqual(
    messages.map(([, message]) => message),
    [{ ...ORIGIN, memberId: 'c-2', partitions: PARTITIONS }],
  )
})

test('nothing is built for channels that nobody listens to', () => {
  const { group, consumer } = makeSignals()
  let built = 0
  const { origin } = group
  group.origin = () => {
    built += 1
    return origin.call(group)
  }
  tellAll(group, consumer)
  assert.equal(built, 0)
  heard(['brokerless:consumer:lost'], () => tellAll(group, consumer))
  assert.equal(built, 1)
})

test('a consumer counts for itself and for its group, whether anybody listens or not', () => {
  const { group, consumer } = makeSignals()
  const other = group.consumer()
  tellAll(group, consumer)
  other.delivered(5, 50)
  const counts = { commits: 1, retries: 1, deadLetters: 1, skipped: 1 }
  assert.deepEqual(consumer.metrics(), { records: 10, bytes: 1_000, ...counts })
  assert.deepEqual(other.metrics(), {
    records: 5,
    bytes: 50,
    commits: 0,
    retries: 0,
    deadLetters: 0,
    skipped: 0,
  })
  assert.deepEqual(group.metrics(), {
    records: 15,
    bytes: 1_050,
    ...counts,
    members: 2,
    generation: 3,
    rebalances: 1,
  })
})

test('a change within a generation is no rebalance', () => {
  const { group } = makeSignals()
  const messages = heard(['brokerless:group:rebalanced'], () => {
    group.rebalanced(3, 2)
    group.rebalanced(3, 1)
    group.rebalanced(4, 1)
  })
  assert.deepEqual(
    messages.map(([, message]) => message),
    [
      { ...ORIGIN, generation: 3, members: 2 },
      { ...ORIGIN, generation: 4, members: 1 },
    ],
  )
  const { members, generation, rebalances } = group.metrics()
  assert.deepEqual(
    { members, generation, rebalances },
    { members: 1, generation: 4, rebalances: 2 },
  )
})

test('the groups of a log are counted one by one, until they are deleted', () => {
  const signals = new LogSignals('./data')
  assert.equal(signals.of('a'), signals.of('a'))
  signals.of('b').consumer().delivered(1, 10)
  assert.deepEqual([...signals.groups().keys()], ['a', 'b'])
  assert.equal(signals.of('a').metrics().records, 0)
  signals.forget('b')
  assert.equal(signals.of('b').metrics().records, 0)
})

test('what was answered with does not change afterwards', () => {
  const { group, consumer } = makeSignals()
  const before = [consumer.metrics(), group.metrics()]
  const copies = before.map((each) => ({ ...each }))
  tellAll(group, consumer)
  assert.deepEqual(before, copies)
})

test('a listener that throws harms neither the consumer nor other listeners; the program is told', async () => {
  const { consumer } = makeSignals()
  const listeners = process.listeners('uncaughtException')
  const raised = new Promise((resolve) => {
    process.removeAllListeners('uncaughtException')
    process.once('uncaughtException', (error) => {
      for (const each of listeners) process.on('uncaughtException', each)
      resolve(error)
    })
  })
  const failure = new Error('the listener of a test')
  const broken = (): void => {
    throw failure
  }
  subscribe('brokerless:consumer:revoked', broken)
  const messages = heard(['brokerless:consumer:revoked'], () => consumer.revoked(PARTITIONS))
  unsubscribe('brokerless:consumer:revoked', broken)
  assert.equal(messages.length, 1)
  assert.equal(await raised, failure)
})

test('docs/metrics.md names every channel and its fields, and no other', () => {
  const { group, consumer } = makeSignals()
  const messages = heard(NAMES, () => tellAll(group, consumer))
  const told = messages.map(([name, message]) => {
    const fields = Object.keys(message as object)
    return [name, fields.filter((field) => !(field in ORIGIN)).sort()]
  })
  const text = readFileSync(path.join(import.meta.dirname, '../../../docs/metrics.md'), 'utf8')
  const documented = [...text.matchAll(/^\| `(brokerless:[\w:-]+)` \| [^|]+ \| ([^|]+) \|$/gm)]
  const rows = documented.map(([, name, fields = '']) => [
    name,
    [...fields.matchAll(/`(\w+)`/g)].map(([, field]) => field).sort(),
  ])
  assert.deepEqual(new Map(rows as never), new Map(told as never))
})
