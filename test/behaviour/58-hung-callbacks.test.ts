// Members whose callbacks never end: the group goes on without them.
import assert from 'node:assert/strict'
import { suite } from 'node:test'
import type { Consumer, ConsumerOptions, Log } from '../../src/index.ts'
import { filled, isWaiting, take } from '../support/consuming.ts'
import { eventually } from '../support/log-places.ts'
import { onDiskAndInMemory } from '../support/on-disk-and-in-memory.ts'

const never = (): Promise<void> => new Promise(() => {})

/** Hands `t` to the next member where it is not asked for more within ten seconds. */
function member(log: Log, options: Partial<ConsumerOptions> = {}): Consumer {
  const given = { group: 'g', topics: ['t'], maxPollIntervalMs: 10_000, ...options }
  return log.consumer(given) as Consumer
}

suite('a member is out', () => {
  onDiskAndInMemory('whose onAssigned never ends', async (place) => {
    const log = await filled(place, 1, 3)
    const lost: unknown[] = []
    let hasBegun = false
    const a = member(log, {
      onAssigned: () => {
        hasBegun = true
        return never()
      },
      onLost: (partitions) => void lost.push(...partitions),
    })
    const ofA = a[Symbol.asyncIterator]().next()
    await eventually(() => hasBegun)
    const next = member(log)[Symbol.asyncIterator]().next()
    await place.clock.advance(9_000)
    assert.ok(await isWaiting(next))
    await place.clock.advance(3_000)
    assert.equal((await next).value?.offset, 0)
    assert.deepEqual(a.assignment(), [])
    assert.ok(await isWaiting(ofA))
    // Not while the callback before it has not ended.
    assert.deepEqual(lost, [])
    await a.close({ drainMs: 0 })
  })

  onDiskAndInMemory('whose onRevoked never ends', async (place) => {
    const log = await filled(place, 2, 3)
    let hasBegun = false
    const a = member(log, {
      onRevoked: () => {
        hasBegun = true
        return never()
      },
    })
    const ofA = a[Symbol.asyncIterator]()
    await take(ofA, 6)
    const waiting = ofA.next()
    assert.ok(await isWaiting(waiting))
    await place.clock.advance(1_000)
    await place.clock.advance(100_000)
    const b = member(log)
    const next = b[Symbol.asyncIterator]().next()
    await eventually(() => hasBegun)
    await place.clock.advance(9_000)
    assert.ok(await isWaiting(next))
    assert.equal(a.assignment().length, 2)
    await place.clock.advance(3_000)
    assert.deepEqual([a.assignment().length, b.assignment().length], [0, 2])
    await log.produce('t', { value: 'more' })
    assert.equal((await next).value?.value, 'more')
    await a.close({ drainMs: 0 })
  })

  onDiskAndInMemory('whose handlers hang over records of a deleted topic', async (place) => {
    const log = await filled(place, 1, 1)
    await log.createTopic('u')
    await log.produce('u', { value: 'u' })
    const a = member(log, { topics: ['t', 'u'] })
    const begun: string[] = []
    const run = a.run({
      eachRecord: ({ topic }) => {
        begun.push(topic)
        return never()
      },
    })
    await eventually(() => begun.length === 1)
    const [deleted, other] = begun[0] === 't' ? ['t', 'u'] : ['u', 't']
    await log.deleteTopic(deleted)
    assert.deepEqual(a.assignment(), [{ topic: other, partition: 0 }])
    await place.clock.advance(12_000)
    const b = log.consumer({ group: 'g', topics: [/./] })
    const { value } = await b[Symbol.asyncIterator]().next()
    assert.equal(value?.topic, other)
    await a.close({ drainMs: 0 })
    await run
  })
})

suite('a member stays', () => {
  onDiskAndInMemory(
    'whose callbacks take long, and has no timer once they ended',
    async (place) => {
      const log = await filled(place, 1, 1)
      await place.clock.advance(100_000)
      const timers = place.clock.pendingTimers
      const ends: (() => void)[] = []
      const a = member(log, {
        autoCommit: false,
        onAssigned: () => new Promise((resolve) => ends.push(resolve)),
      })
      const ofA = a[Symbol.asyncIterator]()
      const first = ofA.next()
      await eventually(() => ends.length === 1)
      await place.clock.advance(8_000)
      ends[0]?.()
      assert.equal((await first).value?.offset, 0)
      const next = ofA.next()
      assert.ok(await isWaiting(next))
      await place.clock.advance(100_000)
      assert.equal(a.assignment().length, 1)
      assert.equal(place.clock.pendingTimers, timers)
    },
  )
})
