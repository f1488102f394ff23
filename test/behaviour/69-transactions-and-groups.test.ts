// Offsets of groups in a transaction: committed with its records, or not at all, and by who owns the partition.
import assert from 'node:assert/strict'
import { suite } from 'node:test'
import type { ConsumedRecord, Consumer, ConsumerOptions, Log } from '../../src/index.ts'
import { LogError } from '../../src/index.ts'
import { Deferred } from '../../src/util/deferred.ts'
import { committedBy, fill, isWaiting } from '../support/consuming.ts'
import { eventually } from '../support/log-places.ts'
import type { Place } from '../support/on-disk-and-in-memory.ts'
import { onDiskAndInMemory } from '../support/on-disk-and-in-memory.ts'
import { systemError } from '../support/scripted-file-system.ts'

const TOPICS = { topics: { t: { partitions: 2 }, out: { value: 'string' } } } as const
const T0 = { topic: 't', partition: 0 }
const T1 = { topic: 't', partition: 1 }

const codeOf =
  (code: string) =>
  (error: unknown): boolean =>
    error instanceof LogError && error.code === code

const FENCED = codeOf('FENCED')

async function open(place: Place): Promise<Log> {
  const log = (await place.open(TOPICS)) as unknown as Log
  if ((await log.offsets('t', 0)).latest === 0) await fill(log, 't', 2, 5)
  return log
}

async function valuesIn(log: Log): Promise<unknown[]> {
  const values: unknown[] = []
  for await (const { value } of log.read('out', { until: 'end' })) values.push(value)
  return values
}

/** A member of the group g that commits by itself never, and takes the next record only when it is asked to. */
class Member {
  readonly consumer: Consumer
  readonly #iterator: AsyncIterator<ConsumedRecord>

  constructor(log: Log, options: Partial<ConsumerOptions> = {}) {
    const consumer = log.consumer({
      group: 'g',
      topics: ['t'],
      assignor: 'range',
      autoCommit: false,
      maxPollIntervalMs: 10_000,
      ...options,
    }) as Consumer
    this.consumer = consumer
    this.#iterator = consumer[Symbol.asyncIterator]()
  }

  async next(): Promise<ConsumedRecord | undefined> {
    const { value, done } = await this.#iterator.next()
    return done === true ? undefined : value
  }

  get owned(): number[] {
    return this.consumer.assignment().map(({ partition }) => partition)
  }
}

/** Time goes on until the group has lost its members, which are late. */
async function untilNobodyIsLeft(log: Log, place: Place): Promise<void> {
  await eventually(async () => {
    await place.clock.advance(1000)
    return (await log.describeGroup('g')).members.length === 0
  })
}

