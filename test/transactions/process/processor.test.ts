// Handlers whose outputs go with the offsets behind their input: what one transaction is made of, and what becomes of it.
import assert from 'node:assert/strict'
import { afterEach, suite, test } from 'node:test'
import { HandlerFailedError, LogError } from '../../../src/errors.ts'
import { resolveProcessOptions } from '../../../src/transactions/process/process-options.ts'
import { Deferred } from '../../../src/util/deferred.ts'
import { FakePageSource } from '../../support/fake-page-source.ts'
import { ProcessScene as Scene } from '../../support/process-scene.ts'
import { HeldHandlers, settle } from '../../support/run-scene.ts'

const records = (count: number, first = 0): { readonly value: number }[] =>
  Array.from({ length: count }, (_, n) => ({ value: first + n }))
const echo = ({ value }: { readonly value: unknown }): { value: unknown } => ({ value })
const NO_WAIT = { initialMs: 0 }

const scenes: Scene[] = []

class ProcessScene extends Scene {
  constructor(...given: ConstructorParameters<typeof Scene>) {
    super(...given)
    scenes.push(this)
  }
}

afterEach(async () => {
  for (const scene of scenes.splice(0)) await scene.end()
})

function filled(count: number, pageRecords = 100): FakePageSource {
  const source = new FakePageSource(pageRecords)
  source.add(0, records(count))
  return source
}

suite('a transaction', () => {
  test('has the outputs of its input in their order, and the offset behind it', async () => {
    const scene = new ProcessScene(filled(3), { to: 'out' }, echo)
    await settle()
    assert.deepEqual(scene.writer.committed, [])
    await scene.clock.advance(100)
    await settle()
    assert.deepEqual(scene.writer.committed, [
      { outputs: ['out 0', 'out 1', 'out 2'], offsets: ['orders-0@3'] },
    ])
  })

  test('ends with maxRecords, and the next is filled while it is written', async () => {
    assert.equal(resolveProcessOptions({ from: 'orders', group: 'g' }, echo).maxRecords, 5000)
    const source = filled(5)
    const scene = new ProcessScene(source, { to: 'out', maxRecords: 2 }, echo)
    scene.writer.held = new Deferred()
    await settle()
    assert.equal(scene.writer.begun, 1)
    assert.equal(source.committed().offset, 0)
    scene.writer.held.resolve()
    await settle()
    assert.deepEqual(
      scene.writer.committed.map(({ offsets }) => offsets[0]),
      ['orders-0@2', 'orders-0@4'],
    )
    await scene.clock.advance(100)
    await settle()
    assert.deepEqual(scene.writer.outputs, ['out 0', 'out 1', 'out 2', 'out 3', 'out 4'])
    assert.equal(source.committed().offset, 5)
    assert.equal(source.pagesInHand().length, 0)
  })

  test('takes in small pages of one partition until its time is up', async () => {
    const source = filled(3, 1)
    const scene = new ProcessScene(source, { to: 'out' }, echo)
    await settle()
    source.add(0, records(1, 3))
    await settle()
    assert.equal(source.pagesInHand().length, 4)
    await scene.clock.advance(100)
    await settle()
    assert.deepEqual(scene.writer.committed, [
      { outputs: ['out 0', 'out 1', 'out 2', 'out 3'], offsets: ['orders-0@4'] },
    ])
  })

  test('is not held up by a handler that takes long', async () => {
    const handlers = new HeldHandlers()
    const scene = new ProcessScene(filled(3), { to: 'out' }, async (record, context) => {
      if (record.offset === 1) await handlers.eachRecord(record, context)
      return echo(record)
    })
    await settle()
    await scene.clock.advance(100)
    await settle()
    assert.deepEqual(scene.writer.committed, [{ outputs: ['out 0'], offsets: ['orders-0@1'] }])
    await handlers.end('0@1')
    await scene.clock.advance(100)
    await settle()
    assert.deepEqual(scene.writer.outputs, ['out 0', 'out 1', 'out 2'])
  })

  test('with commitIntervalMs 0 ends when there is nothing more to handle at once', async () => {
    const scene = new ProcessScene(filled(3), { to: 'out', commitIntervalMs: 0 }, echo)
    await settle()
    assert.deepEqual(scene.writer.outputs, ['out 0', 'out 1', 'out 2'])
  })

  test('has what was produced by tx before what was answered', async () => {
    const scene = new ProcessScene(
      filled(1),
      { to: 'out', commitIntervalMs: 0 },
      async (_, { tx }) => {
        await tx.produce('log', [{ value: 'a' }, { value: 'b' }])
        await tx.produce('log', { value: 'c' }, { partition: 2 })
        return [{ value: 1 }, { value: 2 }]
      },
    )
    await settle()
    assert.deepEqual(scene.writer.outputs, ['log a+b', 'log-2 c', 'out 1+2'])
  })

  test('of several partitions on one lane has the offsets of all', async () => {
    const source = filled(2)
    source.add(1, records(1, 10))
    const scene = new ProcessScene(source, { to: 'out' }, echo)
    await settle()
    await scene.clock.advance(100)
    await settle()
    assert.deepEqual(scene.writer.committed, [
      { outputs: ['out 0', 'out 1', 'out 10'], offsets: ['orders-0@2', 'orders-1@1'] },
    ])
  })

  test('is of one partition where there is a lane for each', async () => {
    const source = filled(2)
    source.add(1, records(1, 10))
    const handlers = new HeldHandlers()
    const scene = new ProcessScene(
      source,
      { to: 'out', concurrency: 2 },
      async (record, context) => {
        await handlers.eachRecord(record, context)
        return echo(record)
      },
    )
    await settle()
    assert.equal(handlers.names, '0@0 1@0')
    await handlers.end('0@0')
    await handlers.end('1@0')
    await handlers.end('0@1')
    await scene.clock.advance(100)
    await settle()
    assert.deepEqual(scene.writer.committed, [
      { outputs: ['out 0', 'out 1'], offsets: ['orders-0@2'] },
      { outputs: ['out 10'], offsets: ['orders-1@1'] },
    ])
  })

  test('of a batch is what eachBatch answers with, at most maxRecords of input', async () => {
    const sizes: number[] = []
    const scene = new ProcessScene(
      filled(5),
      { to: 'out', maxRecords: 2, commitIntervalMs: 0 },
      {
        eachBatch: ({ records: batch }) => {
          sizes.push(batch.length)
          return batch.map(echo)
        },
      },
    )
    await settle()
    assert.deepEqual(sizes, [2, 2, 1])
    assert.deepEqual(scene.writer.outputs, ['out 0+1', 'out 2+3', 'out 4'])
  })
})

