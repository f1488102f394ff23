// Consume, transform, produce: what each record of input comes to is seen exactly once, with the offset behind it.
import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { suite } from 'node:test'
import type { Log, LogRecord, ProcessOptions } from '../../src/index.ts'
import { DEAD_LETTER_HEADERS, HandlerFailedError } from '../../src/index.ts'
import { Deferred } from '../../src/util/deferred.ts'
import { committedBy, fill, nextTurn } from '../support/consuming.ts'
import { eventually } from '../support/log-places.ts'
import type { Place } from '../support/on-disk-and-in-memory.ts'
import { onDiskAndInMemory } from '../support/on-disk-and-in-memory.ts'
import { systemError } from '../support/scripted-file-system.ts'

const OPTIONS = { from: 't', group: 'g', to: 'out', commitIntervalMs: 0 } as const
const boom = new Error('boom')

/** A log with input t, as `filled` has it, and topics for output. */
async function opened(place: Place, partitions: number, count: number): Promise<Log> {
  const topics = { t: { partitions }, out: { partitions: 2 }, side: {}, graves: {} }
  const log = (await place.open({ topics })) as unknown as Log
  await fill(log, 't', partitions, count)
  return log
}

/** What readers of what is committed see of a topic, partition by partition. */
async function seen(log: Log, topic: string): Promise<LogRecord[]> {
  const records: LogRecord[] = []
  for await (const record of log.read(topic, { until: 'end' })) records.push(record)
  return records
}

async function valuesOf(log: Log, topic: string): Promise<unknown[]> {
  return (await seen(log, topic)).map(({ value }) => value)
}

const numbers = (values: readonly unknown[]): number[] => values.map(Number).sort((a, b) => a - b)

const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n)

