// Transactions: records of any topics, seen all at once or never.
import assert from 'node:assert/strict'
import { suite } from 'node:test'
import type { Log, StandardSchemaV1, Transaction, TransactionOptions } from '../../src/index.ts'
import {
  LogError,
  MessageTooLargeError,
  OffsetConflictError,
  ValidationError,
} from '../../src/index.ts'
import { isWaiting } from '../support/consuming.ts'
import { eventually } from '../support/log-places.ts'
import type { Place } from '../support/on-disk-and-in-memory.ts'
import { onDiskAndInMemory } from '../support/on-disk-and-in-memory.ts'
import { systemError } from '../support/scripted-file-system.ts'

const TOPICS = {
  topics: {
    a: { value: 'string', partitions: 2 },
    b: { value: 'string' },
  },
} as const
const P0 = { partition: 0 }
const P1 = { partition: 1 }

const codeOf =
  (code: string) =>
  (error: unknown): boolean =>
    error instanceof LogError && error.code === code

const ABORTED = codeOf('TRANSACTION_ABORTED')

async function open(place: Place, options: object = {}): Promise<Log> {
  return (await place.open({ ...TOPICS, ...options })) as unknown as Log
}

async function valuesIn(log: Log, topic = 'a', partition = 0): Promise<unknown[]> {
  const values: unknown[] = []
  for await (const { value } of log.read(topic, { partition, until: 'end' })) values.push(value)
  return values
}

/** What all readers see of both topics. */
async function seen(log: Log): Promise<unknown[][]> {
  return [await valuesIn(log), await valuesIn(log, 'a', 1), await valuesIn(log, 'b')]
}

async function endOf(log: Log, topic = 'a'): Promise<number | undefined> {
  return (await log.describeTopic(topic)).partitions[0]?.logEndOffset
}

