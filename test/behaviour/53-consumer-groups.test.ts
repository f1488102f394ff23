// Consumers that share a group: who reads what, and how partitions change hands.
import assert from 'node:assert/strict'
import { suite } from 'node:test'
import type {
  Assignor,
  ConsumedRecord,
  Consumer,
  ConsumerOptions,
  Log,
  TopicPartition,
} from '../../src/index.ts'
import { LogError } from '../../src/index.ts'
import { Deferred } from '../../src/util/deferred.ts'
import { committedBy, fill, filled, isWaiting, nextTurn } from '../support/consuming.ts'
import { eventually } from '../support/log-places.ts'
import { onDiskAndInMemory } from '../support/on-disk-and-in-memory.ts'

const T0 = { topic: 't', partition: 0 }
const nameOf = ({ topic, partition }: TopicPartition): string => `${topic}-${partition}`

const codeOf =
  (code: string) =>
  (error: unknown): boolean =>
    error instanceof LogError && error.code === code

/** A consumer that notes what it is given and told, and takes the next record only when it is asked to. */
class Member {
  readonly consumer: Consumer
  readonly told: string[] = []
  readonly records: ConsumedRecord[] = []
  readonly #iterator: AsyncIterator<ConsumedRecord>

  constructor(log: Log, options: Partial<ConsumerOptions> = {}) {
    const tell =
      (what: string) =>
      (partitions: readonly TopicPartition[]): void => {
        this.told.push(`${what} ${partitions.map(nameOf).join(' ')}`)
      }
    this.consumer = log.consumer({
      group: 'g',
      topics: ['t'],
      onAssigned: tell('assigned'),
      onRevoked: tell('revoked'),
      onLost: tell('lost'),
      ...options,
    }) as Consumer
    this.#iterator = this.consumer[Symbol.asyncIterator]()
  }

  /** Begins to ask for the next record, and notes it when it comes. */
  async next(): Promise<ConsumedRecord | undefined> {
    const { value, done } = await this.#iterator.next()
    if (done === true) return undefined
    this.records.push(value)
    return value
  }

  /** Asks for more for as long as there is more. */
  async drain(): Promise<void> {
    while ((await this.next()) !== undefined);
  }

  get owned(): string[] {
    return this.consumer.assignment().map(nameOf).sort()
  }
}

suite('the members of a group', () => {
  onDiskAndInMemory('share the partitions; each record goes to one of them', async (place) => {
    const log = await filled(place, 4, 0)
    const [a, b] = [new Member(log), new Member(log)]
    const drained = [a.drain(), b.drain()]
    await eventually(() => a.owned.length === 2 && b.owned.length === 2)
    await fill(log, 't', 4, 10)
    await eventually(() => a.records.length + b.records.length === 40)
    assert.deepEqual([a.records.length, b.records.length], [20, 20])
    await Promise.all([a.consumer.close(), b.consumer.close(), ...drained])
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 10, 't-1': 10, 't-2': 10, 't-3': 10 })
  })

  onDiskAndInMemory('of another group are given everything as well', async (place) => {
    const log = await filled(place, 2, 3)
    const [a, b] = [new Member(log), new Member(log, { group: 'h' })]
    for (let n = 0; n < 6; n += 1) await Promise.all([a.next(), b.next()])
    assert.deepEqual(a.records.map(nameOf), b.records.map(nameOf))
  })

  onDiskAndInMemory('that hang in onRevoked are taken for dead', async (place) => {
    const log = await filled(place, 1, 1)
    const hung = new Deferred<void>()
    const a = new Member(log, {
      assignor: 'range',
      maxPollIntervalMs: 10_000,
      instanceId: 'z',
      onRevoked: () => hung.promise,
    })
    await a.next()
    const waiting = [a.next()]
    const b = new Member(log, { assignor: 'range', instanceId: 'a' })
    waiting.push(b.next())
    assert.ok(await isWaiting(Promise.race(waiting)))
    for (let n = 0; n < 15; n += 1) await place.clock.advance(1000)
    await eventually(() => b.owned.length === 1)
    hung.resolve()
    await Promise.all([a.consumer.close(), b.consumer.close(), ...waiting])
  })

  onDiskAndInMemory(
    'that are more than there are partitions wait for their turn',
    async (place) => {
      const log = await filled(place, 1, 2)
      const a = new Member(log)
      await a.next()
      const b = new Member(log)
      const next = b.next()
      assert.ok(await isWaiting(next))
      await a.consumer.close({ drainMs: 0 })
      assert.equal((await next)?.offset, 0)
      assert.equal(b.records[0]?.deliveryCount, 2)
    },
  )

  onDiskAndInMemory('have one assignor', async (place) => {
    const log = await filled(place, 4, 1)
    const seen: string[][] = []
    const own: Assignor = {
      name: 'all-to-the-last',
      assign({ members, partitionCounts }) {
        const names = members.map(({ memberId }) => memberId).sort()
        seen.push(names)
        const partitions = [...Array(partitionCounts.get('t')).keys()]
        const all = [{ topic: 't', partitions }]
        return new Map(names.map((name) => [name, name === names.at(-1) ? all : []]))
      },
    }
    const a = new Member(log, { assignor: own, clientId: 'a' })
    await a.next()
    assert.equal(a.owned.length, 4)
    assert.throws(() => new Member(log, { assignor: 'range' }), /at work with 'all-to-the-last'/)
    assert.equal((await log.describeGroup('g')).protocol, 'all-to-the-last')
    assert.equal(seen.length, 1)
    await a.consumer.close({ drainMs: 0 })
    const b = new Member(log, { assignor: 'range' })
    await b.next()
    assert.equal((await log.describeGroup('g')).protocol, 'range')
  })

  onDiskAndInMemory('are told what is wrong with their assignor', async (place) => {
    const log = await filled(place, 1, 1)
    const assignor = {
      name: 'none',
      assign: () => new Map([['nobody', [{ topic: 't', partitions: [0] }]]]),
    }
    await assert.rejects(new Member(log, { assignor }).next(), /to nobody, which is no member/)
  })
})