suite('a handler that fails', () => {
  const failing =
    (times: number, at = 1) =>
    async (
      record: { readonly offset: number; readonly value: unknown; readonly deliveryCount: number },
      {
        tx,
      }: { readonly tx: { produce(topic: string, record: { value: unknown }): Promise<void> } },
    ): Promise<{ value: unknown }> => {
      await tx.produce('log', { value: `${record.offset}` })
      if (record.offset === at && record.deliveryCount <= times) throw new Error('boom')
      return echo(record)
    }

  test('is called again for its record alone, and what it had produced before does not go out', async () => {
    const scene = new ProcessScene(
      filled(3),
      { to: 'out', failurePolicy: { backoff: NO_WAIT } },
      failing(2),
    )
    await settle()
    await scene.clock.advance(0)
    await settle()
    await scene.clock.advance(0)
    await settle()
    await scene.clock.advance(100)
    await settle()
    assert.deepEqual(scene.told, ['retried 0@1 1', 'retried 0@1 2'])
    assert.deepEqual(scene.writer.outputs, ['log 0', 'out 0', 'log 1', 'out 1', 'log 2', 'out 2'])
  })

  test('given up, stops the call: what came before it is committed, and nothing else', async () => {
    const source = filled(3)
    const scene = new ProcessScene(source, { to: 'out', failurePolicy: { retries: 0 } }, failing(9))
    await assert.rejects(scene.ended, (error: unknown) => {
      assert.ok(error instanceof HandlerFailedError)
      assert.deepEqual([error.offset, error.deliveryCount], [1, 1])
      return true
    })
    assert.deepEqual(scene.writer.committed, [
      { outputs: ['log 0', 'out 0'], offsets: ['orders-0@1'] },
    ])
    assert.equal(source.pagesInHand().length, 0)
  })

  test('given up, is skipped, which is told when it is committed', async () => {
    const failurePolicy = { retries: 0, giveUp: 'skip' } as const
    const scene = new ProcessScene(filled(3), { to: 'out', failurePolicy }, failing(9))
    await settle()
    assert.deepEqual(scene.told, [])
    await scene.clock.advance(100)
    await settle()
    assert.deepEqual(scene.told, ['skipped 0@1'])
    assert.deepEqual(scene.writer.committed, [
      { outputs: ['log 0', 'out 0', 'log 2', 'out 2'], offsets: ['orders-0@3'] },
    ])
  })

  test('given up, is a dead letter in the same transaction', async () => {
    const failurePolicy = { retries: 0, giveUp: { deadLetterTopic: 'graves' } }
    const scene = new ProcessScene(filled(2), { to: 'out', failurePolicy }, failing(9))
    await settle()
    await scene.clock.advance(100)
    await settle()
    assert.deepEqual(scene.writer.committed, [
      { outputs: ['log 0', 'out 0', 'graves 1 boom'], offsets: ['orders-0@2'] },
    ])
    assert.deepEqual(scene.told, ['dead 0@1 graves'])
  })

  test('also where what it answers with is refused, or is for no topic', async () => {
    for (const [options, answer, message] of [
      [{ to: 'out' }, { value: 'bad' }, /bad value/],
      [{}, { value: 1 }, /no topic to/],
    ] as const) {
      const failurePolicy = { retries: 0 }
      const scene = new ProcessScene(filled(1), { ...options, failurePolicy }, () => answer)
      await assert.rejects(scene.ended, message)
      assert.deepEqual(scene.writer.committed, [])
    }
  })

  test('of a batch is called again with all of it, then record by record', async () => {
    const calls: string[] = []
    const failurePolicy = { retries: 1, giveUp: 'skip', backoff: NO_WAIT } as const
    const scene = new ProcessScene(
      filled(3),
      { to: 'out', failurePolicy },
      {
        eachBatch: ({ records: batch }) => {
          calls.push(
            batch.map(({ offset, deliveryCount }) => `${offset}/${deliveryCount}`).join(' '),
          )
          if (batch.some(({ offset }) => offset === 1)) throw new Error('boom')
          return batch.map(echo)
        },
      },
    )
    await settle()
    await scene.clock.advance(0)
    await settle()
    await scene.clock.advance(100)
    await settle()
    assert.deepEqual(calls, ['0/1 1/1 2/1', '0/2 1/2 2/2', '0/3', '1/3', '2/3'])
    assert.deepEqual(scene.writer.outputs, ['out 0', 'out 2'])
  })

  test('may not produce any more when it has ended', async () => {
    let late: (() => Promise<void>) | undefined
    const scene = new ProcessScene(filled(1), { commitIntervalMs: 0 }, (_, { tx }) => {
      late = () => tx.produce('log', { value: 1 })
    })
    await settle()
    await assert.rejects(async () => await late?.(), TypeError)
    assert.deepEqual(scene.writer.outputs, [])
  })
})

