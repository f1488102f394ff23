// Transactions without a name that are committed in one turn: together in the log, and each for itself to whoever has called.
import assert from 'node:assert/strict'
import { suite } from 'node:test'
import type { Log, Transaction, TransactionAcknowledgement } from '../../src/index.ts'
import { LogError } from '../../src/index.ts'
import { eventually } from '../support/log-places.ts'
import type { Place } from '../support/on-disk-and-in-memory.ts'
import { onDiskAndInMemory } from '../support/on-disk-and-in-memory.ts'
import { systemError } from '../support/scripted-file-system.ts'

const TOPICS = { topics: { a: { value: 'string' }, b: { value: 'string' } } } as const
const COUNT = 20
const NUMBERS: readonly number[] = Array.from({ length: COUNT }, (_, n) => n)

const codeOf =
  (code: string) =>
  (error: unknown): boolean =>
    error instanceof LogError && error.code === code

async function open(place: Place, options: object = {}): Promise<Log> {
  return (await place.open({ ...TOPICS, ...options })) as unknown as Log
}

async function valuesIn(log: Log, topic: string): Promise<unknown[]> {
  const values: unknown[] = []
  for await (const { value } of log.read(topic, { until: 'end' })) values.push(value)
  return values
}

async function endOf(log: Log, topic: string): Promise<number | undefined> {
  return (await log.describeTopic(topic)).partitions[0]?.logEndOffset
}

/** One transaction for each number, all begun; each has a record for both topics. */
function begun(log: Log): Promise<Transaction[]> {
  const begin = async (n: number): Promise<Transaction> => {
    const tx = await log.beginTransaction()
    await tx.produce('a', { value: `a${n}` })
    await tx.produce('b', { value: `b${n}` })
    return tx
  }
  return Promise.all(NUMBERS.map(begin))
}

/** What became of each: its acknowledgement, or the code of its error. */
async function outcomes(
  committing: readonly Promise<TransactionAcknowledgement>[],
): Promise<unknown[]> {
  return (await Promise.allSettled(committing)).map((each) =>
    each.status === 'fulfilled' ? each.value : (each.reason as LogError).code,
  )
}

const expected = (topic: string, numbers: readonly number[]): string[] =>
  numbers.map((n) => `${topic}${n}`)