suite('process', () => {
  onDiskAndInMemory(
    'writes what its handler answers with, and the offsets with it',
    async (place) => {
      const log = await opened(place, 1, 5)
      const run = log.process(OPTIONS, async ({ value, offset }) => {
        await nextTurn()
        return { key: `k${offset}`, value: Number(value) * 10 }
      })
      await eventually(async () => (await committedBy(log, 'g'))['t-0'] === 5)
      assert.deepEqual(numbers(await valuesOf(log, 'out')), [0, 10, 20, 30, 40])
      await run.close()
      await run
      assert.equal((await log.describeGroup('g')).members.length, 0)
    },
  )

  onDiskAndInMemory('shows outputs and offsets together, and neither before', async (place) => {
    const log = await opened(place, 1, 3)
    const held = new Deferred<void>()
    let begun = 0
    const run = log.process({ ...OPTIONS, commitIntervalMs: 100 }, async ({ value, offset }) => {
      begun += 1
      if (offset === 2) await held.promise
      return [
        { value, partition: 0 },
        { value, partition: 1 },
      ]
    })
    await eventually(() => begun === 3)
    assert.deepEqual(await valuesOf(log, 'out'), [])
    assert.deepEqual(await committedBy(log, 'g'), {})
    await place.clock.advance(100)
    await eventually(async () => (await committedBy(log, 'g'))['t-0'] === 2)
    assert.deepEqual(numbers(await valuesOf(log, 'out')), [0, 0, 1, 1])
    held.resolve()
    await run.close()
    assert.deepEqual(numbers(await valuesOf(log, 'out')), [0, 0, 1, 1, 2, 2])
  })

  onDiskAndInMemory('keeps the outputs of a partition in the order of its input', async (place) => {
    const log = await opened(place, 3, 40)
    const run = log.process(
      { ...OPTIONS, concurrency: 3, maxRecords: 7 },
      async ({ partition, value }) => {
        if (Number(value) % 5 === partition) await nextTurn()
        return { key: 'one', value: [partition, value], partition: 1 }
      },
    )
    await eventually(async () => (await valuesOf(log, 'out')).length === 120)
    await run.close()
    const values = (await valuesOf(log, 'out')) as [number, number][]
    for (const partition of [0, 1, 2]) {
      const own = values.filter(([from]) => from === partition).map(([, value]) => value)
      assert.deepEqual(own, upTo(40))
    }
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 40, 't-1': 40, 't-2': 40 })
  })

  onDiskAndInMemory('handles partitions side by side', async (place) => {
    const log = await opened(place, 3, 1)
    const all = new Deferred<void>()
    let atWork = 0
    const run = log.process({ ...OPTIONS, concurrency: 3 }, async ({ partition }) => {
      atWork += 1
      if (atWork === 3) all.resolve()
      await all.promise
      return { value: partition }
    })
    await eventually(async () => (await valuesOf(log, 'out')).length === 3)
    await run.close()
  })

  onDiskAndInMemory('takes what its handler writes to other topics', async (place) => {
    const log = await opened(place, 1, 2)
    const run = log.process(
      { from: ['t'], group: 'g', commitIntervalMs: 0 },
      async (record, { tx }) => {
        await tx.produce('side', { value: record.value })
        await tx.produce('out', [{ value: 'a' }, { value: 'b' }], { partition: 1 })
      },
    )
    await eventually(async () => (await committedBy(log, 'g'))['t-0'] === 2)
    await run.close()
    assert.deepEqual(await valuesOf(log, 'side'), [0, 1])
    assert.deepEqual(await valuesOf(log, 'out'), ['a', 'b', 'a', 'b'])
  })

  onDiskAndInMemory(
    'commits its position past what was aborted, when it has nothing to do',
    async (place) => {
      const topics = { t: { partitions: 2 }, out: { partitions: 2 } }
      const log = (await place.open({ topics, maxTransactionBytes: 50 })) as unknown as Log
      await fill(log, 't', 2, 3)
      const handled: unknown[] = []
      const run = log.process({ from: 't', group: 'g', commitIntervalMs: 0 }, ({ value }) => {
        handled.push(value)
      })
      await eventually(async () => (await committedBy(log, 'g'))['t-1'] === 3)
      const abort = async (partition: number): Promise<number> => {
        const tx = await log.beginTransaction()
        await tx.produce('t', { value: 'x'.repeat(100) }, { partition })
        await tx.abort()
        await log.flush()
        return (await log.offsets('t', partition)).latest
      }
      const end = await abort(0)
      assert.equal(end, 5)
      await eventually(async () => {
        await place.clock.advance(1000)
        return (await committedBy(log, 'g'))['t-0'] === end
      })
      // At the close as well, where its time has not come yet.
      await abort(1)
      for (let turn = 0; turn < 20; turn += 1) await nextTurn()
      await run.close()
      assert.deepEqual(await committedBy(log, 'g'), { 't-0': 5, 't-1': 5 })
      assert.equal(handled.length, 6)
    },
  )

  onDiskAndInMemory('goes on where it was when the log is opened again', async (place) => {
    const log = await opened(place, 2, 5)
    const first = log.process(OPTIONS, ({ value }) => ({ value }))
    await eventually(async () => (await valuesOf(log, 'out')).length === 10)
    await first.close()
    const again = (await place.reopen(log)) as unknown as Log
    await fill(again, 't', 2, 1, 5)
    const second = again.process(OPTIONS, ({ value }) => ({ value }))
    await eventually(async () => (await valuesOf(again, 'out')).length === 12)
    await second.close()
    const twice = upTo(6).flatMap((n) => [n, n])
    assert.deepEqual(numbers(await valuesOf(again, 'out')), twice)
  })

  onDiskAndInMemory('processes what comes while it waits', async (place) => {
    const log = await opened(place, 1, 0)
    const run = log.process(OPTIONS, ({ value }) => ({ value }))
    for (let n = 0; n < 3; n += 1) {
      await fill(log, 't', 1, 1, n)
      await eventually(async () => (await valuesOf(log, 'out')).length === n + 1)
    }
    await run.close()
  })
})

