// Producers whose batches are stored once, however often they are sent.
import assert from 'node:assert/strict'
import { suite } from 'node:test'
import type { Acknowledgement, Log, Producer, ProducerOptions } from '../../src/index.ts'
import { LogError } from '../../src/index.ts'
import type { Place } from '../support/on-disk-and-in-memory.ts'
import { onDiskAndInMemory } from '../support/on-disk-and-in-memory.ts'
import { systemError } from '../support/scripted-file-system.ts'

const TOPICS = { topics: { t: { value: 'string', partitions: 2 } } } as const
const FIRST_ID = 2 ** 40
const P0 = { partition: 0 }

const codeOf =
  (code: string) =>
  (error: unknown): boolean =>
    error instanceof LogError && error.code === code

async function open(place: Place): Promise<Log> {
  return (await place.open(TOPICS)) as unknown as Log
}

async function reopen(place: Place, log: Log): Promise<Log> {
  return (await place.reopen(log, TOPICS)) as unknown as Log
}

async function valuesIn(log: Log, partition = 0, topic = 't'): Promise<unknown[]> {
  const values: unknown[] = []
  for await (const { value } of log.read(topic, { partition, until: 'end' })) values.push(value)
  return values
}

const same = ({ producerId, producerEpoch }: Producer): ProducerOptions => {
  return { producerId, producerEpoch }
}

suite('an idempotent producer', () => {
  onDiskAndInMemory(
    'has an id of its own, from 2^40 on, that is never given again',
    async (place) => {
      const log = await open(place)
      const [a, b] = [await log.producer(), await log.producer({ idempotent: true })]
      assert.ok(a.producerId >= FIRST_ID)
      assert.ok(b.producerId > a.producerId)
      assert.deepEqual([a.producerEpoch, a.transactionalId], [0, undefined])
      const again = await reopen(place, log)
      assert.ok((await again.producer()).producerId > b.producerId)
    },
  )

  onDiskAndInMemory('appends as log.produce does', async (place) => {
    const log = await open(place)
    const producer = await log.producer()
    const timestamp = place.clock.now()
    assert.deepEqual(await producer.produce('t', { value: 'a', partition: 1 }), {
      partition: 1,
      offset: 0,
      timestamp,
      durability: 'disk',
    })
    const records = [
      { value: 'b', partition: 1 },
      { value: 'c', partition: 0 },
    ]
    assert.deepEqual(await producer.produce('t', records, { durability: 'os' }), [
      { partition: 0, baseOffset: 0, lastOffset: 0, timestamp, durability: 'os' },
      { partition: 1, baseOffset: 1, lastOffset: 1, timestamp, durability: 'os' },
    ])
    assert.deepEqual(await producer.produce('t', []), [])
    await log.flush()
    assert.deepEqual(await valuesIn(log, 1), ['a', 'b'])
  })

  onDiskAndInMemory('stores a batch once, and answers as the first time', async (place) => {
    const log = await open(place)
    const producer = await log.producer()
    const first = await producer.produce('t', { value: 'a' }, { ...P0, sequence: 0 })
    await place.clock.advance(1000)
    assert.deepEqual(await producer.produce('t', { value: 'a' }, { ...P0, sequence: 0 }), first)
    const batch = [{ value: 'b' }, { value: 'c' }]
    const second = await producer.produce('t', batch, { ...P0, sequence: 1 })
    assert.deepEqual(await producer.produce('t', batch, { ...P0, sequence: 1 }), second)
    assert.deepEqual(await valuesIn(log), ['a', 'b', 'c'])
  })

  onDiskAndInMemory('may send again before the first answer is there', async (place) => {
    const log = await open(place)
    const producer = await log.producer()
    const send = (): Promise<Acknowledgement> =>
      producer.produce('t', { value: 'a' }, { ...P0, sequence: 0 })
    const [one, two, three] = await Promise.all([send(), send(), send()])
    assert.deepEqual([one, one], [two, three])
    assert.deepEqual(await valuesIn(log), ['a'])
  })

  onDiskAndInMemory('goes on with the next sequence, where none is given', async (place) => {
    const log = await open(place)
    const producer = await log.producer()
    const calls = ['a', 'b', 'c'].map((value) => producer.produce('t', { value }, P0))
    await Promise.all(calls)
    await producer.produce('t', { value: 'd' }, { ...P0, sequence: 3 })
    await producer.produce('t', { value: 'e' }, P0)
    const sent = await producer.produce('t', { value: 'e' }, { ...P0, sequence: 4 })
    assert.equal(sent.offset, 4)
    // Each partition has a count of its own.
    await producer.produce('t', { value: 'x' }, { partition: 1, sequence: 0 })
    assert.deepEqual(await valuesIn(log), ['a', 'b', 'c', 'd', 'e'])
  })

  onDiskAndInMemory('is refused a gap, and what lies too far back', async (place) => {
    const log = await open(place)
    const producer = await log.producer()
    const send = (sequence: number): Promise<Acknowledgement> =>
      producer.produce('t', { value: `${sequence}` }, { ...P0, sequence })
    for (let sequence = 0; sequence < 7; sequence += 1) await send(sequence)
    await assert.rejects(send(8), codeOf('OUT_OF_ORDER_SEQUENCE'))
    assert.equal((await send(2)).offset, 2)
    await assert.rejects(send(1), codeOf('DUPLICATE_SEQUENCE'))
    await send(7)
    assert.equal((await valuesIn(log)).length, 8)
  })

  onDiskAndInMemory(
    'is forgotten once it has been idle for producerIdExpirationMs',
    async (place) => {
      const times = { producerIdExpirationMs: 1000, retentionCheckIntervalMs: 100 }
      const log = (await place.open({ ...TOPICS, ...times })) as unknown as Log
      const producer = await log.producer()
      const send = (sequence: number): Promise<Acknowledgement> =>
        producer.produce('t', { value: `${sequence}` }, { ...P0, sequence })
      await send(0)
      await place.clock.advance(950)
      await assert.rejects(send(5), codeOf('OUT_OF_ORDER_SEQUENCE'))
      await send(1)
      await place.clock.advance(950)
      assert.equal((await send(0)).offset, 0)
      await assert.rejects(send(5), codeOf('OUT_OF_ORDER_SEQUENCE'))
      await place.clock.advance(150)
      // Who is not known begins anywhere.
      assert.equal((await send(5)).offset, 2)
    },
  )

  onDiskAndInMemory('can try again what the disk has refused', async (place) => {
    const log = await open(place)
    const producer = await log.producer()
    await producer.produce('t', { value: 'a' }, { ...P0, sequence: 0 })
    place.fileSystem.rule = ({ name }) => (name === 'write' ? systemError('ENOSPC') : undefined)
    const send = (): Promise<Acknowledgement> =>
      producer.produce('t', { value: 'b' }, { ...P0, sequence: 1 })
    await assert.rejects(send(), codeOf('DISK_FULL'))
    place.fileSystem.rule = undefined
    assert.equal((await send()).offset, 1)
    assert.deepEqual(await valuesIn(log), ['a', 'b'])
  })

  onDiskAndInMemory('takes conditions and compression along', async (place) => {
    const log = await open(place)
    const producer = await log.producer()
    await producer.produce('t', { value: 'a' }, { ...P0, expectedOffset: 0 })
    await assert.rejects(
      producer.produce('t', { value: 'b' }, { ...P0, expectedOffset: 0 }),
      codeOf('OFFSET_CONFLICT'),
    )
    // What was refused has no sequence.
    const value = 'c'.repeat(1000)
    await producer.produce('t', { value }, { ...P0, sequence: 1, compression: 'gzip' })
    assert.deepEqual(await valuesIn(log), ['a', value])
  })

  onDiskAndInMemory('creates topics where the log does', async (place) => {
    const log = await place.open({ autoCreateTopics: true })
    const producer = await log.producer()
    const [one, two] = await Promise.all([
      producer.produce('new', { value: 1 }),
      producer.produce('new', [{ value: 2 }], { sequence: 1 }),
    ])
    assert.deepEqual([one.offset, two[0]?.baseOffset], [0, 1])
    assert.deepEqual(await valuesIn(log, 0, 'new'), [1, 2])
  })
})