suite('transactions that are committed in one turn', () => {
  onDiskAndInMemory('share a marker, and each is told its own offsets', async (place) => {
    const log = await open(place)
    const timestamp = place.clock.now()
    const transactions = await begun(log)
    const told = await Promise.all(transactions.map((tx) => tx.commit()))
    const at = (n: number): object => ({ partition: 0, baseOffset: n, lastOffset: n, timestamp })
    assert.deepEqual(
      told,
      NUMBERS.map((n) => ({
        durability: 'disk',
        partitions: [
          { topic: 'a', ...at(n) },
          { topic: 'b', ...at(n) },
        ],
      })),
    )
    assert.ok(transactions.every(({ state }) => state === 'committed'))
    assert.deepEqual(await valuesIn(log, 'a'), expected('a', NUMBERS))
    assert.equal(await endOf(log, 'a'), COUNT + 1)
    const again = (await place.reopen(log, TOPICS)) as unknown as Log
    assert.deepEqual(await valuesIn(again, 'b'), expected('b', NUMBERS))
  })

  onDiskAndInMemory('keep their keys, headers and timestamps apart', async (place) => {
    const topics = { t: { key: 'string', value: 'string' } } as const
    const log = (await place.open({ topics })) as unknown as Log
    const committing = [5000, undefined, 7000, undefined, 6000].map((timestamp, n) =>
      log.beginTransaction().then(async (tx) => {
        const headers = n === 1 ? {} : { headers: { n: `${n}` } }
        const at = timestamp === undefined ? {} : { timestamp }
        await tx.produce('t', { key: `k${n}`, value: `${n}`, ...headers, ...at })
        return await tx.commit()
      }),
    )
    const now = place.clock.now()
    const told = (await Promise.all(committing)).map(({ partitions: [at] }) => at)
    assert.deepEqual(
      told.map((at) => at?.timestamp),
      [5000, now, 7000, now, 6000],
    )
    for (const [n, at] of told.entries()) {
      const { records } = await log.fetch('t', { partition: 0, offset: at?.baseOffset ?? -1 })
      const record = records[0]
      const named = n === 1 ? {} : { n: Buffer.from(`${n}`) }
      assert.deepEqual(
        [record?.key, record?.value, record?.timestamp, { ...record?.headers }],
        [`k${n}`, `${n}`, at?.timestamp, named],
      )
    }
  })

  onDiskAndInMemory('go on without one whose partition fails', async (place) => {
    const log = await open(place, { topics: { ...TOPICS.topics, bad: { value: 'string' } } })
    await log.transaction((tx) => tx.produce('a', { value: 'before' }))
    const transactions = await begun(log)
    await transactions[3]?.produce('bad', { value: 'x' })
    place.fileSystem.rule = ({ name, path }) =>
      name === 'write' && path.includes('bad-0') ? systemError('EIO') : undefined
    const told = await outcomes(transactions.map((tx) => tx.commit()))
    place.fileSystem.rule = undefined
    assert.ok(told.every((each, n) => (each === 'STORAGE_FAILED') === (n === 3)))
    const others = NUMBERS.filter((n) => n !== 3)
    assert.deepEqual(await valuesIn(log, 'a'), ['before', ...expected('a', others)])
    assert.deepEqual(await valuesIn(log, 'b'), expected('b', others))
    assert.equal(transactions[3]?.state, 'aborted')
  })

  onDiskAndInMemory('go on without one whose topic is gone', async (place) => {
    const log = await open(place, { topics: { ...TOPICS.topics, gone: { value: 'string' } } })
    const transactions = await begun(log)
    await transactions[3]?.produce('gone', { value: 'x' })
    await log.deleteTopic('gone')
    const told = await outcomes(transactions.map((tx) => tx.commit()))
    assert.ok(told.every((each, n) => (typeof each === 'string') === (n === 3)))
    const others = NUMBERS.filter((n) => n !== 3)
    assert.deepEqual(await valuesIn(log, 'a'), expected('a', others))
    assert.deepEqual(await valuesIn(log, 'b'), expected('b', others))
    assert.equal(transactions[3]?.state, 'aborted')
  })

  onDiskAndInMemory('are not aborted for one whose partition has failed before', async (place) => {
    const log = await open(place)
    place.fileSystem.rule = ({ name, path }) =>
      name === 'write' && path.includes('b-0') ? systemError('EIO') : undefined
    await assert.rejects(log.produce('b', { value: 'x' }), codeOf('STORAGE_FAILED'))
    place.fileSystem.rule = undefined
    const both = (await begun(log))[0] as Transaction
    const committing = [both.commit()]
    for (const value of expected('a', NUMBERS)) {
      const tx = await log.beginTransaction()
      await tx.produce('a', { value })
      committing.push(tx.commit())
    }
    const [refused, ...others] = await outcomes(committing)
    assert.equal(refused, 'STORAGE_FAILED')
    assert.ok(others.every((each) => typeof each === 'object'))
    assert.deepEqual(await valuesIn(log, 'a'), expected('a', NUMBERS))
    // The one that is refused has a record and a marker of its own; the others share theirs.
    assert.equal(await endOf(log, 'a'), 2 + COUNT + 1)
  })

  onDiskAndInMemory('go on without one whose condition does not hold', async (place) => {
    const log = await open(place)
    const transactions = await begun(log)
    const [first] = transactions
    assert.ok(first)
    const conditional = await log.beginTransaction()
    await conditional.produce('a', { value: 'x' }, { partition: 0, expectedOffset: 99 })
    const committing = [conditional, ...transactions].map((tx) => tx.commit())
    const [refused, ...others] = await outcomes(committing)
    assert.equal(refused, 'OFFSET_CONFLICT')
    assert.ok(others.every((each) => typeof each === 'object'))
    assert.deepEqual(await valuesIn(log, 'a'), expected('a', NUMBERS))
  })

  onDiskAndInMemory(
    'are all refused where there is no room, and may be tried again',
    async (place) => {
      const log = await open(place)
      await log.transaction((tx) => tx.produce('a', { value: 'before' }))
      const transactions = await begun(log)
      place.fileSystem.rule = ({ name, path }) =>
        name === 'write' && path.includes('b-0') ? systemError('ENOSPC') : undefined
      const told = await outcomes(transactions.map((tx) => tx.commit()))
      place.fileSystem.rule = undefined
      assert.deepEqual(
        told,
        NUMBERS.map(() => 'DISK_FULL'),
      )
      assert.ok(transactions.every(({ state }) => state === 'aborted'))
      assert.deepEqual(await valuesIn(log, 'a'), ['before'])
      await Promise.all((await begun(log)).map((tx) => tx.commit()))
      assert.deepEqual(await valuesIn(log, 'a'), ['before', ...expected('a', NUMBERS)])
    },
  )

  onDiskAndInMemory(
    'are all unknown where the sync of their decision has failed',
    async (place) => {
      const log = await open(place)
      // Its producer is there by then: the first sync of its partition is that of the decision.
      await log.transaction((tx) => tx.produce('a', { value: 'before' }))
      const transactions = await begun(log)
      place.fileSystem.rule = ({ name, path }) =>
        name === 'sync' && /__transaction_state-0.*\.log$/.test(path)
          ? systemError('EIO')
          : undefined
      const told = await outcomes(transactions.map((tx) => tx.commit()))
      assert.deepEqual(
        told,
        NUMBERS.map(() => 'STORAGE_FAILED'),
      )
      assert.deepEqual(
        transactions.map(({ state }) => state),
        NUMBERS.map(() => 'unknown'),
      )
      await assert.rejects((transactions[0] as Transaction).abort(), codeOf('STORAGE_FAILED'))
      assert.deepEqual(await valuesIn(log, 'a'), ['before'])
    },
  )

  onDiskAndInMemory('of another level, or codec, go by themselves', async (place) => {
    const topics = { a: { value: 'string', durability: 'os' } } as const
    const log = (await place.open({ topics })) as unknown as Log
    const begin = async (
      durability: 'os' | 'disk',
      compression: 'none' | 'gzip',
    ): Promise<Transaction> => {
      const tx = await log.beginTransaction({ durability })
      await tx.produce('a', { value: `${durability} ${compression}` }, { compression })
      return tx
    }
    const transactions = [
      await begin('disk', 'none'),
      await begin('os', 'none'),
      await begin('disk', 'gzip'),
      await begin('disk', 'none'),
    ]
    const told = await Promise.all(transactions.map((tx) => tx.commit()))
    assert.deepEqual(
      told.map(({ durability }) => durability),
      ['disk', 'os', 'disk', 'disk'],
    )
    assert.equal((await valuesIn(log, 'a')).length, 4)
    // A marker for the first and the last one would do if they had come next to each other.
    assert.equal(await endOf(log, 'a'), 8)
  })

  onDiskAndInMemory('are as many batches as their records need', async (place) => {
    const topics = { a: { value: 'string', maxMessageBytes: 4096 } } as const
    const log = (await place.open({ topics })) as unknown as Log
    const value = 'x'.repeat(1000)
    const produce = (): Promise<void> => log.transaction((tx) => tx.produce('a', { value }))
    await Promise.all(Array.from({ length: 10 }, produce))
    assert.deepEqual(await valuesIn(log, 'a'), new Array(10).fill(value))
    // Three fit.
    assert.equal(await endOf(log, 'a'), 10 + 4)
  })

  onDiskAndInMemory('are waited for by a close that is called in that turn', async (place) => {
    const log = await open(place)
    const transactions = await begun(log)
    const committing = transactions.map((tx) => tx.commit())
    await log.close()
    assert.ok((await outcomes(committing)).every((each) => typeof each === 'object'))
    assert.deepEqual(await valuesIn(await open(place), 'b'), expected('b', NUMBERS))
  })

  onDiskAndInMemory('are waited for by a close where they go on by themselves', async (place) => {
    const log = await open(place, { topics: { ...TOPICS.topics, gone: { value: 'string' } } })
    const transactions = await begun(log)
    await transactions[3]?.produce('gone', { value: 'x' })
    await log.deleteTopic('gone')
    const told = outcomes(transactions.map((tx) => tx.commit()))
    await log.close()
    assert.ok((await told).every((each, n) => (typeof each === 'string') === (n === 3)))
    const others = NUMBERS.filter((n) => n !== 3)
    assert.deepEqual(await valuesIn(await open(place), 'b'), expected('b', others))
  })

  onDiskAndInMemory('are waited for by a close where they have conditions', async (place) => {
    const log = await open(place)
    const tx = await log.beginTransaction()
    await tx.produce('a', { value: 'a0' }, { partition: 0, expectedOffset: 0 })
    await tx.produce('b', { value: 'b0' })
    const told = outcomes([tx.commit()])
    await log.close()
    assert.equal(typeof (await told)[0], 'object')
    assert.deepEqual(await valuesIn(await open(place), 'b'), ['b0'])
  })

  onDiskAndInMemory(
    'for a group, and before all others, end while a topic is being deleted',
    async (place) => {
      const log = await open(place, { topics: { ...TOPICS.topics, gone: { value: 'string' } } })
      const transactions = await begun(log)
      const offset = { topic: 'a', partition: 0, offset: 0 }
      for (const tx of transactions) await tx.commitOffset('readers', offset)
      const deleting = log.deleteTopic('gone')
      const told = await outcomes(transactions.map((tx) => tx.commit()))
      await deleting
      assert.ok(told.every((each) => typeof each === 'object'))
    },
  )

  onDiskAndInMemory('do not wait for those whose markers wait for room', async (place) => {
    const log = await open(place, { topics: { ...TOPICS.topics, c: { value: 'string' } } })
    for (const topic of ['a', 'b', 'c']) {
      await log.transaction((tx) => tx.produce(topic, { value: 'before' }))
    }
    let writes = 0
    place.fileSystem.rule = ({ name, path }) => {
      if (name !== 'write' || !/b-0.*\.log$/.test(path)) return undefined
      writes += 1
      return writes % 2 === 0 ? systemError('ENOSPC') : undefined
    }
    const stalled: Promise<void>[] = []
    for (let n = 0; n < 3; n += 1) {
      const both = log.transaction(async (tx) => {
        await tx.produce('a', { value: `a${n}` })
        await tx.produce('b', { value: `b${n}` })
      })
      stalled.push(both)
      await eventually(() => writes === 2 * n + 2)
    }
    await log.transaction((tx) => tx.produce('c', { value: 'beside' }))
    assert.deepEqual(await valuesIn(log, 'c'), ['before', 'beside'])
    assert.deepEqual(await valuesIn(log, 'a'), ['before'])
    place.fileSystem.rule = undefined
    await place.clock.advance(1000)
    await Promise.all(stalled)
    assert.deepEqual(await valuesIn(log, 'a'), ['before', 'a0', 'a1', 'a2'])
  })
})

suite('the time of a transaction', () => {
  onDiskAndInMemory('is watched where it is open at the end of its turn', async (place) => {
    const log = await open(place)
    await log.transaction((tx) => tx.produce('a', { value: '1' }))
    await eventually(() => true)
    const { pendingTimers } = place.clock
    await log.transaction((tx) => tx.produce('a', { value: '2' }))
    assert.equal(place.clock.pendingTimers, pendingTimers)
    const tx = await log.beginTransaction()
    await eventually(() => place.clock.pendingTimers > pendingTimers, 'a timer')
    await place.clock.advance(60_000)
    await eventually(() => tx.state === 'aborted')
    await assert.rejects(tx.commit(), codeOf('TRANSACTION_ABORTED'))
    assert.deepEqual(await valuesIn(log, 'a'), ['1', '2'])
  })

  onDiskAndInMemory('is watched no more where it has ended before its turn', async (place) => {
    const log = await open(place, { maxTransactionBytes: 1000 })
    const tx = await log.beginTransaction()
    const writing = Promise.allSettled([tx.produce('a', { value: 'x'.repeat(2000) })])
    await log.close()
    await writing
    assert.equal(tx.state, 'aborted')
    assert.equal(place.clock.pendingTimers, 0)
  })
})
