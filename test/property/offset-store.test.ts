/** The offset store against a Map: commits, deletions, reloads and crashes in any order. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { OffsetStore } from '../../src/groups/offset-store.ts'
import { Crash, FakeOffsetsPartition } from '../support/fake-offsets-partition.ts'

type Step =
  | {
      readonly do: 'commit'
      readonly group: string
      readonly places: readonly number[]
      readonly offset: number
      readonly disk: boolean
    }
  | { readonly do: 'deleteGroup'; readonly group: string }
  | { readonly do: 'deleteOffsets'; readonly group: string; readonly places: readonly number[] }
  | { readonly do: 'removeTopic'; readonly topic: string }
  | { readonly do: 'clampTo'; readonly end: number }
  | { readonly do: 'reload' }

const TOPICS = ['t', 'u'] as const
const clock = { now: () => 5, setTimer: () => assert.fail('no timer is needed') }

const group = fc.constantFrom('a', 'b', 'c', 'd')
const places = fc.array(fc.nat(5), { minLength: 1, maxLength: 4 })
const commit: fc.Arbitrary<Step> = fc.record({
  do: fc.constant('commit'),
  group,
  places,
  offset: fc.nat(30),
  disk: fc.boolean(),
})
const change: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('deleteGroup'), group }),
  fc.record({ do: fc.constant('deleteOffsets'), group, places }),
  fc.record({ do: fc.constant('removeTopic'), topic: fc.constantFrom(...TOPICS) }),
)
const pause: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('clampTo'), end: fc.nat(30) }),
  fc.constant<Step>({ do: 'reload' }),
)
const steps = fc.array(
  fc.oneof(
    { weight: 12, arbitrary: commit },
    { weight: 3, arbitrary: change },
    { weight: 2, arbitrary: pause },
  ),
  { maxLength: 60 },
)

const topicOf = (place: number) => TOPICS[place % 2] ?? 't'
const partitionOf = (place: number) => Math.floor(place / 2)
const idOf = (of: string, place: number) => `${of} ${topicOf(place)} ${partitionOf(place)}`

/** By group, topic and partition. */
type Model = Map<string, number>

function applyTo(model: Model, step: Step): void {
  if (step.do === 'commit') {
    for (const place of step.places) model.set(idOf(step.group, place), step.offset)
  } else if (step.do === 'deleteOffsets') {
    for (const place of step.places) model.delete(idOf(step.group, place))
  } else if (step.do === 'deleteGroup') {
    deleteWhere(model, (id) => id.startsWith(`${step.group} `))
  } else if (step.do === 'removeTopic') {
    deleteWhere(model, (id) => id.includes(` ${step.topic} `))
  } else if (step.do === 'clampTo') {
    for (const [id, offset] of model) model.set(id, Math.min(offset, step.end))
  }
}

function deleteWhere(model: Model, matches: (id: string) => boolean): void {
  for (const id of [...model.keys()]) if (matches(id)) model.delete(id)
}

async function run(store: OffsetStore, step: Step): Promise<void> {
  if (step.do === 'commit') {
    const { places: at, offset } = step
    const commits = at.map((place) => ({
      topic: topicOf(place),
      partition: partitionOf(place),
      offset,
    }))
    await store.commit(step.group, commits, step.disk ? 'disk' : 'os')
  } else if (step.do === 'deleteGroup') {
    await store.deleteGroup(step.group).catch(passUnknownGroup)
  } else if (step.do === 'deleteOffsets') {
    const at = step.places.map((place) => ({
      topic: topicOf(place),
      partition: partitionOf(place),
    }))
    await store.deleteOffsets(step.group, at).catch(passUnknownGroup)
  } else if (step.do === 'removeTopic') {
    await store.removeTopic(step.topic)
  } else if (step.do === 'clampTo') {
    await store.clampTo(() => step.end)
  }
}

function passUnknownGroup(error: unknown): void {
  if ((error as { code?: unknown }).code !== 'UNKNOWN_GROUP') throw error
}

function contentsOf(store: OffsetStore): Model {
  const contents: Model = new Map()
  for (const each of store.groups()) {
    const offsets = store.offsetsOf(each)
    assert.ok(offsets.length > 0)
    for (const { topic, partition, offset } of offsets) {
      contents.set(`${each} ${topic} ${partition}`, offset)
    }
  }
  return contents
}

function load(partitions: readonly FakeOffsetsPartition[]): Promise<OffsetStore> {
  return OffsetStore.load({ partitions, clock })
}

const sorted = (model: Model) => [...model].sort()
const newFakes = () => [new FakeOffsetsPartition(), new FakeOffsetsPartition()]

test('calls that are not awaited have the effect that they have one after another', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (all) => {
      let fakes = newFakes()
      let store = await load(fakes)
      const model: Model = new Map()
      let calls: Promise<void>[] = []
      for (const step of all) {
        applyTo(model, step)
        if (step.do !== 'reload' && step.do !== 'clampTo') {
          calls.push(run(store, step))
          continue
        }
        await Promise.all(calls)
        calls = []
        await run(store, step)
        assert.deepEqual(sorted(contentsOf(store)), sorted(model))
        if (step.do !== 'reload') continue
        fakes = fakes.map((fake) => fake.reopened())
        store = await load(fakes)
      }
      await Promise.all(calls)
      assert.deepEqual(sorted(contentsOf(store)), sorted(model))
      assert.deepEqual(sorted(contentsOf(await load(fakes))), sorted(model))
    }),
    { numRuns: 200 },
  )
})

test('what was acknowledged before the process is killed is there afterwards', async () => {
  await fc.assert(
    fc.asyncProperty(steps, fc.integer({ min: 1, max: 60 }), async (all, crashAt) => {
      const fakes = [new FakeOffsetsPartition()]
      const store = await load(fakes)
      for (const fake of fakes) fake.crashAt = crashAt
      const model: Model = new Map()
      const withLast: Model = new Map()
      for (const step of all) {
        applyTo(withLast, step)
        try {
          await run(store, step)
        } catch (error) {
          assert.ok(error instanceof Crash)
          break
        }
        applyTo(model, step)
      }
      const found = sorted(contentsOf(await load(fakes.map((fake) => fake.reopened()))))
      const isEither = [sorted(model), sorted(withLast)].some(
        (expected) => JSON.stringify(expected) === JSON.stringify(found),
      )
      if (!isEither) assert.deepEqual(found, sorted(model))
    }),
    { numRuns: 200 },
  )
})