suite('a handler of process that fails', () => {
  const failingAt =
    (offset: number, times: number) =>
    async (
      record: { readonly offset: number; readonly deliveryCount: number; readonly value: unknown },
      {
        tx,
      }: { readonly tx: { produce(topic: string, record: { value: unknown }): Promise<void> } },
    ): Promise<{ value: unknown }> => {
      await tx.produce('side', { value: `tried ${record.offset}` })
      if (record.offset === offset && record.deliveryCount <= times) throw boom
      return { value: record.value }
    }
  const policy = (giveUp: unknown, retries = 0): Partial<ProcessOptions> =>
    ({ failurePolicy: { retries, giveUp, backoff: { initialMs: 0 } } }) as never

  onDiskAndInMemory('leaves nothing behind of the tries that failed', async (place) => {
    const log = await opened(place, 1, 3)
    const run = log.process({ ...OPTIONS, ...policy('stop', 2) } as typeof OPTIONS, failingAt(1, 2))
    await eventually(async () => {
      await place.clock.advance(0)
      return (await committedBy(log, 'g'))['t-0'] === 3
    })
    await run.close()
    assert.deepEqual(await valuesOf(log, 'side'), ['tried 0', 'tried 1', 'tried 2'])
    assert.deepEqual(numbers(await valuesOf(log, 'out')), [0, 1, 2])
    assert.equal(log.metrics().groups['g']?.retries, 2)
  })

  onDiskAndInMemory('stops the call, behind what was done before it', async (place) => {
    const log = await opened(place, 1, 3)
    const run = log.process({ ...OPTIONS, ...policy('stop') } as typeof OPTIONS, failingAt(1, 9))
    await assert.rejects(run, (error: unknown) => {
      assert.ok(error instanceof HandlerFailedError)
      assert.equal(error.cause, boom)
      return true
    })
    assert.deepEqual(await valuesOf(log, 'side'), ['tried 0'])
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 1 })
    // It begins with the record that failed, which counts on.
    const counts: number[] = []
    const again = log.process(OPTIONS, ({ value, deliveryCount }) => {
      counts.push(deliveryCount)
      return { value }
    })
    await eventually(async () => (await committedBy(log, 'g'))['t-0'] === 3)
    await again.close()
    assert.deepEqual(counts, [2, 1])
    assert.deepEqual(numbers(await valuesOf(log, 'out')), [0, 1, 2])
  })

  onDiskAndInMemory('is skipped: its offset goes on without outputs', async (place) => {
    const log = await opened(place, 1, 3)
    const run = log.process({ ...OPTIONS, ...policy('skip') } as typeof OPTIONS, failingAt(1, 9))
    await eventually(async () => (await committedBy(log, 'g'))['t-0'] === 3)
    await run.close()
    assert.deepEqual(await valuesOf(log, 'side'), ['tried 0', 'tried 2'])
    assert.deepEqual(numbers(await valuesOf(log, 'out')), [0, 2])
    assert.equal(log.metrics().groups['g']?.skipped, 1)
  })

  onDiskAndInMemory('comes as a dead letter in the transaction of its offset', async (place) => {
    const log = await opened(place, 1, 3)
    const held = new Deferred<void>()
    const run = log.process(
      { ...OPTIONS, ...policy({ deadLetterTopic: 'graves' }) } as typeof OPTIONS,
      async (record, context) => {
        if (record.offset === 2) await held.promise
        return await failingAt(1, 9)(record, context)
      },
    )
    await eventually(async () => (await log.describeGroup('g')).members.length === 1)
    assert.deepEqual(await valuesOf(log, 'graves'), [])
    assert.deepEqual(await committedBy(log, 'g'), {})
    held.resolve()
    await eventually(async () => (await committedBy(log, 'g'))['t-0'] === 3)
    await run.close()
    const [letter, ...others] = await seen(log, 'graves')
    assert.equal(others.length, 0)
    assert.equal(letter?.value, 1)
    assert.equal(String(letter?.headers[DEAD_LETTER_HEADERS.offset]), '1')
    assert.equal(String(letter?.headers[DEAD_LETTER_HEADERS.errorMessage]), 'boom')
    assert.deepEqual(await valuesOf(log, 'side'), ['tried 0', 'tried 2'])
  })

  onDiskAndInMemory('is also one whose answer the topic does not take', async (place) => {
    const topics = { t: {}, out: { value: 'bytes', maxMessageBytes: 200 } } as const
    const log = await place.open({ topics })
    await log.produce('t', [{ value: 1 }, { value: 2 }, { value: 3 }])
    const failurePolicy = { retries: 0, giveUp: 'skip' } as const
    const run = log.process({ ...OPTIONS, failurePolicy }, ({ offset }) => {
      if (offset === 0) return { value: 'no bytes' as never }
      return { value: Buffer.alloc(offset === 1 ? 500 : 5) }
    })
    await eventually(async () => (await committedBy(log as unknown as Log, 'g'))['t-0'] === 3)
    await run.close()
    assert.equal((await valuesOf(log as unknown as Log, 'out')).length, 1)
  })
})

