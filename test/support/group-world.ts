/** A log in memory with the consumers of a group, topics that come, grow and go, and a clock. */
import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type {
  AssignorName,
  CommittedSignal,
  ConsumerOptions,
  LostSignal,
  PartitionsSignal,
  TopicPartition,
} from '../../src/index.ts'
import { Log } from '../../src/index.ts'
import { ManualClock, MemoryFileSystem } from '../../src/testing/index.ts'
import type { Actor } from './group-actors.ts'
import { BACKOFF_MS, IteratingActor, RunningActor } from './group-actors.ts'
import type { Way } from './group-evidence.ts'
import { GroupEvidence, nameOf } from './group-evidence.ts'
import { randomInteger } from './random.ts'

export const MAX_POLL_MS = 60_000
export const SESSION_MS = 20_000
const DIRECTORY = '/data'
/** Turns of the event loop that a step may need. */
const STEPS_WITHOUT_PROGRESS = 3000
const SETTLING_STEPS = 3
const KEYS = ['a', 'b', 'c', 'd', null]
const WAYS: readonly Way[] = ['record', 'page', 'partition', 'key']

export interface Joining {
  readonly instanceId?: string
  readonly topics: readonly (string | RegExp)[]
  readonly autoCommit: boolean
  readonly isSlowToHandBack: boolean
  readonly way?: Way
}

interface Signals {
  readonly 'brokerless:consumer:assigned': PartitionsSignal
  readonly 'brokerless:consumer:revoked': PartitionsSignal
  readonly 'brokerless:consumer:lost': LostSignal
  readonly 'brokerless:consumer:committed': CommittedSignal
}

export class GroupWorld implements AsyncDisposable {
  readonly log: Log
  readonly clock: ManualClock
  readonly evidence = new GroupEvidence()
  readonly actors: Actor[] = []
  readonly lost = { expired: 0, replaced: 0 }
  readonly #random: () => number
  readonly #assignor: AssignorName
  readonly #autoCommits = new Set<Actor>()
  /** `onRevoked` of members that take their time. */
  readonly #revoking: (() => void)[] = []
  readonly #subscriptions: (() => void)[] = []
  #made = 0
  #isOver = false
  #failure: unknown

