// Readers of both levels of isolation beside transactions that are under way: what they are given, when, and how far they say to be behind.
import assert from 'node:assert/strict'
import { suite } from 'node:test'
import type { Consumer, ConsumerOptions, IsolationLevel, Log } from '../../src/index.ts'
import { committedBy, isWaiting, nextTurn } from '../support/consuming.ts'
import { eventually } from '../support/log-places.ts'
import type { Place } from '../support/on-disk-and-in-memory.ts'
import { onDiskAndInMemory } from '../support/on-disk-and-in-memory.ts'

const LEVELS: readonly IsolationLevel[] = ['read_committed', 'read_uncommitted']
const T0 = { topic: 't', partition: 0 }

/** What a transaction holds is written at once, as that of a large one is, and so visible where nothing is synced. */
async function open(place: Place, partitions = 1): Promise<Log> {
  const topics = {
    t: { value: 'string', partitions, durability: 'os' },
    u: { value: 'string', durability: 'os' },
  } as const
  return (await place.open({ topics, maxTransactionBytes: 1 })) as unknown as Log
}

/** Resolves when so much of partition 0 of `t` is written. */
async function written(log: Log, latest: number): Promise<void> {
  await eventually(async () => (await log.offsets('t', 0)).latest === latest)
}

/** A consumer of `t`, and what it was given. */
class Following {
  readonly consumer: Consumer
  readonly values: unknown[] = []
  readonly #ended: Promise<void>

  constructor(log: Log, options: Partial<ConsumerOptions> = {}) {
    const group = options.isolationLevel ?? 'default'
    this.consumer = log.consumer({ group, topics: ['t'], ...options }) as Consumer
    this.#ended = this.#follow()
  }

  async #follow(): Promise<void> {
    for await (const { value } of this.consumer) this.values.push(value)
  }

  async end(): Promise<void> {
    await this.consumer.close()
    await this.#ended
  }
}