suite('a transaction of process that fails', () => {
  onDiskAndInMemory('is written once there is room, as it was', async (place) => {
    const log = await opened(place, 1, 3)
    let isFull = true
    let refused = 0
    place.fileSystem.rule = ({ name, path }) => {
      if (!isFull || name !== 'write' || !path.includes('out-0')) return undefined
      refused += 1
      return systemError('ENOSPC')
    }
    const calls: number[] = []
    const run = log.process({ ...OPTIONS, maxRecords: 2 }, ({ value, offset }, { tx }) => {
      calls.push(offset)
      void tx.produce('side', { value })
      return { value, partition: 0 }
    })
    await eventually(() => refused > 0)
    assert.deepEqual(await valuesOf(log, 'side'), [])
    assert.deepEqual(await committedBy(log, 'g'), {})
    isFull = false
    await eventually(async () => {
      await place.clock.advance(1000)
      return (await committedBy(log, 'g'))['t-0'] === 3
    })
    await run.close()
    assert.deepEqual(calls, [0, 1, 2])
    assert.deepEqual(await valuesOf(log, 'out'), [0, 1, 2])
    assert.deepEqual(await valuesOf(log, 'side'), [0, 1, 2])
  })

  onDiskAndInMemory('and never will succeed ends the call, and leaves nothing', async (place) => {
    const log = await opened(place, 1, 3)
    place.fileSystem.rule = ({ name, path }) =>
      name === 'write' && path.includes('out-0') ? systemError('EIO') : undefined
    const run = log.process(OPTIONS, ({ value }, { tx }) => {
      void tx.produce('side', { value })
      return { value, partition: 0 }
    })
    await assert.rejects(run, { code: 'STORAGE_FAILED' })
    assert.deepEqual(await valuesOf(log, 'side'), [])
    assert.deepEqual(await committedBy(log, 'g'), {})
    place.fileSystem.rule = undefined
    const again = (await (await place.killed()).open()) as unknown as Log
    const second = again.process(OPTIONS, ({ value }) => ({ value, partition: 0 }))
    await eventually(async () => (await committedBy(again, 'g'))['t-0'] === 3)
    await second.close()
    assert.deepEqual(await valuesOf(again, 'out'), [0, 1, 2])
  })

  onDiskAndInMemory('for want of time is aborted, and tried again', async (place) => {
    const topics = { t: {}, out: { maxMessageBytes: 500 } }
    const log = (await place.open({ topics })) as unknown as Log
    await fill(log, 't', 1, 3)
    let heldAt = -1
    const options = { ...OPTIONS, transactionTimeoutMs: 1000 }
    const run = log.process(options, async ({ value, offset }, { tx }) => {
      if (offset === 1 && heldAt < 0) {
        heldAt = place.fileSystem.syncs
        place.fileSystem.holdSyncs()
      }
      // More than one batch, of which all but the last are written early.
      for (let n = 0; n < 10; n += 1) {
        await tx.produce('out', { value: `${value} ${'x'.repeat(200)}` })
      }
    })
    await eventually(() => heldAt >= 0 && place.fileSystem.syncs > heldAt)
    // Its time is up; the abort waits for the disk as well.
    const late = place.clock.advance(1000)
    place.fileSystem.releaseSyncs()
    await late
    // By steps: a slow disk has several of them for a try before its time is up again.
    await eventually(async () => {
      await place.clock.advance(50)
      return (await committedBy(log, 'g'))['t-0'] === 3
    })
    await run.close()
    const values = (await valuesOf(log, 'out')).map((value) => String(value)[0])
    assert.deepEqual(
      values,
      ['0', '1', '2'].flatMap((each) => Array.from({ length: 10 }, () => each)),
    )
  })
})