suite('offsets in a transaction', () => {
  onDiskAndInMemory('are committed with its records', async (place) => {
    const log = await open(place)
    await log.commitOffset('g', { ...T0, offset: 1 })
    const tx = await log.beginTransaction()
    await tx.produce('out', { value: 'result' })
    await tx.commitOffset('g', { ...T0, offset: 3, metadata: 'three' })
    await tx.commitOffset('g', [{ ...T1, offset: 2 }])
    await tx.commitOffset('h', [{ ...T1, offset: 4 }])
    await tx.commitOffset('h', [])
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 1 })
    const { partitions } = await tx.commit()
    assert.deepEqual(
      partitions.map(({ topic }) => topic),
      ['out'],
    )
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 3, 't-1': 2 })
    assert.deepEqual(await committedBy(log, 'h'), { 't-1': 4 })
    const [first] = await log.committedOffsets('g')
    assert.equal(first?.metadata, 'three')
    const again = (await place.reopen(log, TOPICS)) as unknown as Log
    assert.deepEqual(await committedBy(again, 'g'), { 't-0': 3, 't-1': 2 })
    assert.deepEqual(await valuesIn(again), ['result'])
  })

  onDiskAndInMemory('are not, where it is aborted', async (place) => {
    const log = await open(place)
    await log.commitOffset('g', { ...T0, offset: 1 })
    const tx = await log.beginTransaction()
    await tx.commitOffset('g', { ...T0, offset: 3 })
    await tx.abort()
    await log
      .transaction(async (next) => {
        await next.commitOffset('g', { ...T0, offset: 4 })
        throw new Error('mine')
      })
      .catch(() => {})
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 1 })
    const again = (await place.reopen(log, TOPICS)) as unknown as Log
    assert.deepEqual(await committedBy(again, 'g'), { 't-0': 1 })
  })

  onDiskAndInMemory('may be all that it commits', async (place) => {
    const log = await open(place)
    await log.transaction((tx) => tx.commitOffset('g', { ...T0, offset: 3 }))
    await log.transaction((tx) => tx.commitOffset('g', { ...T0, offset: 2 }))
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 2 })
    const killed = await place.killed()
    assert.deepEqual(await committedBy(await open(killed), 'g'), { 't-0': 2 })
  })

  onDiskAndInMemory('count once a partition: the last call', async (place) => {
    const log = await open(place)
    await log.transaction(async (tx) => {
      const commit = { ...T0, offset: 3 }
      void tx.commitOffset('g', commit)
      // It is the caller's again.
      commit.offset = 4
      void tx.commitOffset('h', commit)
      await tx.commitOffset('h', { ...T0, offset: 1 })
    })
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 3 })
    assert.deepEqual(await committedBy(log, 'h'), { 't-0': 1 })
  })

  onDiskAndInMemory('go with conditions and with what the disk refuses', async (place) => {
    const log = await open(place)
    await log.commitOffset('g', { ...T0, offset: 1 })
    const conflict = log.transaction(async (tx) => {
      await tx.commitOffset('g', { ...T0, offset: 2 })
      await tx.produce('out', { value: 'x' }, { partition: 0, expectedOffset: 7 })
    })
    await assert.rejects(conflict, codeOf('OFFSET_CONFLICT'))
    const tx = await log.beginTransaction()
    await tx.commitOffset('g', { ...T0, offset: 3 })
    await tx.produce('out', { value: 'x' })
    place.fileSystem.rule = ({ name, path }) =>
      name === 'write' && path.includes('out-0') ? systemError('ENOSPC') : undefined
    await assert.rejects(tx.commit(), codeOf('DISK_FULL'))
    place.fileSystem.rule = undefined
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 1 })
    await log.commitOffset('g', { ...T0, offset: 4 })
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 4 })
    assert.deepEqual(await valuesIn(log), [])
  })

  onDiskAndInMemory(
    'that are wrong reject their call, and the transaction goes on',
    async (place) => {
      const log = await open(place)
      const tx = await log.beginTransaction()
      const commit = tx.commitOffset.bind(tx) as (...given: unknown[]) => Promise<void>
      const none = { topic: 'none', partition: 0, offset: 0 }
      await assert.rejects(commit('g', [{ ...T0, offset: 1 }, none]), codeOf('UNKNOWN_TOPIC'))
      await assert.rejects(
        commit('g', { ...T0, partition: 2, offset: 1 }),
        codeOf('UNKNOWN_PARTITION'),
      )
      await assert.rejects(commit('g', { ...T0, offset: -1 }), RangeError)
      await assert.rejects(commit('g', { ...T0 }), TypeError)
      await assert.rejects(commit('', { ...T0, offset: 1 }), RangeError)
      await assert.rejects(commit(5, { ...T0, offset: 1 }), TypeError)
      await assert.rejects(commit({}, { ...T0, offset: 1 }), TypeError)
      await tx.commit()
      assert.deepEqual(await committedBy(log, 'g'), {})
    },
  )

  onDiskAndInMemory('whose call has rejected are no part of it', async (place) => {
    const log = await open(place)
    const tx = await log.beginTransaction()
    // The topic of offsets is made by the first commit.
    place.fileSystem.rule = ({ path }) =>
      path.includes('__consumer_offsets') ? systemError('ENOSPC') : undefined
    await assert.rejects(tx.commitOffset('g', { ...T0, offset: 1 }), codeOf('DISK_FULL'))
    place.fileSystem.rule = undefined
    await tx.commitOffset('h', { ...T0, offset: 1 })
    await tx.commit()
    assert.deepEqual(await committedBy(log, 'g'), {})
    assert.deepEqual(await committedBy(log, 'h'), { 't-0': 1 })
  })

  onDiskAndInMemory('whose call rejects while the commit waits for it abort it', async (place) => {
    const log = await open(place)
    const tx = await log.beginTransaction()
    await tx.produce('out', { value: 'x' })
    place.fileSystem.rule = ({ path }) =>
      path.includes('__consumer_offsets') ? systemError('ENOSPC') : undefined
    const committing = tx.commitOffset('g', { ...T0, offset: 1 })
    const committed = tx.commit()
    await assert.rejects(committed, codeOf('DISK_FULL'))
    await assert.rejects(committing, codeOf('DISK_FULL'))
    assert.equal(tx.state, 'aborted')
    place.fileSystem.rule = undefined
    assert.deepEqual(await committedBy(log, 'g'), {})
    assert.deepEqual(await valuesIn(log), [])
  })

  onDiskAndInMemory(
    'are those of the call, whatever becomes of what it was given',
    async (place) => {
      const log = await open(place)
      const tx = await log.beginTransaction()
      const commits = [{ ...T0, offset: 1 }]
      await tx.commitOffset('g', commits)
      commits[0] = { topic: 'none', partition: 0, offset: 2 }
      await tx.commit()
      assert.deepEqual(await committedBy(log, 'g'), { 't-0': 1 })
    },
  )

  onDiskAndInMemory('of a topic that is deleted before the commit abort it', async (place) => {
    const log = await open(place)
    const tx = await log.beginTransaction()
    await tx.commitOffset('g', { ...T0, offset: 1 })
    await tx.produce('out', { value: 'x' })
    await log.deleteTopic('t')
    await assert.rejects(tx.commit(), codeOf('UNKNOWN_TOPIC'))
    assert.equal(tx.state, 'aborted')
    assert.deepEqual(await valuesIn(log), [])
  })
})