suite('a transaction', () => {
  onDiskAndInMemory('is seen in all topics when it is committed, and not before', async (place) => {
    const log = await open(place)
    const timestamp = place.clock.now()
    const tx = await log.beginTransaction()
    assert.equal(tx.state, 'open')
    await tx.produce('a', { value: '1', partition: 0 })
    await tx.produce('a', [{ value: '2' }, { value: '3', partition: 0 }], P1)
    await tx.produce('b', { key: 'k', value: '4', headers: { h: 'x' } })
    assert.deepEqual(await seen(log), [[], [], []])
    assert.deepEqual(await tx.commit(), {
      durability: 'disk',
      partitions: [
        { topic: 'a', partition: 0, baseOffset: 0, lastOffset: 1, timestamp },
        { topic: 'a', partition: 1, baseOffset: 0, lastOffset: 0, timestamp },
        { topic: 'b', partition: 0, baseOffset: 0, lastOffset: 0, timestamp },
      ],
    })
    assert.equal(tx.state, 'committed')
    assert.deepEqual(await seen(log), [['1', '3'], ['2'], ['4']])
    const again = (await place.reopen(log, TOPICS)) as unknown as Log
    assert.deepEqual(await seen(again), [['1', '3'], ['2'], ['4']])
  })

  onDiskAndInMemory('that is aborted was never there', async (place) => {
    const log = await open(place)
    const tx = await log.beginTransaction()
    await tx.produce('a', { value: '1' }, P0)
    await tx.abort()
    assert.equal(tx.state, 'aborted')
    await tx.abort()
    assert.deepEqual(await seen(log), [[], [], []])
    // Nothing of it was written yet.
    assert.equal(await endOf(log), 0)
  })

  onDiskAndInMemory('may touch nothing, or one partition', async (place) => {
    const log = await open(place)
    const nothing = await log.beginTransaction()
    assert.deepEqual(await nothing.commit(), { durability: 'disk', partitions: [] })
    const tx = await log.beginTransaction()
    await tx.produce('a', [])
    await tx.produce('a', { value: '1' }, P0)
    assert.equal((await tx.commit()).partitions.length, 1)
    assert.deepEqual(await seen(log), [['1'], [], []])
  })

  onDiskAndInMemory('keeps the order of its calls, awaited or not', async (place) => {
    const log = await open(place)
    const tx = await log.beginTransaction()
    const values = Array.from({ length: 20 }, (_, n) => `${n}`)
    for (const value of values) void tx.produce('a', { value }, P0)
    await tx.commit()
    assert.deepEqual(await valuesIn(log), values)
  })

  onDiskAndInMemory('has serialized its records when produce returns', async (place) => {
    const log = (await place.open({
      topics: { t: { key: 'bytes', value: 'bytes' } },
    })) as unknown as Log<{ t: Uint8Array }>
    const [key, value, header] = [Buffer.from('k'), Buffer.from('v'), Buffer.from('h')]
    const tx = await (log as unknown as Log).beginTransaction()
    const record = { key: key as unknown as string, value, headers: { header } }
    const produced = tx.produce('t', record)
    for (const each of [key, value, header]) each.fill('x')
    await produced
    await tx.commit()
    const [read] = (await log.fetch('t', { ...P0, offset: 0 })).records
    assert.deepEqual(
      [`${read?.key}`, `${read?.value}`, `${read?.headers['header']}`],
      ['k', 'v', 'h'],
    )
  })

  onDiskAndInMemory('leaves what others write meanwhile as it is', async (place) => {
    const log = await open(place)
    const tx = await log.beginTransaction()
    await tx.produce('a', { value: 'mine' }, P0)
    await log.produce('a', { value: 'others' }, P0)
    assert.deepEqual(await valuesIn(log), ['others'])
    await tx.commit()
    assert.deepEqual(await valuesIn(log), ['others', 'mine'])
  })

  onDiskAndInMemory('runs beside others', async (place) => {
    const log = await open(place)
    const open20 = Array.from({ length: 20 }, () => log.beginTransaction())
    const all = await Promise.all(open20)
    await Promise.all(all.map((tx, n) => tx.produce('a', { value: `${n}` }, P0)))
    await Promise.all(all.map((tx, n) => (n % 2 === 0 ? tx.commit() : tx.abort())))
    const values = (await valuesIn(log)).map(Number).sort((x, y) => x - y)
    assert.deepEqual(
      values,
      Array.from({ length: 10 }, (_, n) => 2 * n),
    )
  })

  onDiskAndInMemory(
    'has the level of the log, its own, or that of a topic on the disk',
    async (place) => {
      const topics = { disk: {}, os: { durability: 'os' } } as const
      const log = (await place.open({ topics, durability: 'disk' })) as unknown as Log
      const level = async (topic: string, options?: TransactionOptions): Promise<string> => {
        const tx = await log.beginTransaction(options)
        await tx.produce(topic, { value: 1 })
        return (await tx.commit()).durability
      }
      assert.equal(await level('os'), 'disk')
      assert.equal(await level('os', { durability: 'os' }), 'os')
      assert.equal(await level('disk', { durability: 'os' }), 'disk')
      assert.equal(await level('disk'), 'disk')
    },
  )

  onDiskAndInMemory('is aborted where its scope is left without a commit', async (place) => {
    const log = await open(place)
    const leave = async (commit: boolean): Promise<Transaction> => {
      await using tx = await log.beginTransaction()
      await tx.produce('a', { value: '1' }, P0)
      if (commit) await tx.commit()
      return tx
    }
    assert.equal((await leave(false)).state, 'aborted')
    assert.deepEqual(await valuesIn(log), [])
    assert.equal((await leave(true)).state, 'committed')
    assert.deepEqual(await valuesIn(log), ['1'])
  })

  onDiskAndInMemory('takes nothing more when it has ended', async (place) => {
    const log = await open(place)
    const committed = await log.beginTransaction()
    const committing = committed.commit()
    await assert.rejects(committed.produce('a', { value: '1' }), TypeError)
    await committing
    await assert.rejects(committed.produce('a', { value: '1' }), TypeError)
    await assert.rejects(committed.commit(), TypeError)
    await assert.rejects(committed.abort(), TypeError)
    const aborted = await log.beginTransaction()
    await aborted.abort()
    await assert.rejects(aborted.produce('a', { value: '1' }), ABORTED)
    await assert.rejects(aborted.commitOffset('g', []), ABORTED)
    await assert.rejects(aborted.commit(), ABORTED)
  })

  onDiskAndInMemory('is aborted when its time is up', async (place) => {
    const log = await open(place)
    const tx = await log.beginTransaction({ transactionTimeoutMs: 1000 })
    await tx.produce('a', { value: '1' }, P0)
    await place.clock.advance(1000)
    await eventually(() => tx.state === 'aborted')
    await assert.rejects(tx.produce('a', { value: '2' }), ABORTED)
    await assert.rejects(tx.commit(), ABORTED)
    await tx.abort()
    assert.deepEqual(await valuesIn(log), [])
    const next = await log.beginTransaction({ transactionTimeoutMs: 1000 })
    await next.produce('a', { value: '3' }, P0)
    await next.commit()
    assert.deepEqual(await valuesIn(log), ['3'])
  })

  onDiskAndInMemory('is aborted by the close of the log', async (place) => {
    const log = await open(place)
    const tx = await log.beginTransaction()
    await tx.produce('a', { value: '1' }, P0)
    await log.close()
    await eventually(() => tx.state === 'aborted')
    await assert.rejects(tx.produce('a', { value: '1' }), codeOf('CLOSED'))
    await assert.rejects(tx.commit(), codeOf('CLOSED'))
    await tx.abort()
    await assert.rejects(log.beginTransaction(), codeOf('CLOSED'))
    const again = await open(place)
    assert.deepEqual(await seen(again), [[], [], []])
    const reader = (await place.open({ readOnly: true })) as unknown as Log
    await assert.rejects(reader.beginTransaction(), codeOf('READ_ONLY'))
    await assert.rejects(
      reader.transaction(() => {}),
      codeOf('READ_ONLY'),
    )
  })
})

