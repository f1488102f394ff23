import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Progress } from '../../../../src/groups/consumer/run/progress.ts'
import { FakePageSource } from '../../../support/fake-page-source.ts'
import { randomInteger, seededRandom } from '../../../support/random.ts'

const MAX_BYTES = 4096

async function pageOf(source: FakePageSource, offsets: readonly number[]) {
  source.add(
    0,
    offsets.map((offset) => ({ offset })),
  )
  const page = await source.take()
  assert.ok(page)
  return page
}

test('what lies between the records of a page, and behind it, counts as finished', async () => {
  const source = new FakePageSource()
  const progress = new Progress<string, unknown>()
  const held = progress.add(await pageOf(source, [3, 5, 9]))
  progress.finish(held, 1)
  progress.tell()
  assert.deepEqual(source.finishedOffsets(), [5])
  assert.equal(source.committed().offset, 3)
  progress.finish(held, 0)
  progress.tell()
  assert.equal(source.committed().offset, 9)
  progress.finish(held, 2)
  progress.tell()
  assert.deepEqual(source.committed(), { offset: 10, metadata: undefined })
})

test('finished records are remembered within 4,096 bytes of metadata, and those beyond are handed out again', async () => {
  const source = new FakePageSource(10_000)
  const progress = new Progress<string, unknown>()
  const held = progress.add(
    await pageOf(
      source,
      Array.from({ length: 10_000 }, (_, offset) => offset),
    ),
  )
  const finishOdd = (below: number, from = 1): void => {
    for (let index = from; index < below; index += 2) progress.finish(held, index)
    progress.tell()
  }
  finishOdd(4000)
  const within = source.committed()
  assert.equal(within.offset, 0)
  assert.ok(Buffer.byteLength(within.metadata ?? '') <= MAX_BYTES)
  assert.equal(source.finishedOffsets().length, 2000)
  finishOdd(10_000, 4001)
  const beyond = source.committed()
  assert.ok(Buffer.byteLength(beyond.metadata ?? '') <= MAX_BYTES)
  const remembered = source.finishedOffsets()
  assert.ok(remembered.length > 2000 && remembered.length < 2100, `${remembered.length}`)
  // The lowest, without a hole: none of them is unfinished.
  assert.deepEqual(
    remembered,
    Array.from({ length: remembered.length }, (_, index) => 2 * index + 1),
  )
})

test('at random: the commit and its metadata say what is finished, no more, and no less while they are told', async () => {
  const seed = Number(process.env['BROKERLESS_SEED'] ?? Date.now() % 2 ** 31)
  const random = seededRandom(seed)
  for (let round = 0; round < 50; round += 1) {
    const source = new FakePageSource(1 + randomInteger(random, 10))
    const progress = new Progress<string, unknown>()
    const offsets: number[] = []
    for (let offset = 0; offset < 60; offset += 1 + Math.floor(random() * random() * 4)) {
      offsets.push(offset)
    }
    source.add(
      0,
      offsets.map((offset) => ({ offset })),
    )
    const left: [ReturnType<typeof progress.add>, number][] = []
    for (let taken = 0; taken < offsets.length; ) {
      const page = await source.take()
      assert.ok(page)
      const held = progress.add(page)
      taken += page.records.length
      for (const index of page.records.keys()) left.push([held, index])
    }
    const finished: number[] = []
    while (left.length > 0) {
      const [[held, index] = assert.fail()] = left.splice(randomInteger(random, left.length), 1)
      progress.finish(held, index)
      finished.push(held.records[index]?.offset ?? -1)
      progress.tell()
      if (held.unfinished === 0) progress.putDown(held)
      const expected = finished.toSorted((a, b) => a - b)
      assert.deepEqual(source.finishedOffsets(), expected, `BROKERLESS_SEED=${seed}`)
    }
    assert.equal(progress.unfinished, 0)
  }
})