/** Gives t-0 to the last static member, by instance id, and all else to the first. */
const LAST_HAS_T0: Assignor = {
  name: 'last-has-t0',
  assign({ members, partitionCounts }) {
    const sorted = [...members].sort((x, y) =>
      String(x.groupInstanceId) < String(y.groupInstanceId) ? -1 : 1,
    )
    const rest = [...Array(partitionCounts.get('t')).keys()].slice(1)
    return new Map(
      sorted.map(({ memberId }, index) => {
        const partitions = [
          ...(index === sorted.length - 1 ? [0] : []),
          ...(index === 0 ? rest : []),
        ]
        return [memberId, [{ topic: 't', partitions }]]
      }),
    )
  },
}

suite('a partition changes hands', () => {
  onDiskAndInMemory(
    'when its record in hand is done and committed, and onRevoked has ended',
    async (place) => {
      const log = await filled(place, 2, 5)
      const order: unknown[] = []
      let endRevoked = (): void => {}
      const a = new Member(log, {
        assignor: LAST_HAS_T0,
        instanceId: 'a',
        onRevoked: async (partitions) => {
          order.push(partitions.map(nameOf), await committedBy(log, 'g'))
          await new Promise<void>((resolve) => {
            endRevoked = resolve
          })
        },
      })
      await a.next()
      const inHand = await a.next()
      assert.deepEqual([inHand?.partition, inHand?.offset], [0, 1])
      const b = new Member(log, { assignor: LAST_HAS_T0, instanceId: 'b' })
      const first = b.next()
      assert.ok(await isWaiting(first))
      assert.deepEqual(order, [])
      // The record is done: a goes on with what it keeps.
      assert.equal((await a.next())?.partition, 1)
      await eventually(() => order.length === 2)
      assert.ok(await isWaiting(first))
      assert.deepEqual(order, [['t-0'], { 't-0': 2 }])
      endRevoked()
      const record = await first
      assert.deepEqual([record?.partition, record?.offset, record?.deliveryCount], [0, 2, 1])
      assert.deepEqual([a.owned, b.owned], [['t-1'], ['t-0']])
    },
  )

  onDiskAndInMemory('while what stays where it is goes on', async (place) => {
    const log = await filled(place, 2, 5)
    const a = new Member(log, { assignor: LAST_HAS_T0, instanceId: 'a' })
    const b = new Member(log, { assignor: LAST_HAS_T0, instanceId: 'b' })
    const records = await Promise.all([a.next(), b.next()])
    assert.deepEqual(
      records.map((record) => record?.partition),
      [1, 0],
    )
    // t-0 goes from b, which has a record of it in hand, to c.
    const c = new Member(log, { assignor: LAST_HAS_T0, instanceId: 'c' })
    const next = c.next()
    for (let n = 0; n < 4; n += 1) assert.equal((await a.next())?.partition, 1)
    assert.deepEqual(a.told, ['assigned t-1'])
    assert.ok(await isWaiting(next))
    const idle = b.next()
    assert.equal((await next)?.offset, 1)
    assert.ok(await isWaiting(idle))
    assert.deepEqual(b.told, ['assigned t-0', 'revoked t-0'])
    assert.deepEqual(a.told, ['assigned t-1'])
  })

  onDiskAndInMemory(
    "and what its owner was just reading of it is its next owner's alone",
    async (place) => {
      const log = (await place.open({
        topics: {
          t: { partitions: 2, value: 'bytes', compression: 'gzip', maxMessageBytes: 64_000_000 },
        },
      })) as unknown as Log
      // Is decompressed by the thread pool, for longer than a rebalance takes.
      await log.produce('t', { value: Buffer.alloc(32_000_000), partition: 0 })
      let isGiven: boolean | undefined
      const a = new Member(log, {
        assignor: LAST_HAS_T0,
        instanceId: 'a',
        // Until the page has long been read.
        onRevoked: async () => {
          isGiven = !(await isWaiting(ofA, 30_000))
        },
      })
      const ofA = a.next()
      await eventually(() => a.owned.length > 0)
      const b = new Member(log, { assignor: LAST_HAS_T0, instanceId: 'b' })
      assert.equal((await b.next())?.deliveryCount, 1)
      assert.equal(isGiven, false)
    },
  )

  onDiskAndInMemory('with what is committed in onRevoked', async (place) => {
    const log = await filled(place, 2, 5)
    const a: Member = new Member(log, {
      assignor: LAST_HAS_T0,
      instanceId: 'a',
      autoCommit: false,
      onRevoked: () => a.consumer.commit(),
    })
    for (let n = 0; n < 3; n += 1) await a.next()
    const b = new Member(log, { assignor: LAST_HAS_T0, instanceId: 'b', autoCommit: false })
    const next = b.next()
    assert.ok(await isWaiting(next))
    void a.next()
    assert.equal((await next)?.offset, 3)
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 3 })
  })

  onDiskAndInMemory('where it was begun, while nothing is committed', async (place) => {
    const log = await filled(place, 2, 5)
    const options = { assignor: LAST_HAS_T0, autoCommit: false, from: 'latest' } as const
    const a = new Member(log, { ...options, instanceId: 'a' })
    const ofA = a.next()
    assert.ok(await isWaiting(ofA))
    await log.produce('t', { value: 5, partition: 0 })
    assert.equal((await ofA)?.value, 5)
    const b = new Member(log, { ...options, instanceId: 'b' })
    const ofB = b.next()
    assert.ok(await isWaiting(ofB))
    void a.next()
    const record = await ofB
    assert.deepEqual([record?.value, record?.deliveryCount], [5, 1])
  })

  onDiskAndInMemory('when the close of its owner has waited long enough', async (place) => {
    const log = await filled(place, 1, 5)
    const [a, b] = [new Member(log), new Member(log)]
    const [ofA, ofB] = [a.next(), b.next()]
    const record = await Promise.race([ofA, ofB])
    const [owner, other, waiting] = a.records.length === 1 ? [a, b, ofB] : [b, a, ofA]
    await owner.consumer.close({ drainMs: 5_000 })
    assert.deepEqual(owner.told, ['assigned t-0'])
    await place.clock.advance(4_999)
    assert.ok(await isWaiting(waiting))
    await place.clock.advance(1)
    const again = await waiting
    assert.deepEqual([again?.offset, again?.deliveryCount], [record?.offset, 2])
    assert.deepEqual(owner.told, ['assigned t-0', 'revoked t-0'])
    assert.equal(await owner.next(), undefined)
    assert.deepEqual(other.told, ['assigned t-0'])
  })

  onDiskAndInMemory(
    'also where its commit fails; what was not committed is handed out again',
    async (place) => {
      const log = await filled(place, 1, 5)
      const a = new Member(log)
      await log.commitOffset('other', { ...T0, offset: 0 })
      for (let n = 0; n < 3; n += 1) await a.next()
      place.fileSystem.rule = ({ name, path }) =>
        name.startsWith('write') && path.includes('__consumer_offsets')
          ? Object.assign(new Error('full'), { code: 'ENOSPC' })
          : undefined
      await assert.rejects(a.consumer.close({ drainMs: 0 }), codeOf('DISK_FULL'))
      place.fileSystem.rule = undefined
      const b = new Member(log)
      assert.equal((await b.next())?.offset, 0)
    },
  )
})