suite('process and its group', () => {
  onDiskAndInMemory(
    'gives a partition to who joins behind what was committed: nothing twice, nothing left out',
    async (place) => {
      const log = await opened(place, 4, 60)
      const handler = async ({ partition, value }: { partition: number; value: unknown }) => {
        await nextTurn()
        return { value: `${partition}/${value}` }
      }
      const options = { ...OPTIONS, concurrency: 2, maxRecords: 5 }
      const first = log.process(options, handler)
      await eventually(async () => (await valuesOf(log, 'out')).length > 20)
      const second = log.process(options, handler)
      await eventually(async () => (await log.describeGroup('g')).members.length === 2)
      await eventually(async () => {
        const { members, state } = await log.describeGroup('g')
        return state === 'Stable' && members.length === 2
      })
      await fill(log, 't', 4, 20, 60)
      await eventually(async () => (await valuesOf(log, 'out')).length >= 320)
      await first.close()
      await second.close()
      const values = await valuesOf(log, 'out')
      assert.equal(values.length, 320)
      assert.equal(new Set(values).size, 320)
    },
  )

  onDiskAndInMemory(
    'commits nothing of what was lost: the next owner processes it anew',
    async (place) => {
      const log = await opened(place, 1, 3)
      const held = new Deferred<void>()
      let signal: AbortSignal | undefined
      let calls = 0
      const options = { ...OPTIONS, maxPollIntervalMs: 1000, commitIntervalMs: 10_000 }
      const late = log.process(options, async (record, context) => {
        calls += 1
        if (record.offset === 1 && record.deliveryCount === 1) {
          signal = context.signal
          await held.promise
        }
        return { value: `late ${record.value}` }
      })
      await eventually(() => signal !== undefined)
      const other = log.process(OPTIONS, ({ value }) => ({ value }))
      await eventually(async () => {
        await place.clock.advance(500)
        return (await valuesOf(log, 'out')).length === 3
      })
      assert.equal(signal?.aborted, true)
      held.resolve()
      await other.close()
      await late.close()
      assert.equal(calls, 2)
      assert.deepEqual(await valuesOf(log, 'out'), [0, 1, 2])
      assert.deepEqual(await committedBy(log, 'g'), { 't-0': 3 })
    },
  )

  onDiskAndInMemory(
    'is a member like any other: it is described, counted and fenced',
    async (place) => {
      const log = await opened(place, 2, 2)
      const run = log.process({ ...OPTIONS, clientId: 'me' }, ({ value }) => ({ value }))
      await eventually(async () => (await valuesOf(log, 'out')).length === 4)
      const { members, lagRecords } = await log.describeGroup('g')
      assert.equal(members[0]?.clientId, 'me')
      assert.equal(lagRecords, 0)
      const { records, commits } = log.metrics().groups['g'] ?? {}
      assert.equal(records, 4)
      assert.ok(Number(commits) >= 2)
      const commit = { topic: 't', partition: 0, offset: 0 }
      await assert.rejects(log.commitOffset('g', commit), { code: 'FENCED' })
      await run.close()
    },
  )
})