suite('a transaction that fails', () => {
  test('is tried again as it is, where it may succeed', async () => {
    let calls = 0
    const scene = new ProcessScene(
      filled(2),
      { to: 'out', commitIntervalMs: 0, failurePolicy: { backoff: NO_WAIT } },
      (record) => {
        calls += 1
        return echo(record)
      },
    )
    scene.writer.errors.push(
      new LogError('DISK_FULL', 'full', { retryable: true }),
      new LogError('CLOSED', 'for the test', { retryable: true }),
    )
    for (let turn = 0; turn < 3; turn += 1) {
      await settle()
      await scene.clock.advance(0)
    }
    await settle()
    assert.equal(calls, 2)
    assert.equal(scene.writer.begun, 3)
    assert.deepEqual(scene.writer.committed, [
      { outputs: ['out 0', 'out 1'], offsets: ['orders-0@2'] },
    ])
  })

  test('and never will succeed ends the call, and what came after it is not committed', async () => {
    const source = filled(3)
    const scene = new ProcessScene(source, { to: 'out', maxRecords: 2 }, echo)
    scene.writer.errors.push(new LogError('STORAGE_FAILED', 'gone'))
    await assert.rejects(scene.ended, { code: 'STORAGE_FAILED' })
    assert.deepEqual(scene.writer.committed, [])
    assert.equal(source.committed().offset, 0)
    assert.equal(source.pagesInHand().length, 0)
  })
})