suite('a member that does not come back for more', () => {
  onDiskAndInMemory('loses its partitions, and commits nothing more', async (place) => {
    const log = await filled(place, 1, 5)
    const a = new Member(log, { maxPollIntervalMs: 10_000, autoCommit: false })
    const [record] = [await a.next(), await a.next()]
    assert.ok(record !== undefined)
    const b = new Member(log, { autoCommit: false })
    const next = b.next()
    await place.clock.advance(9_000)
    assert.ok(await isWaiting(next))
    await place.clock.advance(2_000)
    const again = await next
    assert.deepEqual([again?.offset, again?.deliveryCount], [0, 1])
    assert.deepEqual(a.told, ['assigned t-0', 'lost t-0'])
    await assert.rejects(a.consumer.commit(record), codeOf('FENCED'))
    await assert.rejects(a.consumer.commit(), codeOf('FENCED'))
    await a.consumer.commit()
    assert.deepEqual(await committedBy(log, 'g'), {})
    // What b is given for the first time a had for the first time, too: it counts on.
    assert.deepEqual([(await b.next())?.offset, b.records[1]?.deliveryCount], [1, 2])
    // It joins again when it asks for more.
    const back = a.next()
    assert.ok(await isWaiting(back))
    assert.equal((await log.describeGroup('g')).members.length, 2)
  })

  onDiskAndInMemory(
    'keeps them while it waits, or while it comes back now and then',
    async (place) => {
      const log = await filled(place, 1, 8)
      const a = new Member(log, { maxPollIntervalMs: 10_000 })
      for (let n = 0; n < 8; n += 1) {
        await a.next()
        await place.clock.advance(8_000)
      }
      const next = a.next()
      await place.clock.advance(100_000)
      await log.produce('t', { value: 'more' })
      assert.equal((await next)?.value, 'more')
      assert.deepEqual(a.told, ['assigned t-0'])
    },
  )

  onDiskAndInMemory('keeps them for ever, where it is told so', async (place) => {
    const log = await filled(place, 1, 2)
    const a = new Member(log, { maxPollIntervalMs: 0 })
    await a.next()
    await place.clock.advance(10_000_000)
    await a.next()
    assert.deepEqual(a.told, ['assigned t-0'])
  })

  onDiskAndInMemory('as the event loop stood still is not taken for dead', async (place) => {
    const log = await filled(place, 1, 2)
    const a = new Member(log, { maxPollIntervalMs: 10_000 })
    await a.next()
    await place.clock.advance(500)
    place.clock.setTime(place.clock.now() + 60_000)
    await place.clock.advance(5_000)
    await a.next()
    assert.deepEqual(a.told, ['assigned t-0'])
  })
})

