// Consumers of one group, whatever happens to them: each record reaches one member at a time, none is skipped, and what is handed out
// again was not committed.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AssignorName } from '../../src/index.ts'
import { GroupWorld, MAX_POLL_MS, SESSION_MS } from '../support/group-world.ts'
import { seededRandom } from '../support/random.ts'

const RUNS = Number(process.env['BROKERLESS_MODEL_RUNS'] ?? 24)
const SEED = Number(process.env['BROKERLESS_SEED'] ?? Date.now() % 2 ** 31)
const STEPS = 400
const MAX_CONSUMERS = 6
const TOPICS = ['orders', 'orders.eu', 'clicks']
const SUBSCRIPTIONS = [['orders', 'clicks'], [/^orders/], [/./], ['clicks', /eu$/]]
const ASSIGNORS: readonly AssignorName[] = ['range', 'round-robin', 'sticky', 'cooperative-sticky']

class Run {
  readonly world: GroupWorld
  readonly #random: () => number
  readonly #steps: readonly (readonly [weight: number, step: () => unknown])[]

  constructor(world: GroupWorld, random: () => number) {
    this.world = world
    this.#random = random
    this.#steps = [
      [60, () => this.#some(this.world.actors.filter(({ hasCrashed }) => !hasCrashed))?.step()],
      [20, () => this.#produce()],
      [5, () => this.#join()],
      [2, () => void this.#some(this.world.present())?.close()],
      [2, () => this.#some(this.world.present())?.end()],
      [2, () => this.#crash()],
      [1, () => this.#wake()],
      [2, () => this.#restart()],
      // What is waited for may take until the clock moves.
      [6, () => void this.#commit()],
      [6, () => this.world.letGo()],
      [1, () => this.#addPartitions()],
      [1, () => this.#createOrDelete()],
      [20, () => this.world.pass(this.world.below(200))],
      [3, () => this.world.pass(this.world.below(2 * SESSION_MS))],
      [1, () => this.world.pass(MAX_POLL_MS)],
      [1, () => this.world.jump((this.#random() - 0.3) * 10 * MAX_POLL_MS)],
    ]
  }

  async step(): Promise<void> {
    const sum = this.#steps.reduce((total, [weight]) => total + weight, 0)
    let at = this.#random() * sum
    for (const [weight, step] of this.#steps) {
      at -= weight
      if (at >= 0) continue
      await step()
      break
    }
    await this.world.pass(0)
  }

  #some<T>(all: readonly T[]): T | undefined {
    return all[this.world.below(all.length)]
  }

  #topic(): string | undefined {
    return this.#some(this.world.log.topics())
  }

  async #produce(): Promise<void> {
    const topic = this.#topic()
    if (topic === undefined) return
    const { partitions } = await this.world.log.describeTopic(topic)
    const partition = this.world.below(partitions.length)
    await this.world.produce(topic, partition, 1 + this.world.below(12))
  }

  #join(instanceId?: string): void {
    if (this.world.present().length >= MAX_CONSUMERS) return
    // A name must be there; a pattern need not.
    const there = new Set(this.world.log.topics())
    const topics = (this.#some(SUBSCRIPTIONS) ?? [/./]).filter((each) => {
      return typeof each !== 'string' || there.has(each)
    })
    if (topics.length === 0) return
    this.world.join({
      ...(instanceId === undefined ? {} : { instanceId }),
      topics,
      autoCommit: this.world.below(4) > 0,
      isSlowToHandBack: this.world.below(4) === 0,
    })
  }

  #crash(): void {
    const actor = this.#some(this.world.present())
    if (actor !== undefined) actor.hasCrashed = true
  }

  /** One that was thought to be dead goes on with what it had in hand. */
  #wake(): void {
    const actor = this.#some(this.world.actors.filter(({ hasCrashed }) => hasCrashed))
    if (actor !== undefined) actor.hasCrashed = false
  }

  /** With an instance id: of one that has closed, is away, is there still, or was never there. */
  #restart(): void {
    this.#join(this.#some(['i', 'j']))
  }

  async #commit(): Promise<void> {
    const actor = this.#some(this.world.present())
    if (actor !== undefined) await this.world.commit(actor)
  }

  async #addPartitions(): Promise<void> {
    const topic = this.#topic()
    if (topic !== undefined) await this.world.addPartitions(topic, 1 + this.world.below(2))
  }

  async #createOrDelete(): Promise<void> {
    const topic = this.#some(TOPICS) ?? 'orders'
    if (this.world.log.topics().includes(topic)) await this.world.deleteTopic(topic)
    else await this.world.createTopic(topic, 1 + this.world.below(4))
  }
}

test(`in ${RUNS} runs of ${STEPS} steps every record reaches one member at a time, in order, and none is skipped`, async (t) => {
  t.diagnostic(`BROKERLESS_SEED=${SEED}`)
  const sums = { handedOut: 0, handedOutAgain: 0, expired: 0, replaced: 0 }
  for (let index = 0; index < RUNS; index += 1) {
    const random = seededRandom(SEED + index)
    const assignor = ASSIGNORS[(SEED + index) % ASSIGNORS.length] ?? 'range'
    await using world = await GroupWorld.open(random, assignor)
    const run = new Run(world, random)
    try {
      await world.createTopic('orders', 3)
      for (let step = 0; step < STEPS; step += 1) await run.step()
      // Somebody is there for everything.
      world.join({ topics: [/./], autoCommit: true, isSlowToHandBack: false })
      await world.finish()
    } catch (error) {
      if (error instanceof Error)
        error.message = `BROKERLESS_SEED=${SEED + index}: ${error.message}`
      throw error
    }
    sums.handedOut += world.evidence.handedOut
    sums.handedOutAgain += world.evidence.handedOutAgain
    sums.expired += world.lost.expired
    sums.replaced += world.lost.replaced
  }
  assert.ok(sums.handedOut > RUNS * 50, JSON.stringify(sums))
  for (const sum of Object.values(sums)) assert.ok(sum > 0, JSON.stringify(sums))
})