suite('a member of the group', () => {
  onDiskAndInMemory('commits what is its own, and nobody else does', async (place) => {
    const log = await open(place)
    const member = new Member(log)
    const record = await member.next()
    assert.equal(record?.offset, 0)
    const tx = await log.beginTransaction()
    await assert.rejects(tx.commitOffset('g', { ...T0, offset: 1 }), FENCED)
    await tx.commitOffset(member.consumer, { ...T0, offset: 1 })
    await tx.produce('out', { value: 'result' })
    await tx.commit()
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 1 })
    assert.deepEqual(await valuesIn(log), ['result'])
    assert.equal(log.metrics().groups['g']?.commits, 1)
    await member.consumer.close({ drainMs: 0 })
    const closed = await log.beginTransaction()
    await assert.rejects(closed.commitOffset(member.consumer, { ...T0, offset: 2 }), FENCED)
    await closed.commitOffset('g', { ...T0, offset: 2 })
    await closed.commit()
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 2 })
  })

  onDiskAndInMemory('that joins before the commit fences who is none', async (place) => {
    const log = await open(place)
    const tx = await log.beginTransaction()
    await tx.commitOffset('g', { ...T0, offset: 1 })
    await tx.produce('out', { value: 'result' })
    const member = new Member(log)
    await member.next()
    await assert.rejects(tx.commit(), FENCED)
    assert.equal(tx.state, 'aborted')
    assert.deepEqual(await committedBy(log, 'g'), {})
    assert.deepEqual(await valuesIn(log), [])
  })

  onDiskAndInMemory('that has lost the partition by the commit aborts it', async (place) => {
    const log = await open(place)
    const a = new Member(log, { instanceId: 'b' })
    await a.next()
    const tx = await log.beginTransaction()
    await tx.commitOffset(a.consumer, { ...T0, offset: 1 })
    await tx.produce('out', { value: 'of a' })
    // It is late: another one has all that it had.
    await untilNobodyIsLeft(log, place)
    const b = new Member(log, { instanceId: 'a' })
    assert.equal((await b.next())?.offset, 0)
    await assert.rejects(tx.commit(), FENCED)
    assert.deepEqual(await committedBy(log, 'g'), {})
    await log.transaction(async (next) => {
      await next.commitOffset(b.consumer, { ...T0, offset: 1 })
      await next.produce('out', { value: 'of b' })
    })
    assert.deepEqual(await valuesIn(log), ['of b'])
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 1 })
  })

  onDiskAndInMemory('that was lost and has come back since the call aborts it', async (place) => {
    const log = await open(place)
    const member = new Member(log)
    await member.next()
    const tx = await log.beginTransaction()
    await tx.commitOffset(member.consumer, { ...T0, offset: 1 })
    await tx.produce('out', { value: 'once' })
    await untilNobodyIsLeft(log, place)
    // The same record again: what was made of it before is not to count as well.
    assert.equal((await member.next())?.offset, 0)
    await assert.rejects(tx.commit(), FENCED)
    assert.equal(tx.state, 'aborted')
    assert.deepEqual(await committedBy(log, 'g'), {})
    await log.transaction(async (next) => {
      await next.commitOffset(member.consumer, { ...T0, offset: 1 })
      await next.produce('out', { value: 'again' })
    })
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 1 })
    assert.deepEqual(await valuesIn(log), ['again'])
  })

  onDiskAndInMemory('refuses what a handler was given before it was lost', async (place) => {
    const log = await open(place)
    const consumer = log.consumer({
      group: 'g',
      topics: ['t'],
      autoCommit: false,
      maxPollIntervalMs: 10_000,
    })
    const goOn = new Deferred<void>()
    const refused = new Deferred<unknown>()
    let given = 0
    const running = consumer.run({
      concurrency: 2,
      eachRecord: async ({ topic, partition, offset }) => {
        if (partition !== 0 || offset !== 0) return
        given += 1
        if (given > 1) {
          await refused.promise
          return
        }
        await goOn.promise
        const tx = await log.beginTransaction()
        const committing = tx.commitOffset(consumer, { topic, partition, offset: offset + 1 })
        refused.resolve(await committing.catch((error: unknown) => error))
        await tx.abort()
      },
    })
    await eventually(async () => {
      await place.clock.advance(1000)
      return given > 1
    })
    goOn.resolve()
    assert.ok(FENCED(await refused.promise))
    await consumer.close({ drainMs: 0 })
    await running
  })

  onDiskAndInMemory(
    'that takes over while the commit is under way begins behind it',
    async (place) => {
      const log = await open(place)
      // Nothing has to be made any more before offsets are held.
      await log.transaction((first) => first.commitOffset('h', { ...T0, offset: 1 }))
      const a = new Member(log)
      await a.next()
      const tx = await log.beginTransaction()
      await tx.commitOffset(a.consumer, [
        { ...T0, offset: 2 },
        { ...T1, offset: 3 },
      ])
      await tx.produce('out', { value: 'of a' })
      place.fileSystem.holdSyncs()
      const committing = tx.commit()
      assert.ok(await isWaiting(committing))
      await a.consumer.close({ drainMs: 0 })
      const b = new Member(log)
      const next = b.next()
      assert.ok(await isWaiting(next))
      assert.deepEqual(await committedBy(log, 'g'), {})
      place.fileSystem.releaseSyncs()
      await committing
      const record = await next
      assert.deepEqual([record?.partition, record?.offset], [0, 2])
      await eventually(() => b.owned.length === 2)
      assert.equal(b.consumer.position(T1), 3)
    },
  )

  onDiskAndInMemory('ends its transaction while the log waits for its handler', async (place) => {
    const log = await open(place)
    const consumer = log.consumer({ group: 'g', topics: ['t'], autoCommit: false })
    const [begun, closing] = [new Deferred<void>(), new Deferred<void>()]
    const running = consumer.run({
      eachRecord: async ({ topic, partition, offset }) => {
        begun.resolve()
        await closing.promise
        await log.transaction(async (tx) => {
          await tx.produce('out', { value: `${partition}` })
          await tx.commitOffset(consumer, { topic, partition, offset: offset + 1 })
        })
      },
    })
    await begun.promise
    const closed = log.close()
    assert.ok(await isWaiting(closed))
    closing.resolve()
    await Promise.all([running, closed])
    const again = await open(place)
    assert.deepEqual(await committedBy(again, 'g'), { 't-0': 1 })
    assert.deepEqual(await valuesIn(again), ['0'])
  })

  onDiskAndInMemory('of another log is refused', async (place) => {
    const log = await open(place)
    const other = await open(await place.killed())
    const member = new Member(other)
    await member.next()
    const tx = await log.beginTransaction()
    await assert.rejects(tx.commitOffset(member.consumer, { ...T0, offset: 1 }), /another log/)
    await tx.abort()
  })
})