suite('static members', () => {
  onDiskAndInMemory('find their partitions again, which nobody else was given', async (place) => {
    const log = await filled(place, 2, 5)
    const a = new Member(log, { instanceId: 'a', sessionTimeoutMs: 20_000 })
    const b = new Member(log, { instanceId: 'b' })
    await Promise.all([a.next(), b.next()])
    await eventually(() => a.owned.length === 1 && b.owned.length === 1)
    const { generation } = await log.describeGroup('g')
    const owned = a.owned
    await a.consumer.close({ drainMs: 0 })
    await place.clock.advance(19_000)
    const again = new Member(log, { instanceId: 'a', sessionTimeoutMs: 20_000 })
    await again.next()
    assert.deepEqual(again.owned, owned)
    assert.equal((await log.describeGroup('g')).generation, generation)
    await again.consumer.close({ drainMs: 0 })
    await place.clock.advance(21_000)
    await eventually(() => b.owned.length === 2)
  })

  onDiskAndInMemory('that are replaced are told, and end', async (place) => {
    const log = await filled(place, 1, 5)
    const first = new Member(log, { instanceId: 'a' })
    await first.next()
    const second = new Member(log, { instanceId: 'a' })
    assert.equal((await second.next())?.offset, 0)
    assert.deepEqual(first.told, ['assigned t-0', 'lost t-0'])
    await assert.rejects(first.next(), codeOf('FENCED'))
    assert.equal((await second.next())?.offset, 1)
  })
})

