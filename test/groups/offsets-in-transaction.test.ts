// Commits of groups that are part of a transaction: what is served before it is decided, and after.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LogError } from '../../src/errors.ts'
import { offsetsPartitionFor } from '../../src/groups/offset-format.ts'
import type { HeldOffsets } from '../../src/groups/offset-store.ts'
import { OffsetStore } from '../../src/groups/offset-store.ts'
import type { OffsetCommit } from '../../src/groups/types.ts'
import { Deferred } from '../../src/util/deferred.ts'
import { FakeOffsetsPartition } from '../support/fake-offsets-partition.ts'

const clock = { now: () => 5, setTimer: () => assert.fail('no timer is needed') }
const T0 = { topic: 't', partition: 0 }
const at = (offset: number): OffsetCommit => ({ ...T0, offset })
const pass = (): void => {}
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

async function load(
  partitions = 1,
): Promise<{ store: OffsetStore; fakes: FakeOffsetsPartition[] }> {
  const fakes = Array.from({ length: partitions }, () => new FakeOffsetsPartition())
  return { store: await OffsetStore.load({ partitions: fakes, clock }), fakes }
}

/** Begins to commit for a group; the answer decides. */
function begin(store: OffsetStore, group: string, commits: readonly OffsetCommit[]) {
  const held = new Deferred<readonly HeldOffsets[]>()
  const ended = new Deferred<void>()
  const done = store.inTransaction(new Map([[group, commits]]), pass, (given) => {
    held.resolve(given)
    return ended.promise
  })
  return {
    async decide(outcome: 'commit' | 'abort', baseOffset: number): Promise<void> {
      for (const each of await held.promise) each.decided(outcome, baseOffset)
      ended.resolve()
      await done
    },
  }
}

const offsetOf = (store: OffsetStore, group = 'g'): number | undefined =>
  store.committed(group, 't', 0)?.offset

test('what was committed before is served until the transaction is decided', async () => {
  const { store } = await load()
  await store.commit('g', [at(1)])
  const transaction = begin(store, 'g', [at(2)])
  assert.equal(offsetOf(store), 1)
  assert.equal(store.undecidedOf('g')(T0), true)
  assert.equal(store.undecidedOf('g')(), true)
  assert.equal(store.undecidedOf('g')({ topic: 't', partition: 1 }), false)
  assert.equal(store.undecidedOf('h')(), false)
  await transaction.decide('commit', 1)
  assert.equal(offsetOf(store), 2)
  assert.equal(store.undecidedOf('g')(), false)
})

test('of an aborted transaction nothing is served', async () => {
  const { store } = await load()
  await store.commit('g', [at(1)])
  await begin(store, 'g', [at(2)]).decide('abort', -1)
  assert.equal(offsetOf(store), 1)
  assert.equal(store.undecidedOf('g')(), false)
})

test('a commit behind the record of the transaction is not undone by its decision', async () => {
  const { store, fakes } = await load()
  const transaction = begin(store, 'g', [at(2)])
  // The transaction's record has offset 0.
  await fakes[0]?.append(
    { keys: [null], values: [null], headers: undefined, timestamps: undefined },
    'os',
  )
  await store.commit('g', [at(7)])
  await transaction.decide('commit', 0)
  assert.equal(offsetOf(store), 7)
})

test('what waits for the decision is told of it, and not of another partition', async () => {
  const { store } = await load()
  assert.equal(store.decided('g', T0), undefined)
  const [one, two] = [begin(store, 'g', [at(2)]), begin(store, 'g', [at(3)])]
  assert.equal(store.decided('g', { topic: 't', partition: 1 }), undefined)
  let told = false
  const waiting = store.decided('g', T0)?.then(() => {
    told = true
  })
  await one.decide('commit', 0)
  await turn()
  assert.equal(told, false)
  await two.decide('abort', -1)
  await waiting
  assert.equal(told, true)
})

test('a deletion waits for the decision, and takes what was decided along', async () => {
  const { store, fakes } = await load()
  await store.commit('g', [at(1)])
  const transaction = begin(store, 'g', [at(2)])
  await fakes[0]?.append(
    { keys: [null], values: [null], headers: undefined, timestamps: undefined },
    'os',
  )
  const deleted = store.removeTopic('t')
  await turn()
  assert.equal(offsetOf(store), 1)
  await transaction.decide('commit', 1)
  await deleted
  assert.equal(offsetOf(store), undefined)
})

test('who is refused holds nothing', async () => {
  const { store } = await load()
  const refused = store.inTransaction(
    new Map([['g', [at(2)]]]),
    () => {
      throw new LogError('FENCED', 'not yours')
    },
    () => assert.fail('nothing is appended'),
  )
  await assert.rejects(refused, { code: 'FENCED' })
  assert.equal(store.undecidedOf('g')(), false)
  await store.removeTopic('t')
})

test('groups of several partitions are held in all of them, whoever comes first', async () => {
  const { store } = await load(4)
  const groups = ['a', 'b', 'c', 'd', 'e', 'f']
  const numbers = new Set(groups.map((group) => offsetsPartitionFor(group, 4)))
  assert.ok(numbers.size > 1)
  const run = async (names: readonly string[], offset: number): Promise<void> => {
    const commits = new Map(names.map((name) => [name, [at(offset)]]))
    await store.inTransaction(commits, pass, async (held) => {
      assert.deepEqual(new Set(held.map(({ partition }) => partition)), numbers)
      await turn()
      for (const each of held) each.decided('commit', offset)
    })
  }
  const work = [run(groups, 1), store.removeTopic('none'), run(groups.toReversed(), 10)]
  await Promise.all([...work, store.removeTopic('none'), run(groups, 20)])
  for (const group of groups) assert.equal(offsetOf(store, group), 20)
})
