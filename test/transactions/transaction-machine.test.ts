import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type {
  TransactionEvent,
  TransactionPlace,
} from '../../src/transactions/transaction-machine.ts'
import {
  decisionOf,
  isIdle,
  LAST_PRODUCER_EPOCH,
  needsProducerId,
  placesOf,
  TransactionOrderError,
  transition,
} from '../../src/transactions/transaction-machine.ts'
import type { TransactionState } from '../../src/transactions/transaction-state-format.ts'
import {
  decodeTransactionValue,
  encodeTransactionValue,
} from '../../src/transactions/transaction-state-format.ts'

const PLACES: readonly TransactionPlace[] = [
  { topic: 'a', partition: 2, firstOffset: 7 },
  { topic: 'b', partition: 0, firstOffset: 0 },
  { topic: 'a', partition: 0, firstOffset: 9 },
]

const init = (newProducerId?: number): TransactionEvent => ({
  type: 'init',
  transactionTimeoutMs: 1000,
  newProducerId,
})
const add: TransactionEvent = { type: 'add', places: PLACES, startTimestamp: 5 }
const prepare = (outcome: 'commit' | 'abort', fences = false): TransactionEvent => ({
  type: 'prepare',
  outcome,
  places: PLACES,
  startTimestamp: 5,
  fences,
})
const complete = (outcome: 'commit' | 'abort'): TransactionEvent => ({ type: 'complete', outcome })

function after(...events: readonly TransactionEvent[]): TransactionState {
  let state: TransactionState | undefined
  for (const [now, event] of events.entries()) state = transition(state, event, now)
  return state as TransactionState
}

test('an id goes from one transaction to the next under one epoch', () => {
  const statuses = [
    init(77),
    add,
    prepare('commit'),
    complete('commit'),
    prepare('abort'),
    complete('abort'),
  ]
  let state: TransactionState | undefined
  const seen = statuses.map((event, now) => {
    state = transition(state, event, now)
    return [state.status, state.producerId, state.producerEpoch, state.lastUpdateTimestamp]
  })
  assert.deepEqual(seen, [
    ['Empty', 77, 0, 0],
    ['Ongoing', 77, 0, 1],
    ['PrepareCommit', 77, 0, 2],
    ['CompleteCommit', 77, 0, 3],
    ['PrepareAbort', 77, 0, 4],
    ['CompleteAbort', 77, 0, 5],
  ])
})

test('a decision says where its transaction begins in each partition, by topic', () => {
  const state = after(init(77), prepare('commit'))
  assert.deepEqual(state.partitions, [
    { topic: 'a', partitions: [2, 0] },
    { topic: 'b', partitions: [0] },
  ])
  assert.deepEqual(placesOf(state), [PLACES[0], PLACES[2], PLACES[1]])
  const done = transition(state, complete('commit'), 9)
  assert.deepEqual([done.partitions, done.firstOffsets], [[], undefined])
})

test('a new instance has the next epoch, and after the last one another producer id', () => {
  const first = after(init(77))
  assert.equal(needsProducerId(first), false)
  assert.equal(transition(first, init(), 1).producerEpoch, 1)
  const last = { ...first, producerEpoch: LAST_PRODUCER_EPOCH }
  assert.ok(needsProducerId(last))
  assert.throws(() => transition(last, init(), 1), TransactionOrderError)
  const { producerId, producerEpoch, previousProducerId } = transition(last, init(78), 1)
  assert.deepEqual([producerId, producerEpoch, previousProducerId], [78, 0, 77])
})

test('an abort that fences raises the epoch, also above the last one that is given', () => {
  const state = { ...after(init(77)), producerEpoch: LAST_PRODUCER_EPOCH }
  assert.equal(transition(state, prepare('abort', true), 1).producerEpoch, 32_767)
})

