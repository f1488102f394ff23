// A script of transactions, ended by a kill or a power cut at each of its file-system operations, and what the next open makes of it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import type { TransactionalProducer } from '../../src/transactions/types.ts'
import { at } from '../support/failure-place.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import { removeLock } from '../support/log-places.ts'
import { seededRandom } from '../support/random.ts'
import type { Scene } from '../support/transaction-scene.ts'
import { BEGIN, committedValues, openScene, writeTo } from '../support/transaction-scene.ts'

const SEED = Number(process.env['BROKERLESS_SEED'] ?? Date.now() % 2 ** 31)
/** Outcomes of each crash; without a number every ninth crash has one, by the seed. */
const ROUNDS = Number(process.env['BROKERLESS_ROUNDS'] ?? 0)

type Place = readonly [partition: number, topic: string]

const PLACES: readonly Place[] = [
  [0, 'a'],
  [1, 'a'],
  [2, 'a'],
  [0, 'b'],
]

/** Of each transaction, by the value of its records: where it writes, and what its caller was told. */
interface Told {
  readonly places: readonly Place[]
  outcome: 'unknown' | 'committed' | 'aborted'
}

class Script {
  readonly told = new Map<string, Told>()
  readonly #scene: Scene

  constructor(scene: Scene) {
    this.#scene = scene
  }

  async run(): Promise<void> {
    const { transactions } = this.#scene.core
    const named = await transactions.init('payments', 60_000)
    await this.#one(named, '1', PLACES.slice(0, 3))
    await this.#one(named, '2', [PLACES[0] as Place, PLACES[3] as Place])
    await this.#one(named, '3', PLACES.slice(1), { early: 3, abort: true })
    await this.#one(named, '4', PLACES.slice(1, 2))
    await this.#one(named, '5', PLACES, { early: 2 })
    await this.#one(named, '6', PLACES.slice(0, 1), { early: 1, isTwice: true })
    const others = await Promise.all([1, 2, 3].map(() => transactions.take()))
    await Promise.all(
      others.map((producer, index) =>
        this.#one(producer, `7${index}`, PLACES.slice(index), { abort: index === 1, early: index }),
      ),
    )
    const next = await transactions.init('payments', 60_000)
    await this.#one(next, '8', PLACES.slice(0, 2))
    await this.#one(next, '9', PLACES.slice(2), { early: 1, abort: true })
    await this.#scene.core.close()
  }

  async #one(
    producer: TransactionalProducer,
    value: string,
    places: readonly Place[],
    how: { readonly early?: number; readonly abort?: boolean; readonly isTwice?: boolean } = {},
  ): Promise<void> {
    const { early = 0, abort = false, isTwice = false } = how
    const told: Told = { places, outcome: 'unknown' }
    this.told.set(value, told)
    const writes = places.map(([partition, topic]) =>
      writeTo(this.#scene.log(partition, topic), value),
    )
    const run = producer.begin(BEGIN)
    if (early > 0) await run.write(writes.slice(0, early))
    if (abort) await run.abort()
    else await run.commit(isTwice ? writes : writes.slice(early))
    told.outcome = abort ? 'aborted' : 'committed'
  }
}

interface Ended {
  readonly fileSystem: FaultFileSystem
  readonly told: ReadonlyMap<string, Told>
  readonly clock: ManualClock
}

/** Runs the script until it ends, or its file system does. */
async function play(prepare: (fileSystem: FaultFileSystem) => void): Promise<Ended> {
  const clock = new ManualClock()
  const fileSystem = new FaultFileSystem({ clock })
  const scene = await openScene({ fileSystem, clock })
  prepare(fileSystem)
  const script = new Script(scene)
  const ended = script.run().catch((error: unknown) => {
    if (!fileSystem.hasEnded) throw error
  })
  await ended
  return { fileSystem, told: script.told, clock }
}

/** Each transaction is there in all its partitions or in none, and nothing is open. */
async function expectWhole(scene: Scene, told: ReadonlyMap<string, Told>): Promise<void> {
  const values = new Map<string, unknown[]>()
  for (const [partition, topic] of PLACES) {
    const log = scene.log(partition, topic)
    assert.equal(log.firstUnstableOffset, undefined)
    assert.equal(log.visible.firstUnstableOffset, undefined)
    values.set(`${topic}-${partition}`, await committedValues(scene, partition, topic))
  }
  for (const [value, { places, outcome }] of told) {
    const there = places.filter(([partition, topic]) =>
      values.get(`${topic}-${partition}`)?.includes(value),
    )
    const where = there.map(([partition, topic]) => `${topic}-${partition}`).join(', ')
    if (outcome === 'committed') assert.equal(there.length, places.length, `${value}: ${where}`)
    else if (outcome === 'aborted') assert.equal(there.length, 0, `${value}: ${where}`)
    else assert.ok(there.length === 0 || there.length === places.length, `${value}: ${where}`)
  }
}

async function recover(fileSystem: FaultFileSystem, { told, clock }: Ended): Promise<void> {
  await removeLock(fileSystem, '/data')
  const scene = await openScene({ fileSystem, clock })
  for (const each of scene.recovery.transactions) assert.ok(each.isComplete)
  await expectWhole(scene, told)
  // And the producers go on.
  const producer = await scene.core.transactions.init('payments', 60_000)
  const logs = PLACES.map(([partition, topic]) => scene.log(partition, topic))
  await producer.begin(BEGIN).commit(logs.map((log) => writeTo(log, 'next')))
  await scene.core.close()
  const again = await openScene({ fileSystem, clock })
  assert.deepEqual(again.recovery.transactions, [])
  const next: Told = { places: PLACES, outcome: 'committed' }
  await expectWhole(again, new Map([...told, ['next', next]]))
  await again.core.close()
}

test(`after a crash at any operation each transaction is whole, or not there (seed ${SEED})`, async () => {
  let first = 0
  const whole = await play((fileSystem) => {
    first = fileSystem.operations.length
  })
  const count = whole.fileSystem.operations.length
  assert.ok(count - first > 100)
  const step = ROUNDS === 0 ? 9 : 1
  for (let index = first + (SEED % step); index < count; index += step) {
    for (let round = 0; round < Math.max(ROUNDS, 1); round += 1) {
      const seed = SEED + round
      const random = seededRandom(seed + index * 1009)
      const ended = await play((fileSystem) => fileSystem.cutAt(index))
      const found =
        random() < 0.3 ? ended.fileSystem.processKill() : ended.fileSystem.powerCut({ random })
      await at(`operation ${index}`, seed, async () => {
        // Sometimes the open that recovers it is ended as well.
        let left = found
        if (random() < 0.5) {
          await removeLock(found, '/data')
          found.cutAt(found.operations.length + Math.floor(random() * 40))
          await openScene({ fileSystem: found, clock: ended.clock })
            .then((scene) => scene.core.close())
            .catch((error: unknown) => {
              if (!found.hasEnded) throw error
            })
          left = found.powerCut({ random })
        }
        await recover(left, ended)
      })
    }
  }
})
