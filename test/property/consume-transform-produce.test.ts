// Members of a group that consume, transform and produce in transactions, while they fail, are late, are taken for dead, and the disk is full
// now and then: each input has its result once.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Consumer, Log, Transaction } from '../../src/index.ts'
import { LogError } from '../../src/index.ts'
import { ManualClock, MemoryFileSystem } from '../../src/testing/index.ts'
import { nextTurn } from '../support/consuming.ts'
import { openAt } from '../support/log-places.ts'
import { randomInteger, seededRandom } from '../support/random.ts'
import { ScriptedFileSystem, systemError } from '../support/scripted-file-system.ts'

const RUNS = 6
const INPUTS = 45
const MEMBERS = 3
const TOPICS = {
  in: { partitions: 3, value: 'json' },
  out: { partitions: 2, value: 'json' },
} as const
/** What a transaction may come to here. */
const EXPECTED: ReadonlySet<string> = new Set(['FENCED', 'DISK_FULL'])

const refused = new Set<string>()

type Random = (below: number) => number

class OnPurpose extends Error {}

async function turns(count: number): Promise<void> {
  for (let n = 0; n < count; n += 1) await nextTurn()
}

class Scene {
  readonly fileSystem: ScriptedFileSystem
  readonly clock = new ManualClock()
  readonly random: Random
  readonly consumers = new Set<Consumer>()
  isOver = false

  constructor(seed: number) {
    const random = seededRandom(seed)
    this.random = (below) => randomInteger(random, below)
    this.fileSystem = new ScriptedFileSystem(new MemoryFileSystem({ clock: this.clock }))
  }

  async open(): Promise<Log> {
    const { fileSystem, clock } = this
    const options = {
      clock,
      topics: TOPICS,
      maxTransactionBytes: this.random(2) === 0 ? 100 : 10_000,
    }
    const place = { directory: '/data', fileSystem, killed: () => assert.fail('not here') }
    return (await openAt(place, options)) as unknown as Log
  }

  /** One member after another, until all is done. */
  async work(log: Log): Promise<void> {
    while (!this.isOver) {
      const consumer = log.consumer({
        group: 'g',
        topics: ['in'],
        autoCommit: false,
        maxBytes: 200,
        maxPollIntervalMs: 2000,
      }) as Consumer
      this.consumers.add(consumer)
      await this.#consume(log, consumer)
      await consumer.close({ drainMs: 0 })
      this.consumers.delete(consumer)
    }
  }

  async #consume(log: Log, consumer: Consumer): Promise<void> {
    for await (const page of consumer.batches()) {
      const { records, topic, partition, nextOffset: offset } = page
      try {
        await log.transaction(async (tx) => {
          await this.#transform(
            tx,
            records.map(({ value }) => value),
          )
          await tx.commitOffset(consumer, { topic, partition, offset })
          if (this.random(6) === 0) throw new OnPurpose()
          // Some are taken for dead meanwhile.
          await turns(this.random(5) === 0 ? 200 : this.random(4))
        })
      } catch (error) {
        if (error instanceof LogError && EXPECTED.has(error.code)) refused.add(error.code)
        else if (!(error instanceof OnPurpose)) throw error
        return
      }
    }
  }

  async #transform(tx: Transaction, values: readonly unknown[]): Promise<void> {
    for (const value of values) {
      void tx.produce('out', { value })
      await turns(this.random(3))
    }
  }

  /** Time goes on, and the disk is full now and then. */
  async live(): Promise<void> {
    while (!this.isOver) {
      await turns(this.random(50))
      const isFull = this.random(3) === 0
      this.fileSystem.rule = ({ name }) =>
        isFull && name === 'write' && this.random(3) === 0 ? systemError('ENOSPC') : undefined
      await turns(this.random(5))
      this.fileSystem.rule = undefined
      await this.clock.advance(this.random(4) === 0 ? 3000 : 300)
    }
  }

  /** Sees results come, until there is one for each input; then nobody goes on. */
  async watch(log: Log): Promise<void> {
    let count = 0
    for await (const _ of log.read('out', { from: 'earliest' })) {
      count += 1
      if (count === INPUTS) break
    }
    this.isOver = true
    await Promise.all([...this.consumers].map((each) => each.close({ drainMs: 0 })))
  }
}

for (let seed = 1; seed <= RUNS; seed += 1) {
  test(`each input has its result once (seed ${seed})`, async () => {
    const scene = new Scene(seed)
    const log = await scene.open()
    for (let n = 0; n < INPUTS; n += 1) await log.produce('in', { value: n, partition: n % 3 })
    const members = Array.from({ length: MEMBERS }, () => scene.work(log))
    await Promise.all([scene.live(), scene.watch(log), ...members])
    await log.close()
    const again = await scene.open()
    const results: unknown[] = []
    for await (const { value } of again.read('out', { until: 'end' })) results.push(value)
    assert.deepEqual(
      results.map(Number).sort((a, b) => a - b),
      Array.from({ length: INPUTS }, (_, n) => n),
    )
    const committed = await again.committedOffsets('g')
    assert.deepEqual(
      committed.map(({ offset }) => offset),
      [INPUTS / 3, INPUTS / 3, INPUTS / 3],
    )
    await again.close()
  })
}

test('some of them were taken for dead on the way, and their transactions refused', () => {
  assert.ok(refused.has('FENCED'))
})