suite('a partition that goes', () => {
  test('asked back, is committed as far as it was handled before it is put down', async () => {
    const source = filled(3)
    const handlers = new HeldHandlers()
    const scene = new ProcessScene(source, { to: 'out' }, async (record, context) => {
      if (record.offset === 1) await handlers.eachRecord(record, context)
      return echo(record)
    })
    await settle()
    source.withdraw()
    await settle()
    assert.equal(source.pagesInHand().length, 1)
    assert.deepEqual(scene.writer.outputs, ['out 0'])
    await handlers.end('0@1')
    await settle()
    assert.deepEqual(scene.writer.committed[1], { outputs: ['out 1'], offsets: ['orders-0@2'] })
  })

  test('lost, takes with it what is not committed, and its handler is told', async () => {
    const source = filled(3)
    const handlers = new HeldHandlers()
    const scene = new ProcessScene(source, { to: 'out' }, async (record, context) => {
      if (record.offset === 1 && record.deliveryCount === 1) {
        await handlers.eachRecord(record, context)
      }
      return echo(record)
    })
    await settle()
    source.lose()
    assert.equal(handlers.signals.get('0@1')?.aborted, true)
    assert.equal(source.pagesInHand().length, 0)
    await handlers.end('0@1')
    await scene.clock.advance(1000)
    await settle()
    assert.deepEqual(scene.writer.committed, [])
    source.assign()
    await settle()
    await scene.clock.advance(100)
    await settle()
    assert.deepEqual(scene.writer.committed, [
      { outputs: ['out 0', 'out 1', 'out 2'], offsets: ['orders-0@3'] },
    ])
  })

  test('lost while its transaction is written, is judged as that commits', async () => {
    const source = filled(3)
    const scene = new ProcessScene(source, { to: 'out', commitIntervalMs: 0 }, echo)
    scene.writer.held = new Deferred()
    await settle()
    assert.equal(scene.writer.begun, 1)
    source.lose()
    scene.writer.held.resolve()
    await settle()
    assert.deepEqual(scene.writer.committed, [])
    source.assign()
    await settle()
    assert.deepEqual(scene.writer.outputs, ['out 0', 'out 1', 'out 2'])
    assert.equal(source.committed().offset, 3)
  })

  test('does not wait for a retry', async () => {
    const source = filled(3)
    const scene = new ProcessScene(source, { to: 'out' }, (record) => {
      if (record.offset === 1) throw new Error('boom')
      return echo(record)
    })
    await settle()
    assert.equal(scene.writer.begun, 0)
    source.withdraw()
    await settle()
    assert.deepEqual(scene.writer.committed[0], { outputs: ['out 0'], offsets: ['orders-0@1'] })
  })
})

suite('a close', () => {
  test('waits for what is in hand, and commits it', async () => {
    const source = filled(3)
    const handlers = new HeldHandlers()
    const scene = new ProcessScene(source, { to: 'out' }, async (record, context) => {
      if (record.offset === 1) await handlers.eachRecord(record, context)
      return echo(record)
    })
    await settle()
    source.close()
    let isDrained = false
    void scene.processor.drained().then(() => {
      isDrained = true
    })
    await settle()
    assert.equal(isDrained, false)
    await handlers.end('0@1')
    await scene.ended
    assert.equal(isDrained, true)
    assert.deepEqual(scene.writer.outputs, ['out 0', 'out 1'])
    assert.equal(source.committed().offset, 2)
  })

  test('does not wait for the handler that has called it, whose output is committed all the same', async () => {
    const source = filled(3)
    const scene: ProcessScene = new ProcessScene(source, { to: 'out' }, async (record) => {
      if (record.offset === 1) {
        source.close()
        await scene.processor.drained()
      }
      return echo(record)
    })
    await scene.ended
    assert.deepEqual(scene.writer.outputs, ['out 0', 'out 1'])
  })

  test('of a source that fails ends the call with that, behind what was handled', async () => {
    const source = filled(2, 1)
    const scene = new ProcessScene(source, { to: 'out' }, echo)
    await settle()
    source.failure = new Error('gone')
    source.add(0, records(1))
    await assert.rejects(scene.ended, /gone/)
    assert.deepEqual(scene.writer.outputs, ['out 0', 'out 1'])
  })
})
