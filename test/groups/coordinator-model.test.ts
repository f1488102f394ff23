// A group's coordinator under a clock, held to what its members were told, over thousands of steps: members that come, go, crash, are
// slow, and come back by their instance id; topics that come, grow and go; clocks that jump, and a loop that stands still.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Assignor } from '../../src/groups/assignors/assignor.ts'
import { rangeAssignor } from '../../src/groups/assignors/range.ts'
import { roundRobinAssignor } from '../../src/groups/assignors/round-robin.ts'
import { cooperativeStickyAssignor, stickyAssignor } from '../../src/groups/assignors/sticky.ts'
import type { Member } from '../support/group-model.ts'
import { GroupModel, MAX_POLL_MS, SESSION_MS } from '../support/group-model.ts'
import { randomInteger, seededRandom } from '../support/random.ts'

const SEED = Number(process.env['BROKERLESS_SEED'] ?? Date.now() % 2 ** 31)
const STEPS = 2500
/** So often all that is under way is let end. */
const STEPS_TO_SETTLE = 200
const MAX_MEMBERS = 12
const TOPICS = ['t', 'u', 'v', 'w']
const INSTANCES = ['i', 'j', 'k']

class Run {
  readonly model: GroupModel
  readonly #random: () => number
  readonly #steps: readonly (readonly [weight: number, step: () => void | Promise<void>])[]

  constructor(assignor: Assignor, random: () => number) {
    this.model = new GroupModel(assignor)
    this.#random = random
    this.#steps = [
      [10, () => this.#join()],
      [3, () => this.#each((member) => this.model.leave(member))],
      [3, () => this.#restart()],
      [2, () => this.#each((member) => this.model.crash(member))],
      [25, () => this.#each((member) => this.model.work(member))],
      [20, () => this.#each((member) => this.model.wait(member))],
      [30, () => this.#each((member) => this.#handBack(member))],
      [3, () => this.#each((member) => this.model.subscribe(member, this.#some(TOPICS)))],
      [4, () => this.#changeTopics()],
      [15, () => this.model.pass(this.#below(2 * SESSION_MS))],
      [1, () => this.model.jump(Math.round((this.#random() - 0.4) * 20 * MAX_POLL_MS))],
      // The turn ends: what has changed in it is assigned anew, at once.
      [40, () => this.model.endTurn()],
    ]
  }

  async step(): Promise<void> {
    const sum = this.#steps.reduce((total, [weight]) => total + weight, 0)
    let at = this.#random() * sum
    for (const [weight, step] of this.#steps) {
      at -= weight
      if (at < 0) return await step()
    }
  }

  #below(limit: number): number {
    return randomInteger(this.#random, limit)
  }

  #some<T>(all: readonly T[]): T[] {
    return all.filter(() => this.#below(2) === 0)
  }

  #each(act: (member: Member) => void): void {
    const members = this.model.present()
    const member = members[this.#below(members.length)]
    if (member !== undefined) act(member)
  }

  #join(): void {
    if (this.model.present().length >= MAX_MEMBERS) return
    const instance = this.#below(2) === 0 ? null : (INSTANCES[this.#below(3)] ?? null)
    this.model.join({
      groupInstanceId: instance,
      topics: this.#some(TOPICS),
      maxPollIntervalMs: this.#below(8) === 0 ? 0 : MAX_POLL_MS,
    })
  }

  /** A static member comes back within its session. */
  async #restart(): Promise<void> {
    const members = this.model.present().filter(({ instance }) => instance !== null)
    const member = members[this.#below(members.length)]
    if (member === undefined) return
    const { instance: groupInstanceId, topics, maxPollIntervalMs } = member
    this.model.leave(member)
    if (this.#below(2) === 0) await this.model.pass(SESSION_MS / 2)
    this.model.join({ groupInstanceId, topics, maxPollIntervalMs })
  }

  #handBack(member: Member): void {
    const asked = [...member.asked]
    this.model.handBack(member, this.#below(3) === 0 ? this.#some(asked) : asked)
  }

  #changeTopics(): void {
    const counts = new Map(this.model.counts)
    const topic = TOPICS[this.#below(TOPICS.length)] ?? 't'
    const count = counts.get(topic)
    if (count === undefined) counts.set(topic, 1 + this.#below(6))
    else if (this.#below(3) > 0) counts.set(topic, count + 1 + this.#below(3))
    else counts.delete(topic)
    this.model.setTopics(counts)
  }
}

for (const assignor of [
  rangeAssignor,
  roundRobinAssignor,
  stickyAssignor,
  cooperativeStickyAssignor,
]) {
  test(`${assignor.name}: in ${STEPS} steps no partition has two owners, and none changes hands but by a hand-back or a loss`, async (t) => {
    t.diagnostic(`BROKERLESS_SEED=${SEED}`)
    const run = new Run(assignor, seededRandom(SEED))
    const { model } = run
    for (let step = 1; step <= STEPS; step += 1) {
      await run.step()
      if (step % STEPS_TO_SETTLE === 0) await model.settle()
    }
    assert.ok(model.lost.expired > 5 && model.lost.replaced > 5, JSON.stringify(model.lost))
    assert.ok(model.returned > 5, `${model.returned} static members found again what they had`)
    assert.ok(model.handedBack > 100, `${model.handedBack} partitions were handed back`)
    assert.ok(model.stoodMs > 0)
  })
}

test('after a storm of a thousand joins and leaves all is assigned, by one rebalance a turn', async () => {
  const random = seededRandom(SEED)
  const model = new GroupModel(stickyAssignor)
  model.setTopics(new Map([['t', 100]]))
  let turns = 0
  for (let done = 0; done < 1000; ) {
    const burst = 1 + randomInteger(random, 50)
    for (let index = 0; index < burst && done < 1000; index += 1, done += 1) {
      const members = model.present()
      const member = members[randomInteger(random, members.length)]
      if (member === undefined || random() < 0.55) {
        model.join({ groupInstanceId: null, topics: ['t'], maxPollIntervalMs: MAX_POLL_MS })
      } else model.leave(member)
    }
    // Some of those that are asked are slow: the next turn comes before they have handed back.
    for (const member of model.present()) if (random() < 0.5) model.handBack(member, member.asked)
    await model.endTurn()
    turns += 1
  }
  await model.settle()
  assert.ok(model.coordinator.state.epoch <= turns + 1, `${model.coordinator.state.epoch} epochs`)
  const counts = model.present().map(({ owned }) => owned.size)
  assert.equal(
    counts.reduce((sum, count) => sum + count, 0),
    100,
  )
  assert.ok(Math.max(...counts) - Math.min(...counts) <= 1)
})