suite('an earlier producer', () => {
  onDiskAndInMemory(
    'goes on after a crash, and sends again what may not have arrived',
    async (place) => {
      const log = await open(place)
      const producer = await log.producer()
      for (const value of ['a', 'b']) await producer.produce('t', { value }, P0)
      const killed = await place.killed()
      const again = await open(killed)
      const resumed = await again.producer(same(producer))
      assert.deepEqual(same(resumed), same(producer))
      const acks = []
      for (const [sequence, value] of ['a', 'b', 'c'].entries()) {
        acks.push(await resumed.produce('t', { value }, { ...P0, sequence }))
      }
      assert.deepEqual(
        acks.map(({ offset }) => offset),
        [0, 1, 2],
      )
      assert.deepEqual(await valuesIn(again), ['a', 'b', 'c'])
    },
  )

  onDiskAndInMemory('goes on after a close, and remembers its last batch', async (place) => {
    const log = await open(place)
    const producer = await log.producer()
    for (const value of ['a', 'b']) await producer.produce('t', { value }, P0)
    const again = await reopen(place, log)
    const resumed = await again.producer(same(producer))
    const send = (value: string, sequence: number): Promise<Acknowledgement> =>
      resumed.produce('t', { value }, { ...P0, sequence })
    assert.equal((await send('b', 1)).offset, 1)
    await assert.rejects(send('a', 0), codeOf('DUPLICATE_SEQUENCE'))
    assert.equal((await resumed.produce('t', { value: 'c' }, P0)).offset, 2)
    assert.deepEqual(await valuesIn(again), ['a', 'b', 'c'])
  })

  onDiskAndInMemory('is fenced by a higher epoch of its id', async (place) => {
    const log = await open(place)
    const old = await log.producer()
    await old.produce('t', { value: 'a' }, P0)
    const { producerId } = old
    const next = await log.producer({ producerId, producerEpoch: 1 })
    await next.produce('t', { value: 'b' }, { ...P0, sequence: 0 })
    await assert.rejects(old.produce('t', { value: 'c' }, P0), codeOf('PRODUCER_FENCED'))
    assert.deepEqual(await valuesIn(log), ['a', 'b'])
  })

  onDiskAndInMemory(
    'that is not known any more may begin anywhere, as with Kafka',
    async (place) => {
      const log = await open(place)
      const { producerId } = await log.producer()
      const resumed = await log.producer({ producerId, producerEpoch: 3 })
      const { offset } = await resumed.produce('t', { value: 'a' }, { ...P0, sequence: 70 })
      assert.equal(offset, 0)
      await assert.rejects(
        resumed.produce('t', { value: 'a' }, { ...P0, sequence: 72 }),
        codeOf('OUT_OF_ORDER_SEQUENCE'),
      )
    },
  )

  onDiskAndInMemory('counts from 0 again after 2^31 - 1', async (place) => {
    const log = await open(place)
    const { producerId } = await log.producer()
    const resumed = await log.producer({ producerId, producerEpoch: 0 })
    const last = { ...P0, sequence: 2 ** 31 - 1 }
    const first = await resumed.produce('t', { value: 'a' }, last)
    await resumed.produce('t', { value: 'b' }, P0)
    await resumed.produce('t', { value: 'c' }, { ...P0, sequence: 1 })
    assert.deepEqual(await resumed.produce('t', { value: 'a' }, last), first)
    assert.deepEqual(await valuesIn(log), ['a', 'b', 'c'])
  })

  onDiskAndInMemory('must be one that the log has given', async (place) => {
    const log = await open(place)
    const { producerId } = await log.producer()
    for (const above of [1, 10_000]) {
      const later = { producerId: producerId + above, producerEpoch: 0 }
      await assert.rejects(log.producer(later), RangeError)
    }
    await log.producer({ producerId: 7, producerEpoch: 0 })
    const again = await reopen(place, log)
    await again.producer({ producerId, producerEpoch: 0 })
    const { producerId: next } = await again.producer()
    await assert.rejects(again.producer({ producerId: next + 1, producerEpoch: 0 }), RangeError)
    await again.producer({ producerId: next, producerEpoch: 0 })
  })

  onDiskAndInMemory('must not be one of transactions', async (place) => {
    const log = await open(place)
    const named = await log.producer({ transactionalId: 'payments' })
    await assert.rejects(log.producer(same(named)), RangeError)
    await assert.rejects(log.producer({ ...same(named), producerEpoch: 1 }), RangeError)
    await log.transaction(async (tx) => tx.produce('t', { value: 'a' }))
    const own = named.producerId + 1
    await assert.rejects(log.producer({ producerId: own, producerEpoch: 1 }), RangeError)
    await named.transaction(async (tx) => tx.produce('t', { value: 'b' }))
  })
})