suite('a function in a transaction', () => {
  onDiskAndInMemory('is committed when it has ended, and its answer given', async (place) => {
    const log = await open(place)
    const answer = await log.transaction(async (tx) => {
      await tx.produce('a', { value: '1' }, P0)
      // Not awaited: the commit waits for it.
      void tx.produce('b', { value: '2' })
      return 'done'
    })
    assert.equal(answer, 'done')
    assert.deepEqual(await seen(log), [['1'], [], ['2']])
    assert.equal(await log.transaction(() => 5), 5)
  })

  onDiskAndInMemory('is aborted where it throws, and what it threw is told', async (place) => {
    const log = await open(place)
    const thrown = new Error('mine')
    const fails = log.transaction(async (tx) => {
      await tx.produce('a', { value: '1' }, P0)
      throw thrown
    })
    await assert.rejects(fails, (error) => error === thrown)
    const throws = log.transaction(() => {
      throw thrown
    })
    await assert.rejects(throws, (error) => error === thrown)
    assert.deepEqual(await seen(log), [[], [], []])
  })

  onDiskAndInMemory('may end it itself', async (place) => {
    const log = await open(place)
    const aborted = await log.transaction(async (tx) => {
      await tx.produce('a', { value: '1' }, P0)
      await tx.abort()
      return 'aborted'
    })
    assert.equal(aborted, 'aborted')
    await log.transaction(async (tx) => {
      await tx.produce('a', { value: '2' }, P0)
      await tx.commit()
    })
    assert.deepEqual(await valuesIn(log), ['2'])
  })

  onDiskAndInMemory('rejects where its time was up', async (place) => {
    const log = await open(place)
    const late = log.transaction(
      async (tx) => {
        await tx.produce('a', { value: '1' }, P0)
        await place.clock.advance(50)
      },
      { transactionTimeoutMs: 50 },
    )
    await assert.rejects(late, ABORTED)
    await assert.rejects(log.transaction(3 as unknown as () => void), TypeError)
    assert.deepEqual(await seen(log), [[], [], []])
  })
})

suite('the types of topics', () => {
  onDiskAndInMemory('hold for producers and transactions, too', async (place) => {
    interface Topics {
      orders: { readonly id: string }
      counts: number
    }
    const log = await place.open<Topics>({ topics: { orders: {}, counts: { value: 'json' } } })
    const answer: number = await log.transaction(async (tx) => {
      await tx.produce('orders', { key: 'k', value: { id: 'a' } })
      await tx.produce('counts', [{ value: 1 }, { value: null }])
      // @ts-expect-error: counts are numbers
      await tx.produce('counts', { value: 'many' })
      // @ts-expect-error: keys are strings
      await assert.rejects(tx.produce('counts', { key: 7, value: 1 }), TypeError)
      // @ts-expect-error: there is no such topic
      await assert.rejects(tx.produce('nothing', { value: 7 }), codeOf('UNKNOWN_TOPIC'))
      return 7
    })
    assert.equal(answer, 7)
    const producer = await log.producer()
    const one = await producer.produce('counts', { value: 2 })
    const many = await producer.produce('counts', [{ value: 3 }], { sequence: 1, partition: 0 })
    assert.deepEqual([one.offset + 1, one.partition], [many[0]?.baseOffset, 0])
    // @ts-expect-error: counts are numbers
    await producer.produce('counts', { value: 'many' })
    const named = await log.producer({ transactionalId: 'n' })
    const tx: Transaction<Topics> = await named.begin()
    // @ts-expect-error: orders have an id
    await tx.produce('orders', { value: {} })
    await tx.abort()
    const consumer = log.consumer({ group: 'g', topics: ['orders'] })
    const other = await log.beginTransaction()
    const at = { topic: 'orders', partition: 0, offset: 1 }
    await assert.rejects(other.commitOffset(consumer, at), codeOf('FENCED'))
    await other.abort()
  })
})