suite('beside an open transaction', () => {
  onDiskAndInMemory('consumers are given what their level sees, when it does', async (place) => {
    const log = await open(place)
    await log.produce('t', { value: 'before' })
    const byDefault = new Following(log)
    const [committed, uncommitted] = LEVELS.map(
      (isolationLevel) => new Following(log, { isolationLevel }),
    ) as [Following, Following]
    const all = [byDefault, committed, uncommitted]
    const given = (): unknown[][] => all.map(({ values }) => values)
    const tx = await log.beginTransaction()
    await tx.produce('t', { value: 'tx' })
    await written(log, 2)
    await log.produce('t', { value: 'beside' })
    await eventually(() => uncommitted.values.length === 3)
    await eventually(() => byDefault.values.length === 1 && committed.values.length === 1)
    assert.deepEqual(given(), [['before'], ['before'], ['before', 'tx', 'beside']])
    const ends = all.map(({ consumer }) => consumer.lag().partitions[0]?.endOffset)
    assert.deepEqual(ends, [1, 1, 3])
    await tx.commit()
    await eventually(() => byDefault.values.length === 3 && committed.values.length === 3)
    assert.deepEqual(committed.values, ['before', 'tx', 'beside'])
    for (const each of all) await each.end()
    const [earliest] = log.stableOffsets(['t'])
    for (const group of ['default', ...LEVELS]) {
      assert.deepEqual(await committedBy(log, group), { 't-0': earliest?.lastStableOffset }, group)
    }
  })

  onDiskAndInMemory(
    'what is aborted is given to no committed consumer, which comes to its end all the same',
    async (place) => {
      const log = await open(place)
      const committed = new Following(log, { isolationLevel: 'read_committed' })
      const tx = await log.beginTransaction()
      await tx.produce('t', [{ value: 'no' }, { value: 'no' }])
      await tx.abort()
      await log.produce('t', { value: 'yes' })
      await eventually(() => committed.values.length === 1)
      const last = await log.beginTransaction()
      await last.produce('t', { value: 'no' })
      await last.abort()
      const [end] = log.stableOffsets(['t'])
      await eventually(() => committed.consumer.lag().lagRecords === 0)
      assert.deepEqual(committed.values, ['yes'])
      await committed.end()
      assert.deepEqual(await committedBy(log, 'read_committed'), { 't-0': end?.lastStableOffset })
      assert.equal((await log.lag('read_committed')).lagRecords, 0)
    },
  )

  onDiskAndInMemory(
    'a group is behind what is stable alone, and is reset to no further',
    async (place) => {
      const log = await open(place)
      await log.produce('t', [{ value: '1' }, { value: '2' }])
      await log.commitOffset('g', { ...T0, offset: 1 })
      const tx = await log.beginTransaction()
      await tx.produce('t', [{ value: '3' }, { value: '4' }])
      await written(log, 4)
      const { lagRecords, partitions } = await log.lag('g')
      assert.deepEqual([lagRecords, partitions[0]?.endOffset], [1, 2])
      assert.equal(log.metrics().groups['g']?.lagRecords, 1)
      assert.deepEqual(await log.resetOffsets('g', 't', 'latest'), [{ ...T0, offset: 2 }])
      const { lagMs } = await log.lag('g')
      assert.equal(lagMs, 0)
      // By its number any offset of the log may be named: a read_uncommitted group is there.
      assert.deepEqual(await log.resetOffsets('g', 't', { offset: 4 }), [{ ...T0, offset: 4 }])
      assert.equal((await log.lag('g')).lagRecords, 0)
      await tx.commit()
      assert.equal((await log.lag('g')).lagRecords, 1)
    },
  )

  onDiskAndInMemory(
    "'latest' is the end of a consumer's level, and so is a seek to it",
    async (place) => {
      const log = await open(place)
      await log.produce('t', { value: 'old' })
      const tx = await log.beginTransaction()
      await tx.produce('t', { value: 'tx' })
      const from = 'latest'
      const [committed, uncommitted] = LEVELS.map(
        (isolationLevel) => new Following(log, { isolationLevel, from }),
      ) as [Following, Following]
      await eventually(() => committed.consumer.assignment().length === 1)
      await eventually(() => uncommitted.consumer.assignment().length === 1)
      const positions = (): number[] =>
        [committed, uncommitted].map(({ consumer }) => consumer.position(T0))
      assert.deepEqual(positions(), [1, 2])
      for (const { consumer } of [committed, uncommitted]) await consumer.seek(T0, 'earliest')
      for (const { consumer } of [committed, uncommitted]) await consumer.seek(T0, 'latest')
      assert.deepEqual(positions(), [1, 2])
      await tx.commit()
      await log.produce('t', { value: 'new' })
      await eventually(() => uncommitted.values.includes('new'))
      await eventually(() => committed.values.includes('new'))
      assert.ok(committed.values.includes('tx'))
      for (const each of [committed, uncommitted]) await each.end()
    },
  )

  onDiskAndInMemory('a waiting fetch wakes when it is decided, of each level', async (place) => {
    const log = await open(place)
    const [committed, uncommitted] = LEVELS.map((isolationLevel) =>
      log.fetch('t', { partition: 0, offset: 0, maxWaitMs: 60_000, isolationLevel }),
    ) as [ReturnType<Log['fetch']>, ReturnType<Log['fetch']>]
    const tx = await log.beginTransaction()
    await tx.produce('t', { value: 'tx' })
    assert.equal((await uncommitted).records.length, 1)
    assert.equal(await isWaiting(committed), true)
    await tx.commit()
    const { records, lastStableOffset, nextOffset } = await committed
    assert.deepEqual([records.length, nextOffset], [1, lastStableOffset])
  })

  onDiskAndInMemory(
    'records may be deleted up to the high watermark, and it goes on',
    async (place) => {
      const log = await open(place)
      const tx = await log.beginTransaction()
      await tx.produce('t', { value: 'tx' })
      await log.produce('t', { value: 'beside' })
      assert.deepEqual(log.stableOffsets(['t']), [{ ...T0, lastStableOffset: 0 }])
      await log.deleteRecords('t', { partition: 0, before: 2 })
      assert.deepEqual(await log.offsets('t', 0), { earliest: 2, latest: 2, lastStable: 2 })
      await tx.produce('t', { value: 'more' })
      await tx.commit()
      const { records } = await log.fetch('t', { partition: 0, offset: 2 })
      assert.deepEqual(
        records.map(({ value }) => value),
        ['more'],
      )
    },
  )
})

suite('the last stable offsets', () => {
  onDiskAndInMemory('of all that a transaction touched move in one turn', async (place) => {
    const log = await open(place, 3)
    let isOver = false
    let turns = 0
    const different: unknown[] = []
    const look = (): void => {
      const ends = log.stableOffsets().map(({ lastStableOffset }) => lastStableOffset)
      if (new Set(ends).size > 1) different.push(ends)
    }
    const watching = (async () => {
      for (; !isOver; turns += 1) {
        // Between the microtasks of a turn, and between turns.
        for (let step = 0; step < 20; step += 1) await Promise.resolve().then(look)
        await nextTurn()
      }
    })()
    for (let round = 0; round < 20; round += 1) {
      const tx = await log.beginTransaction()
      for (let partition = 0; partition < 3; partition += 1) {
        await tx.produce('t', { value: `${round}`, partition })
      }
      await tx.produce('u', { value: `${round}` })
      if (round % 3 === 0) await tx.abort()
      else await tx.commit()
      look()
    }
    isOver = true
    await watching
    assert.ok(turns > 5)
    assert.deepEqual(different, [])
    assert.deepEqual(
      new Set(log.stableOffsets().map((each) => each.lastStableOffset)),
      new Set([40]),
    )
  })
})