suite('what is no producer', () => {
  onDiskAndInMemory('is refused before anything is changed', async (place) => {
    const log = await open(place)
    const loose = log.producer.bind(log) as (options: unknown) => Promise<Producer>
    await assert.rejects(loose({ idempotent: false }), TypeError)
    await assert.rejects(loose({ transactionalID: 'a' }), /did you mean transactionalId/)
    await assert.rejects(loose(3), TypeError)
    const producer = await log.producer()
    const anything = producer.produce.bind(producer) as (...given: unknown[]) => Promise<unknown>
    await assert.rejects(anything('t', { value: 1 }), TypeError)
    await assert.rejects(anything('none', { value: 'a' }), codeOf('UNKNOWN_TOPIC'))
    await assert.rejects(anything('__consumer_offsets', { value: 'a' }), TypeError)
    await assert.rejects(anything('t', { value: 'a' }, { sequence: -1 }), RangeError)
    await assert.rejects(anything('t', { value: 'a' }, { sequenc: 1 }), TypeError)
    const two = [
      { value: 'a', partition: 0 },
      { value: 'b', partition: 1 },
    ]
    await assert.rejects(anything('t', two, { sequence: 0 }), /sequence needs one partition/)
    // Which partition it is would be chosen anew each time.
    await assert.rejects(anything('t', { value: 'a' }, { sequence: 0 }), /records without a key/)
    await assert.rejects(
      anything('t', { value: 'a' }, { ...P0, signal: AbortSignal.abort() }),
      (error: unknown) => error instanceof Error && error.name === 'AbortError',
    )
    await assert.rejects(producer.begin(), TypeError)
    assert.deepEqual(await valuesIn(log), [])
    await log.close()
    await assert.rejects(producer.produce('t', { value: 'a' }), codeOf('CLOSED'))
    await assert.rejects(log.producer(), codeOf('CLOSED'))
    const reader = (await place.open({ readOnly: true })) as unknown as Log
    await assert.rejects(reader.producer(), codeOf('READ_ONLY'))
  })
})