suite('a call that is wrong', () => {
  const REFUSING: StandardSchemaV1<string, string> = {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: (value) =>
        value === 'good' ? { value } : { issues: [{ message: 'not good enough' }] },
    },
  }

  onDiskAndInMemory('rejects and changes nothing, and the transaction goes on', async (place) => {
    const topics = {
      ...TOPICS.topics,
      compacted: { cleanupPolicy: 'compact' },
      guarded: { value: 'string', schema: REFUSING },
      small: { value: 'string', maxMessageBytes: 200 },
    } as const
    const log = (await place.open({ topics })) as unknown as Log
    const tx = await log.beginTransaction()
    const produce = tx.produce.bind(tx) as (...given: unknown[]) => Promise<void>
    const good = { value: 'good' }
    await assert.rejects(produce('none', good), codeOf('UNKNOWN_TOPIC'))
    await assert.rejects(produce('__consumer_offsets', good), TypeError)
    await assert.rejects(produce('__transaction_state', good), TypeError)
    await assert.rejects(produce('a', [good, { value: 1 }], P0), TypeError)
    await assert.rejects(
      produce('a', [good, { value: 'x', partition: 2 }], P0),
      codeOf('UNKNOWN_PARTITION'),
    )
    await assert.rejects(produce('a', good, { ...P0, durability: 'os' }), TypeError)
    await assert.rejects(produce('a', good, { expectedOffset: 0 }), /needs a partition/)
    await assert.rejects(produce('compacted', good), codeOf('KEY_REQUIRED'))
    await assert.rejects(produce('guarded', [good, { value: 'bad' }]), ValidationError)
    await assert.rejects(produce('small', { value: 'x'.repeat(200) }), MessageTooLargeError)
    await assert.rejects(
      produce('small', Array(20).fill({ value: 'x'.repeat(20) })),
      MessageTooLargeError,
    )
    assert.equal(tx.state, 'open')
    await produce('a', good, P0)
    await tx.commit()
    assert.deepEqual(await valuesIn(log), ['good'])
    for (const topic of ['compacted', 'guarded', 'small']) assert.equal(await endOf(log, topic), 0)
  })

  onDiskAndInMemory('may be about a topic that is made for it', async (place) => {
    const log = (await place.open({ autoCreateTopics: true })) as unknown as Log
    await log.transaction((tx) => {
      void tx.produce('new', { value: 1 })
      void tx.produce('new', [{ value: 2 }, { value: 3 }])
    })
    assert.deepEqual(await valuesIn(log, 'new'), [1, 2, 3])
  })

  onDiskAndInMemory(
    'may be about one that cannot be made, which aborts the rest',
    async (place) => {
      const log = (await place.open({ ...TOPICS, autoCreateTopics: true })) as unknown as Log
      const tx = await log.beginTransaction()
      await tx.produce('b', { value: '1' })
      place.fileSystem.rule = ({ path }) =>
        path.includes('new') ? systemError('ENOSPC') : undefined
      const producing = tx.produce('new', { value: 1 })
      await assert.rejects(tx.commit(), codeOf('DISK_FULL'))
      await assert.rejects(producing, codeOf('DISK_FULL'))
      place.fileSystem.rule = undefined
      assert.deepEqual(await valuesIn(log, 'b'), [])
      const other = await log.beginTransaction()
      await other.produce('b', { value: '2' })
      // Who has looked at it may go on.
      await assert.rejects(other.produce('no name', { value: 1 }))
      await other.commit()
      assert.deepEqual(await valuesIn(log, 'b'), ['2'])
    },
  )
})