test('the producer id that a broker has chosen for the next transaction is taken with the end of this one', () => {
  const state = { ...after(init(77), prepare('commit')), producerEpoch: 32_767, nextProducerId: 90 }
  const { producerId, producerEpoch, previousProducerId, nextProducerId } = transition(
    state,
    complete('commit'),
    1,
  )
  assert.deepEqual([producerId, producerEpoch, previousProducerId, nextProducerId], [90, 0, 77, -1])
})

test('nothing begins before an init, nor before the last transaction is complete', () => {
  for (const event of [add, prepare('commit'), complete('commit')]) {
    assert.throws(() => transition(undefined, event, 0), TransactionOrderError)
  }
  const decided = after(init(77), prepare('commit'))
  for (const event of [init(), add, prepare('commit')]) {
    assert.throws(() => transition(decided, event, 9), TransactionOrderError)
  }
  assert.throws(() => transition(after(init(77)), complete('commit'), 9), TransactionOrderError)
  assert.throws(() => transition(after(init(77), add), init(), 9), TransactionOrderError)
})

test('what an open finds under way is aborted, save what is decided otherwise', () => {
  assert.equal(decisionOf(after(init(77))), undefined)
  assert.equal(decisionOf(after(init(77), add)), 'abort')
  assert.equal(decisionOf(after(init(77), prepare('abort'))), 'abort')
  assert.equal(decisionOf(after(init(77), prepare('commit'))), 'commit')
  assert.equal(decisionOf(after(init(77), prepare('commit'), complete('commit'))), undefined)
})

test('whatever comes, the identity never goes back, only a decision commits, and what is stored is what was meant', () => {
  const place: fc.Arbitrary<TransactionPlace> = fc.record({
    topic: fc.constantFrom('a', 'b'),
    partition: fc.nat({ max: 3 }),
    firstOffset: fc.nat({ max: 99 }),
  })
  const places = fc.uniqueArray(place, {
    maxLength: 4,
    selector: ({ topic, partition }) => `${topic}-${partition}`,
  })
  const outcome = fc.constantFrom('commit' as const, 'abort' as const)
  const event: fc.Arbitrary<TransactionEvent> = fc.oneof(
    fc.record({
      type: fc.constant('init' as const),
      transactionTimeoutMs: fc.constant(1000),
      newProducerId: fc.constant(undefined),
    }),
    fc.record({ type: fc.constant('add' as const), places, startTimestamp: fc.nat() }),
    fc.record({
      type: fc.constant('prepare' as const),
      outcome,
      places,
      startTimestamp: fc.nat(),
      fences: fc.boolean(),
    }),
    fc.record({ type: fc.constant('complete' as const), outcome }),
  )
  fc.assert(
    fc.property(fc.array(event, { maxLength: 30 }), (events) => {
      let state = after(init(1))
      let producerIds = 1
      for (const [now, each] of events.entries()) {
        const isInit = each.type === 'init' && needsProducerId(state)
        const given = isInit ? { ...each, newProducerId: producerIds + 1 } : each
        const before = state
        try {
          state = transition(before, given, now)
        } catch (error) {
          assert.ok(error instanceof TransactionOrderError)
          continue
        }
        if (isInit) producerIds += 1
        expectFollows(before, each, state)
      }
    }),
  )
})

function expectFollows(
  before: TransactionState,
  event: TransactionEvent,
  state: TransactionState,
): void {
  assert.ok(state.producerId >= before.producerId)
  const isSame = state.producerId === before.producerId
  assert.ok(!isSame || state.producerEpoch >= before.producerEpoch)
  if (decisionOf(state) === 'commit') {
    assert.ok(event.type === 'prepare' && event.outcome === 'commit')
  }
  if (event.type === 'prepare' || event.type === 'add') {
    const given = event.places.map((place) => ({ ...place }))
    assert.deepEqual(placesOf(state).sort(byPlace), given.sort(byPlace))
  } else assert.ok(isIdle(state))
  assert.deepEqual(decodeTransactionValue(encodeTransactionValue(state)), state)
}

function byPlace(a: TransactionPlace, b: TransactionPlace): number {
  return `${a.topic}-${a.partition}` < `${b.topic}-${b.partition}` ? -1 : 1
}