  private constructor(log: Log, clock: ManualClock, random: () => number, assignor: AssignorName) {
    this.log = log
    this.clock = clock
    this.#random = random
    this.#assignor = assignor
    this.#listen('brokerless:consumer:assigned', (actor, { partitions }) => {
      actor.assigned()
      this.evidence.assigned(actor, partitions.map(nameOf))
    })
    this.#listen('brokerless:consumer:revoked', (actor, { partitions }) => {
      actor.lost(partitions.map(nameOf))
      this.evidence.ended(actor, partitions.map(nameOf), 'revoked')
    })
    this.#listen('brokerless:consumer:lost', (actor, { partitions, reason }) => {
      this.lost[reason] += 1
      actor.lost(partitions.map(nameOf))
      this.evidence.ended(actor, partitions.map(nameOf), 'lost')
    })
    this.#listen('brokerless:consumer:committed', (actor, { offsets }) =>
      this.evidence.committed(actor, offsets),
    )
    log.on('failure', (failure) => this.#failed(failure))
  }

  static async open(random: () => number, assignor: AssignorName): Promise<GroupWorld> {
    const clock = new ManualClock()
    const fileSystem = new MemoryFileSystem({ clock })
    const log = (await Log.open(DIRECTORY, { fileSystem, clock })) as Log
    return new GroupWorld(log, clock, random, assignor)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const end of this.#subscriptions) end()
    this.#isOver = true
    for (const resolve of this.#revoking) resolve()
    // What is in the hands of those that never come back is waited for until the clock says that it is enough.
    const closing = this.log.close()
    await this.clock.advance(MAX_POLL_MS)
    await closing
  }

  below(limit: number): number {
    return randomInteger(this.#random, limit)
  }

  /** Those of which something is heard. */
  present(): Actor[] {
    return this.actors.filter(({ hasCrashed, isClosing, hasEnded }) => {
      return !hasCrashed && !isClosing && !hasEnded
    })
  }

  // ---------------------------------------------------------------------------------- the log

  async createTopic(topic: string, partitions: number): Promise<void> {
    for (let partition = 0; partition < partitions; partition += 1) {
      this.evidence.create(nameOf({ topic, partition }))
    }
    await this.log.createTopic(topic, { value: 'string', partitions })
  }

  async addPartitions(topic: string, count: number): Promise<void> {
    const { partitions } = await this.log.describeTopic(topic)
    const sum = partitions.length + count
    for (let partition = partitions.length; partition < sum; partition += 1) {
      this.evidence.create(nameOf({ topic, partition }))
    }
    await this.log.addPartitions(topic, sum)
  }

  async deleteTopic(topic: string): Promise<void> {
    for (const name of this.evidence.names()) {
      if (name.startsWith(`${topic}-`)) this.evidence.delete(name)
    }
    await this.log.deleteTopic(topic)
    for (const actor of this.actors) actor.topicGone(topic)
  }

  /** Some records of one partition, in one call. */
  async produce(topic: string, partition: number, count: number): Promise<void> {
    const name = nameOf({ topic, partition })
    const { latest } = await this.log.offsets(topic, partition)
    const records = Array.from({ length: count }, (_, index) => {
      const key = KEYS[this.below(KEYS.length)] ?? null
      return { key, value: `${name} ${latest + index}`, partition }
    })
    for (const [index, { key, value }] of records.entries()) {
      this.evidence.produced(name, latest + index, { key, value })
    }
    await this.log.produce(topic, records)
  }

  // -------------------------------------------------------------------------------- consumers

  join({ instanceId, topics, autoCommit, isSlowToHandBack, way }: Joining): Actor {
    this.#made += 1
    const id = `c${this.#made}`
    const options: ConsumerOptions = {
      group: 'g',
      topics,
      autoCommit,
      assignor: this.#assignor,
      clientId: id,
      sessionTimeoutMs: SESSION_MS,
      maxPollIntervalMs: MAX_POLL_MS,
      maxBytes: 1 + this.below(400),
      readAheadBytes: 1 + this.below(2000),
      onRevoked: (partitions) => this.#revoked(actor, partitions, isSlowToHandBack),
      ...(instanceId === undefined ? {} : { instanceId }),
    }
    const chosen = way ?? WAYS[this.below(WAYS.length)] ?? 'record'
    const consumer = this.log.consumer(options)
    const { evidence } = this
    const random = this.#random
    const given = { id, way: chosen, consumer, evidence, random }
    const isRun = chosen === 'partition' || chosen === 'key'
    const actor: Actor = isRun ? new RunningActor(given) : new IteratingActor(given)
    this.actors.push(actor)
    if (autoCommit) this.#autoCommits.add(actor)
    if (!isRun) actor.step()
    return actor
  }

  /** All that is done is committed by hand; or all up to a record, done or not. */
  async commit(actor: Actor): Promise<void> {
    const record = this.below(2) === 0 ? actor.inHand() : undefined
    if (record !== undefined) this.evidence.vouch(actor, nameOf(record), record.offset)
    await actor.consumer.commit(record).catch((error: unknown) => {
      // Of one that has lost something since it last committed.
      if ((error as { code?: unknown }).code !== 'FENCED') this.#failed(error)
    })
  }

  /** One of those that take their time to hand back is done with it. */
  letGo(): void {
    this.#revoking.shift()?.()
  }

  async #revoked(actor: Actor, partitions: readonly TopicPartition[], isSlow: boolean) {
    try {
      const isCommitted = this.#autoCommits.has(actor)
      this.evidence.revoking(actor, partitions.map(nameOf), isCommitted)
    } catch (error) {
      this.#failed(error)
    }
    if (isSlow && !this.#isOver) await new Promise<void>((resolve) => this.#revoking.push(resolve))
  }

  // ------------------------------------------------------------------------------------- time

  async pass(ms: number): Promise<void> {
    await this.clock.advance(ms)
    for (let step = 0; step < SETTLING_STEPS; step += 1) await this.clock.advance(0)
    this.check()
  }

  jump(ms: number): void {
    this.clock.setTime(this.clock.now() + ms)
  }

  check(): void {
    if (this.#failure !== undefined) throw this.#failure
    for (const { id, failure } of this.actors) {
      const isReplaced = (failure as { code?: unknown } | undefined)?.code === 'FENCED'
      if (failure !== undefined && !isReplaced)
        throw new Error(`${id} failed: ${failure}`, { cause: failure })
    }
  }

  /** Who is present does its work until all is done; who is not is out by then. */
  async finish(): Promise<void> {
    const seen = new Set<string>()
    for (let step = 0; !this.evidence.isAllDone(); step += 1) {
      // So long nothing has come of it, however slow retries make it.
      if (step % STEPS_WITHOUT_PROGRESS === 0) {
        const standstill = this.#standstill()
        assert.ok(!seen.has(standstill), `no end: ${standstill}`)
        seen.add(standstill)
      }
      for (const actor of this.actors) if (!actor.hasCrashed) actor.step()
      this.letGo()
      await this.pass(step % 10 === 0 ? BACKOFF_MS : 0)
      // One that has crashed while it waited may be handed something yet.
      if (step % 200 !== 199) continue
      await this.pass(MAX_POLL_MS + 2000)
      for (const { consumer } of this.present()) {
        // The first one may have to tell that something was lost long ago.
        await consumer.commit().catch(() => consumer.commit())
      }
    }
    this.check()
  }

  #standstill(): string {
    const actors = this.actors
      .filter(({ hasEnded }) => !hasEnded)
      .map(({ id, way, hasCrashed, isClosing }) => {
        return `${id} ${way}${hasCrashed ? ' crashed' : ''}${isClosing ? ' closing' : ''}`
      })
    return [...this.evidence.left(), ...actors].join('; ')
  }

  // ---------------------------------------------------------------------------------- signals

  #listen<N extends keyof Signals>(
    name: N,
    take: (actor: Actor, message: Signals[N]) => void,
  ): void {
    const listener = (message: unknown): void => {
      try {
        const { memberId } = message as Signals[N]
        const actor = this.actors.find(({ consumer }) => consumer.memberId === memberId)
        assert.ok(actor, `${name} of ${memberId}`)
        take(actor, message as Signals[N])
      } catch (error) {
        this.#failed(error)
      }
    }
    subscribe(name, listener)
    this.#subscriptions.push(() => unsubscribe(name, listener))
  }

  #failed(error: unknown): void {
    this.#failure ??= error
  }
}