suite('conditions', () => {
  onDiskAndInMemory(
    'hold for the log with the records of the transaction itself',
    async (place) => {
      const log = await open(place)
      await log.produce('a', { value: '0' }, P0)
      const tx = await log.beginTransaction()
      await tx.produce('a', { value: '1' }, { ...P0, expectedOffset: 1 })
      await tx.produce('a', [{ value: '2' }, { value: '3' }], P0)
      await tx.produce('a', { value: '4' }, { ...P0, expectedOffset: 4 })
      await tx.commit()
      assert.deepEqual(await valuesIn(log), ['0', '1', '2', '3', '4'])
      const derived = await log.beginTransaction()
      await derived.produce('a', { value: '6' }, P0)
      // The marker of the first transaction has an offset, too.
      await derived.produce('a', { value: '7' }, { ...P0, expectedOffset: 7 })
      await derived.commit()
      assert.deepEqual((await valuesIn(log)).length, 7)
    },
  )

  onDiskAndInMemory('that do not hold abort all of it', async (place) => {
    const log = await open(place)
    const tx = await log.beginTransaction()
    await tx.produce('b', { value: '1' })
    await tx.produce('a', { value: '1' }, { ...P0, expectedOffset: 0 })
    await log.produce('a', { value: 'faster' }, P0)
    await assert.rejects(tx.commit(), (error: unknown) => {
      assert.ok(error instanceof OffsetConflictError)
      assert.deepEqual([error.expected, error.actual], [0, 1])
      return true
    })
    assert.equal(tx.state, 'aborted')
    await tx.abort()
    assert.deepEqual(await seen(log), [['faster'], [], []])
    await log.transaction((next) =>
      next.produce('a', { value: 'again' }, { ...P0, expectedOffset: 1 }),
    )
    assert.deepEqual(await valuesIn(log), ['faster', 'again'])
  })

  onDiskAndInMemory('that contradict each other are refused at once', async (place) => {
    const log = await open(place)
    const tx = await log.beginTransaction()
    await tx.produce('a', { value: '0' }, { ...P0, expectedOffset: 0 })
    const refused = tx.produce('a', { value: 'x' }, { ...P0, expectedOffset: 2 })
    await assert.rejects(refused, (error: unknown) => {
      assert.ok(error instanceof OffsetConflictError)
      assert.deepEqual([error.expected, error.actual], [2, 1])
      return true
    })
    const early = tx.produce('b', [{ value: 'x' }], { ...P0, expectedOffset: 0 })
    await early
    await tx.produce('b', { value: 'y' })
    await assert.rejects(
      tx.produce('b', { value: 'x' }, { ...P0, expectedOffset: 1 }),
      codeOf('OFFSET_CONFLICT'),
    )
    await tx.produce('a', { value: '1' }, { ...P0, expectedOffset: 1 })
    await tx.commit()
    assert.deepEqual(await seen(log), [['0', '1'], [], ['x', 'y']])
  })

  onDiskAndInMemory('of two transactions let one pass', async (place) => {
    const log = await open(place)
    const both = [await log.beginTransaction(), await log.beginTransaction()]
    for (const [n, tx] of both.entries()) {
      await tx.produce('a', { value: `${n}` }, { ...P0, expectedOffset: 0 })
      await tx.produce('b', { value: `${n}` })
    }
    const ended = await Promise.allSettled(both.map((tx) => tx.commit()))
    assert.deepEqual(ended.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    const [a, , b] = await seen(log)
    assert.equal(a?.length, 1)
    assert.deepEqual(a, b)
  })
})

suite('more than maxTransactionBytes', () => {
  const value = 'x'.repeat(400)

  onDiskAndInMemory('is written early, and seen with the rest', async (place) => {
    const log = await open(place, { maxTransactionBytes: 1000 })
    const tx = await log.beginTransaction()
    for (let n = 0; n < 5; n += 1) await tx.produce('a', { value }, P0)
    await tx.produce('b', { value: 'small' })
    assert.ok(((await endOf(log)) ?? 0) >= 3)
    assert.deepEqual(await seen(log), [[], [], []])
    await log.produce('a', { value: 'behind' }, P0)
    // Readers stop before what is not decided.
    assert.deepEqual(await valuesIn(log), [])
    const { partitions } = await tx.commit()
    assert.deepEqual(
      partitions.map(({ topic, baseOffset }) => `${topic} ${baseOffset}`),
      ['a 0', 'b 0'],
    )
    const [a, , b] = await seen(log)
    assert.deepEqual([a?.length, b], [6, ['small']])
  })

  onDiskAndInMemory('is not seen where it is aborted', async (place) => {
    const log = await open(place, { maxTransactionBytes: 1000 })
    const tx = await log.beginTransaction()
    for (let n = 0; n < 5; n += 1) await tx.produce('a', { value }, P0)
    assert.ok(((await endOf(log)) ?? 0) >= 3)
    await tx.abort()
    await log.produce('a', { value: 'behind' }, P0)
    assert.deepEqual(await valuesIn(log), ['behind'])
    const again = (await place.reopen(log, TOPICS)) as unknown as Log
    assert.deepEqual(await valuesIn(again), ['behind'])
  })

  onDiskAndInMemory('keeps the order of calls that are not awaited', async (place) => {
    const log = await open(place, { maxTransactionBytes: 1000 })
    const tx = await log.beginTransaction()
    const values = Array.from({ length: 20 }, (_, n) => `${n} ${value}`)
    for (const each of values) void tx.produce('a', { value: each }, P0)
    await tx.commit()
    assert.deepEqual(await valuesIn(log), values)
  })

  onDiskAndInMemory(
    'is told by the commit alone, where nobody waits for the calls',
    async (place) => {
      const log = await open(place, { maxTransactionBytes: 1000 })
      await log.produce('a', { value: '0' }, P0)
      const failing = log.transaction((tx) => {
        void tx.produce('a', { value }, { ...P0, expectedOffset: 0 })
        for (let n = 0; n < 5; n += 1) void tx.produce('a', { value }, P0)
      })
      await assert.rejects(failing, codeOf('OFFSET_CONFLICT'))
      assert.deepEqual(await seen(log), [['0'], [], []])
    },
  )

  onDiskAndInMemory('counts what was written early in conditions', async (place) => {
    const log = await open(place, { maxTransactionBytes: 1000 })
    const tx = await log.beginTransaction()
    for (let n = 0; n < 5; n += 1) {
      await tx.produce('a', { value }, { ...P0, expectedOffset: n })
    }
    await assert.rejects(
      tx.produce('a', { value }, { ...P0, expectedOffset: 2 }),
      codeOf('OFFSET_CONFLICT'),
    )
    await tx.commit()
    assert.equal((await valuesIn(log)).length, 5)
  })

  onDiskAndInMemory('fails at once where a condition does not hold', async (place) => {
    const log = await open(place, { maxTransactionBytes: 1000 })
    await log.produce('a', { value: '0' }, P0)
    const tx = await log.beginTransaction()
    await tx.produce('b', { value })
    await tx.produce('a', { value }, { ...P0, expectedOffset: 0 })
    await assert.rejects(tx.produce('a', { value }, P0), codeOf('OFFSET_CONFLICT'))
    assert.equal(tx.state, 'aborted')
    await assert.rejects(tx.produce('a', { value }), ABORTED)
    await assert.rejects(tx.commit(), codeOf('OFFSET_CONFLICT'))
    assert.deepEqual(await seen(log), [['0'], [], []])
  })

  onDiskAndInMemory(
    'may be several batches of a partition, each within its largest size',
    async (place) => {
      const topics = { a: { value: 'string', maxMessageBytes: 1000 }, b: {} } as const
      const log = (await place.open({ topics })) as unknown as Log
      const tx = await log.beginTransaction()
      for (let n = 0; n < 10; n += 1) {
        await tx.produce('a', { value }, { ...P0, expectedOffset: n })
      }
      await tx.produce('a', { value: 'gzip' }, { ...P0, compression: 'gzip' })
      await tx.produce('b', { value: 1 })
      assert.equal(await endOf(log), 0)
      const { partitions } = await tx.commit()
      assert.deepEqual(
        partitions.map(({ baseOffset, lastOffset }) => [baseOffset, lastOffset]),
        [
          [0, 10],
          [0, 0],
        ],
      )
      assert.equal((await valuesIn(log)).length, 11)
    },
  )
})

/** Commits a record in two topics. */
async function write(tx: Transaction, value: string): Promise<void> {
  void tx.produce('a', { value }, P0)
  void tx.produce('b', { value })
  await tx.commit()
}

function refuseDecisions(place: Place): void {
  place.fileSystem.rule = ({ name, path }) =>
    name === 'sync' && /__transaction_state-0.*\.log$/.test(path) ? systemError('EIO') : undefined
}

suite('what the disk refuses', () => {
  onDiskAndInMemory('aborts all of it, and is told by the commit', async (place) => {
    const log = await open(place)
    const tx = await log.beginTransaction()
    await tx.produce('a', { value: '1' }, P0)
    await tx.produce('b', { value: '1' })
    place.fileSystem.rule = ({ name, path }) =>
      name === 'write' && path.includes('b-0') ? systemError('ENOSPC') : undefined
    await assert.rejects(tx.commit(), codeOf('DISK_FULL'))
    place.fileSystem.rule = undefined
    assert.equal(tx.state, 'aborted')
    assert.deepEqual(await seen(log), [[], [], []])
    await log.transaction((next) => next.produce('a', { value: '2' }, P0))
    assert.deepEqual(await valuesIn(log), ['2'])
  })

  onDiskAndInMemory(
    'hides it until all markers stand, save from a log that was opened beside the writer',
    async (place) => {
      const log = await open(place)
      const tx = await log.beginTransaction()
      await tx.produce('a', { value: '1' }, P0)
      await tx.produce('b', { value: '1' })
      // What is said of its producer, and then the decision.
      let told = 0
      let refused = 0
      place.fileSystem.rule = ({ name, path }) => {
        if (name === 'write' && /__transaction_state-0.*\.log$/.test(path)) told += 1
        if (name !== 'write' || told < 2 || !path.includes('b-0')) return undefined
        refused += 1
        return systemError('ENOSPC')
      }
      const committing = tx.commit()
      await eventually(() => refused > 0)
      assert.deepEqual(await seen(log), [[], [], []])
      const reader = (await place.open({ readOnly: true })) as unknown as Log
      assert.deepEqual(await seen(reader), [['1'], [], []])
      await reader.close()
      place.fileSystem.rule = undefined
      let isCommitted = false
      void committing.then(() => {
        isCommitted = true
      })
      await eventually(async () => {
        await place.clock.advance(1000)
        return isCommitted
      })
      assert.deepEqual(await seen(log), [['1'], [], ['1']])
    },
  )

  onDiskAndInMemory('leaves it unknown where it is the sync that decides', async (place) => {
    const log = await open(place)
    // The first decision makes the topic that they are in.
    await write(await log.beginTransaction(), '0')
    // So that there is a producer that need not be made.
    await log.flush()
    const tx = await log.beginTransaction()
    await tx.commitOffset('g', { topic: 'a', ...P0, offset: 1 })
    refuseDecisions(place)
    await assert.rejects(write(tx, '1'), codeOf('STORAGE_FAILED'))
    place.fileSystem.rule = undefined
    assert.equal(tx.state, 'unknown')
    await assert.rejects(tx.abort(), codeOf('STORAGE_FAILED'))
    await tx[Symbol.asyncDispose]()
    assert.deepEqual(await seen(log), [['0'], [], ['0']])
    assert.deepEqual(await log.committedOffsets('g'), [])
    // The next open finds the decision, as it was written.
    const again = await open(await place.killed())
    assert.deepEqual(await seen(again), [['0', '1'], [], ['0', '1']])
    assert.equal((await again.committedOffsets('g'))[0]?.offset, 1)
  })

  onDiskAndInMemory('leaves all unknown that were to be decided together', async (place) => {
    const log = await open(place)
    await write(await log.beginTransaction(), '0')
    // So that there is a producer that need not be made.
    await log.flush()
    const all = [await log.beginTransaction(), await log.beginTransaction()]
    refuseDecisions(place)
    const committing = all.map((tx, n) => write(tx, `${n + 1}`))
    for (const each of committing) await assert.rejects(each, codeOf('STORAGE_FAILED'))
    place.fileSystem.rule = undefined
    for (const { state } of all) assert.equal(state, 'unknown')
    assert.deepEqual(await seen(log), [['0'], [], ['0']])
    const again = await open(await place.killed())
    assert.deepEqual(await seen(again), [['0', '1', '2'], [], ['0', '1', '2']])
  })

  onDiskAndInMemory('is not answered before it is on the disk', async (place) => {
    const log = await open(place)
    const tx = await log.beginTransaction()
    await tx.produce('a', { value: '1' }, P0)
    await tx.produce('b', { value: '1' })
    place.fileSystem.holdSyncs()
    const committing = tx.commit()
    assert.equal(tx.state, 'committing')
    assert.ok(await isWaiting(committing))
    assert.deepEqual(await seen(log), [[], [], []])
    place.fileSystem.releaseSyncs()
    await committing
    assert.deepEqual(await seen(log), [['1'], [], ['1']])
  })

  onDiskAndInMemory('is waited for by the close of the log', async (place) => {
    const log = await open(place)
    const tx = await log.beginTransaction()
    await tx.produce('a', { value: '1' }, P0)
    await tx.produce('b', { value: '1' })
    const committing = tx.commit()
    await log.close()
    assert.equal((await committing).partitions.length, 2)
    assert.deepEqual(await seen(await open(place)), [['1'], [], ['1']])
  })
})

suite('a producer with a transactionalId', () => {
  onDiskAndInMemory('writes in transactions, one at a time', async (place) => {
    const log = await open(place)
    const producer = await log.producer({ transactionalId: 'payments' })
    assert.equal(producer.transactionalId, 'payments')
    assert.ok(producer.producerId >= 2 ** 40)
    await assert.rejects(producer.produce('a', { value: '1' }), TypeError)
    const tx = await producer.begin()
    await assert.rejects(producer.begin(), TypeError)
    await tx.produce('a', { value: '1' }, P0)
    await tx.commit()
    const answer = await producer.transaction(async (next) => {
      await next.produce('a', { value: '2' }, P0)
      return 2
    })
    assert.equal(answer, 2)
    await assert.rejects(
      producer.transaction(() => Promise.reject(new Error('mine'))),
      /mine/,
    )
    await producer.transaction((next) => next.produce('a', { value: '3' }, P0))
    assert.deepEqual(await valuesIn(log), ['1', '2', '3'])
  })

  onDiskAndInMemory(
    'is fenced by who takes its name, and what it has open aborted',
    async (place) => {
      const log = await open(place)
      const old = await log.producer({ transactionalId: 'payments' })
      const tx = await old.begin()
      await tx.produce('a', { value: 'old' }, P0)
      const next = await log.producer({ transactionalId: 'payments' })
      assert.equal(next.producerId, old.producerId)
      assert.ok(next.producerEpoch > old.producerEpoch)
      assert.equal(tx.state, 'aborted')
      await assert.rejects(tx.produce('a', { value: 'old' }), codeOf('PRODUCER_FENCED'))
      await assert.rejects(tx.commit(), codeOf('PRODUCER_FENCED'))
      await assert.rejects(old.begin(), codeOf('PRODUCER_FENCED'))
      await next.transaction((mine) => mine.produce('a', { value: 'new' }, P0))
      assert.deepEqual(await valuesIn(log), ['new'])
    },
  )

  onDiskAndInMemory('comes back after a crash with a higher epoch', async (place) => {
    const log = await open(place)
    const old = await log.producer({ transactionalId: 'payments' })
    await old.transaction((tx) => tx.produce('a', { value: '1' }, P0))
    const open2 = await old.begin()
    await open2.produce('a', { value: 'lost' }, P0)
    const again = await open(await place.killed())
    const next = await again.producer({ transactionalId: 'payments' })
    assert.equal(next.producerId, old.producerId)
    assert.ok(next.producerEpoch > old.producerEpoch)
    await next.transaction((tx) => tx.produce('a', { value: '2' }, P0))
    assert.deepEqual(await valuesIn(again), ['1', '2'])
  })

  onDiskAndInMemory('is fenced when the time of its transaction is up', async (place) => {
    const log = await open(place)
    const id = { transactionalId: 'payments', transactionTimeoutMs: 500 }
    const producer = await log.producer(id)
    const tx = await producer.begin()
    await tx.produce('a', { value: '1' }, P0)
    await place.clock.advance(500)
    await eventually(() => tx.state === 'aborted')
    await assert.rejects(tx.commit(), ABORTED)
    await assert.rejects(producer.begin(), codeOf('PRODUCER_FENCED'))
    const next = await log.producer(id)
    await next.transaction((mine) => mine.produce('a', { value: '2' }, P0))
    assert.deepEqual(await valuesIn(log), ['2'])
  })
})