suite('when topics change', () => {
  onDiskAndInMemory('new partitions are taken in, from their beginning', async (place) => {
    const log = await filled(place, 1, 1)
    const a = new Member(log, { from: 'latest' })
    const next = a.next()
    assert.ok(await isWaiting(next))
    await log.addPartitions('t', 3)
    await log.produce('t', { value: 'new', partition: 2 })
    assert.equal((await next)?.value, 'new')
    assert.deepEqual(a.owned, ['t-0', 't-1', 't-2'])
  })

  onDiskAndInMemory('new topics that match are taken in, and no others', async (place) => {
    const log = await filled(place, 1, 1)
    const a = new Member(log, { topics: [/^t/g, /^_/], from: 'latest' })
    const next = a.next()
    assert.ok(await isWaiting(next))
    await log.createTopic('u')
    await log.produce('u', { value: 1 })
    await log.createTopic('t2')
    await log.produce('t2', { value: 2 })
    assert.equal((await next)?.topic, 't2')
    assert.deepEqual(a.owned, ['t-0', 't2-0'])
    assert.deepEqual((await log.describeGroup('g')).members[0]?.subscription?.topics, ['t', 't2'])
  })

  onDiskAndInMemory('deleted ones go; one made anew is read from its beginning', async (place) => {
    const log = await filled(place, 1, 3)
    await log.createTopic('u')
    await log.produce('u', { value: 'u' })
    const a = new Member(log, { topics: ['t', 'u'] })
    for (let n = 0; n < 3; n += 1) await a.next()
    await log.deleteTopic('t')
    await a.next()
    const next = a.next()
    assert.ok(await isWaiting(next))
    assert.equal(a.records.at(-1)?.topic, 'u')
    assert.deepEqual(a.owned, ['u-0'])
    await log.createTopic('t')
    await log.produce('t', { value: 'anew' })
    assert.equal((await next)?.value, 'anew')
    await a.consumer.close({ drainMs: 0 })
    assert.deepEqual(await committedBy(log, 'g'), { 'u-0': 1 })
  })

  onDiskAndInMemory('a deleted one keeps nothing else from its next owner', async (place) => {
    const log = await filled(place, 1, 2)
    await log.createTopic('u')
    await log.produce('u', { value: 'u' })
    const own: Assignor = {
      name: 'all-to-the-last',
      assign({ members, partitionCounts }) {
        const ids = members.map(({ memberId }) => memberId)
        const all = ['t', 'u'].flatMap((topic) =>
          partitionCounts.has(topic) ? [{ topic, partitions: [0] }] : [],
        )
        return new Map(ids.map((id) => [id, id === ids.at(-1) ? all : []]))
      },
    }
    const a = new Member(log, { topics: [/./], assignor: own })
    const inHand = (await a.next()) as ConsumedRecord
    const other = inHand.topic === 't' ? 'u' : 't'
    const b = new Member(log, { topics: ['t', 'u'], assignor: own })
    const next = b.next()
    assert.ok(await isWaiting(next))
    await log.deleteTopic(inHand.topic)
    assert.equal((await next)?.topic, other)
    await Promise.all([a, b].map(({ consumer }) => consumer.close({ drainMs: 0 })))
  })
})

suite('a storm', () => {
  onDiskAndInMemory('of members that come and go ends with everything assigned', async (place) => {
    const log = await filled(place, 6, 5)
    const members: Member[] = []
    const drains: Promise<void>[] = []
    for (let n = 0; n < 40; n += 1) {
      const member = new Member(log)
      members.push(member)
      drains.push(member.drain())
      if (n % 3 === 0) await nextTurn()
      if (n >= 3) await members[n - 3]?.consumer.close()
    }
    const last = members.slice(-3)
    await eventually(() => last.every(({ owned }) => owned.length === 2))
    await eventually(() => members.flatMap(({ records }) => records).length >= 30)
    await fill(log, 't', 6, 5, 5)
    await eventually(() => last.every(({ consumer }) => consumer.lag().lagRecords === 0))
    await Promise.all(last.map(({ consumer }) => consumer.close()))
    await Promise.all(drains)
    const seen = members.flatMap(({ records }) => records)
    const distinct = new Set(seen.map(({ partition, offset }) => `${partition}:${offset}`))
    assert.deepEqual([seen.length, distinct.size], [60, 60])
    assert.deepEqual(Object.values(await committedBy(log, 'g')), Array(6).fill(10))
  })
})