suite('the end of process', () => {
  onDiskAndInMemory('waits for what is in hand, and commits it', async (place) => {
    const log = await opened(place, 1, 3)
    const held = new Deferred<void>()
    const begun = new Deferred<void>()
    const run = log.process({ ...OPTIONS, commitIntervalMs: 100 }, async ({ value, offset }) => {
      if (offset === 1) {
        begun.resolve()
        await held.promise
      }
      return { value }
    })
    await begun.promise
    const closing = run.close()
    held.resolve()
    await closing
    await run
    assert.deepEqual(numbers(await valuesOf(log, 'out')), [0, 1])
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 2 })
  })

  onDiskAndInMemory('does not wait for longer than drainMs', async (place) => {
    const log = await opened(place, 1, 3)
    const begun = new Deferred<AbortSignal>()
    const run = log.process(OPTIONS, async ({ value, offset }, { signal }) => {
      if (offset === 1) {
        begun.resolve(signal)
        await new Promise(() => {})
      }
      return { value }
    })
    const signal = await begun.promise
    await eventually(async () => (await committedBy(log, 'g'))['t-0'] === 1)
    let isClosed = false
    void run.close({ drainMs: 1000 }).then(() => {
      isClosed = true
    })
    await eventually(async () => {
      await place.clock.advance(1000)
      return isClosed
    })
    await run
    assert.equal(signal.aborted, true)
    assert.deepEqual(await valuesOf(log, 'out'), [0])
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 1 })
  })

  onDiskAndInMemory('may be called by a handler, whose answer counts', async (place) => {
    const log = await opened(place, 1, 3)
    const run = log.process(OPTIONS, async ({ value, offset }) => {
      if (offset === 1) await run.close()
      return { value }
    })
    await run
    assert.deepEqual(numbers(await valuesOf(log, 'out')), [0, 1])
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 2 })
  })

  onDiskAndInMemory('comes with the close of the log', async (place) => {
    const log = await opened(place, 1, 3)
    const [begun, held] = [new Deferred<void>(), new Deferred<void>()]
    const run = log.process(OPTIONS, async ({ value }, { tx }) => {
      begun.resolve()
      await held.promise
      await tx.produce('side', { value })
      return { value }
    })
    await begun.promise
    const closing = log.close()
    held.resolve()
    await Promise.all([closing, run])
    const again = (await place.open()) as unknown as Log
    assert.deepEqual(await valuesOf(again, 'out'), [0])
    assert.deepEqual(await valuesOf(again, 'side'), [0])
    assert.deepEqual(await committedBy(again, 'g'), { 't-0': 1 })
  })

  onDiskAndInMemory('comes with its signal, and rejects with the reason', async (place) => {
    const log = await opened(place, 1, 3)
    const controller = new AbortController()
    const { signal } = controller
    const run = log.process({ ...OPTIONS, signal, commitIntervalMs: 100 }, ({ value, offset }) => {
      if (offset === 1) controller.abort(boom)
      return { value }
    })
    await assert.rejects(run, boom)
    assert.deepEqual(numbers(await valuesOf(log, 'out')), [0, 1])
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 2 })
  })
})

suite('misuse of process', () => {
  onDiskAndInMemory('rejects before anything happens', async (place) => {
    const log = await opened(place, 1, 1)
    const echo = (): undefined => undefined
    const wrong: readonly [object | undefined, unknown, RegExp][] = [
      [undefined, echo, /from and group/],
      [{ ...OPTIONS, form: 't' }, echo, /did you mean from/],
      [{ ...OPTIONS, from: 5 }, echo, /from is 5/],
      [{ ...OPTIONS, from: [] }, echo, /from is empty/],
      [{ ...OPTIONS, to: 5 }, echo, /to is 5/],
      [{ ...OPTIONS, to: 't' }, echo, /one of from/],
      [{ ...OPTIONS, from: [/./] }, echo, /one of from/],
      [{ ...OPTIONS, to: 'nowhere' }, echo, /nowhere/],
      [{ ...OPTIONS, from: 'nowhere' }, echo, /nowhere/],
      [{ ...OPTIONS, maxRecords: 0 }, echo, /maxRecords is 0/],
      [{ ...OPTIONS, commitIntervalMs: -1 }, echo, /commitIntervalMs is -1/],
      [{ ...OPTIONS, concurrency: 0 }, echo, /concurrency is 0/],
      [{ ...OPTIONS, startFrom: 'here' }, echo, /startFrom is 'here'/],
      [{ ...OPTIONS, durability: 'ram' }, echo, /durability is 'ram'/],
      [{ ...OPTIONS, transactionTimeoutMs: 0 }, echo, /transactionTimeoutMs is 0/],
      [{ ...OPTIONS, failurePolicy: { retry: 1 } }, echo, /unknown option retry/],
      [{ ...OPTIONS, failurePolicy: { giveUp: { deadLetterTopic: 't' } } }, echo, /itself reads/],
      [OPTIONS, undefined, /the handler is undefined/],
      [OPTIONS, { eachBatsh: echo }, /did you mean eachBatch/],
    ]
    const { signal } = new AbortController()
    for (const [options, handler, message] of wrong) {
      const run = log.process((options && { ...options, signal }) as never, handler as never)
      await assert.rejects(run, message)
      assert.equal(getEventListeners(signal, 'abort').length, 0)
      await run.close()
    }
    assert.deepEqual(await log.groups(), [])
  })
})
