/** Consumers of a group that do one thing at a time, when a test says so: each way to consume, and each way to be late. */
import type { ConsumedRecord, Consumer } from '../../src/index.ts'
import type { GroupEvidence, Way } from './group-evidence.ts'
import { nameOf } from './group-evidence.ts'

export interface ActorOptions {
  readonly id: string
  readonly way: Way
  readonly consumer: Consumer
  readonly evidence: GroupEvidence
  /** Numbers in [0, 1). */
  readonly random: () => number
}

/** A waiter of a `run`: its record, and how its handler ends. */
interface Call {
  readonly record: ConsumedRecord
  /** Its partition was lost meanwhile: how it ends counts for nothing, also where the record is handed out here again. */
  isLost: boolean
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

export abstract class Actor {
  readonly id: string
  readonly way: Way
  readonly consumer: Consumer
  protected readonly evidence: GroupEvidence
  protected readonly random: () => number
  /** Nothing is heard of it any more. */
  hasCrashed = false
  isClosing = false
  hasEnded = false
  /** What ended it, if that was not its end. */
  failure: unknown

  constructor({ id, way, consumer, evidence, random }: ActorOptions) {
    this.id = id
    this.way = way
    this.consumer = consumer
    this.evidence = evidence
    this.random = random
  }

  /** One thing more: it comes back for more, or one of its handlers ends. */
  abstract step(): void

  /** It has, with what is in its hands, the last thing done that it can do. */
  abstract end(): void

  /** It is closed from without; what is in its hands may come back. */
  close(): Promise<void> {
    this.isClosing = true
    return this.consumer.close().catch((error: unknown) => this.failed(error))
  }

  /** A record that it may commit by hand: one that is in its hands. */
  abstract inHand(): ConsumedRecord | undefined

  /** These are not its own any more. */
  lost(_names: readonly string[]): void {}

  /** Partitions are its own from now on. */
  assigned(): void {}

  /** A topic was deleted. */
  topicGone(_topic: string): void {}

  protected failed(error: unknown): void {
    this.hasEnded = true
    this.failure ??= error
  }

  /** What is wrong with it must not be taken for a handler's failure. */
  protected handOut(record: ConsumedRecord): void {
    try {
      this.evidence.handOut(this, record)
    } catch (error) {
      this.failed(error)
    }
  }
}

/** `for await` and `batches()`. */
export class IteratingActor extends Actor {
  readonly #next: () => Promise<ConsumedRecord[] | undefined>
  readonly #return: () => Promise<unknown>
  #isWaiting = false
  #inHand: readonly ConsumedRecord[] = []
  /** Lost while it waited: what it is given of them was on its way to it by then, as a promise is that has resolved. */
  readonly #lostOnTheWay = new Set<string>()

  constructor(options: ActorOptions) {
    super(options)
    if (options.way === 'record') {
      const records = this.consumer[Symbol.asyncIterator]()
      this.#next = async () => {
        const { done, value } = await records.next()
        return done ? undefined : [value]
      }
      this.#return = async () => records.return?.()
    } else {
      const pages = this.consumer.batches()[Symbol.asyncIterator]()
      this.#next = async () => {
        const { done, value } = await pages.next()
        return done ? undefined : [...value.records]
      }
      this.#return = async () => pages.return?.()
    }
  }

  step(): void {
    if (this.#isWaiting || this.hasEnded) return
    for (const record of this.#inHand) this.evidence.finish(this, nameOf(record), record.offset)
    this.#inHand = []
    this.#isWaiting = true
    this.#next().then(
      (records) => this.#given(records),
      (error: unknown) => this.failed(error),
    )
  }

  #given(records: ConsumedRecord[] | undefined): void {
    this.#isWaiting = false
    if (records === undefined) {
      this.hasEnded = true
      return
    }
    this.#inHand = records
    for (const record of records) {
      const name = nameOf(record)
      if (this.#lostOnTheWay.has(name)) this.evidence.handedOutInVain(name, record.offset)
      else this.handOut(record)
    }
    this.#lostOnTheWay.clear()
  }

  override lost(names: readonly string[]): void {
    if (this.#isWaiting) for (const name of names) this.#lostOnTheWay.add(name)
  }

  override assigned(): void {
    this.#lostOnTheWay.clear()
  }

  /** As `break` does: what is in hand is not done. */
  end(): void {
    if (this.#isWaiting) {
      void this.close()
      return
    }
    for (const record of this.#inHand) this.evidence.giveUp(this, nameOf(record), record.offset)
    this.#inHand = []
    this.isClosing = true
    this.#return().then(
      () => (this.hasEnded = true),
      (error: unknown) => this.failed(error),
    )
  }

  inHand(): ConsumedRecord | undefined {
    return this.#inHand.at(-1)
  }
}

const MAX_IN_HAND = 4
export const BACKOFF_MS = 50

/** `run`. */
export class RunningActor extends Actor {
  readonly #calls: Call[] = []

  constructor(options: ActorOptions) {
    super(options)
    const by = options.way === 'key' ? 'key' : 'partition'
    this.consumer
      .run({
        eachRecord: (record: ConsumedRecord) => this.#handle(record),
        concurrency: { by, max: MAX_IN_HAND },
        failurePolicy: {
          retries: Number.POSITIVE_INFINITY,
          backoff: { type: 'fixed', initialMs: BACKOFF_MS, jitter: 0 },
        },
      })
      .then(
        () => (this.hasEnded = true),
        (error: unknown) => this.failed(error),
      )
  }

  #handle(record: ConsumedRecord): Promise<void> | undefined {
    this.handOut(record)
    if (this.#calls.length >= MAX_IN_HAND) this.failed(new Error('it has too many in hand'))
    if (!this.hasCrashed && this.random() < 0.2) {
      this.evidence.finish(this, nameOf(record), record.offset)
      return undefined
    }
    return new Promise((resolve, reject) => {
      this.#calls.push({ record, isLost: false, resolve, reject })
    })
  }

  step(): void {
    const [call] = this.#calls.splice(Math.floor(this.random() * this.#calls.length), 1)
    if (call === undefined) return
    const { record, isLost, resolve, reject } = call
    if (this.random() < 0.1) {
      if (!isLost) this.evidence.fail(this, nameOf(record), record.offset)
      reject(new Error('the handler fails'))
      return
    }
    if (!isLost) this.evidence.finish(this, nameOf(record), record.offset)
    resolve()
  }

  override lost(names: readonly string[]): void {
    for (const call of this.#calls) if (names.includes(nameOf(call.record))) call.isLost = true
  }

  /** Handlers of its records are told by their signal, and end: one that does not is not seen to hang. */
  override topicGone(topic: string): void {
    for (const call of this.#calls.filter(({ record }) => record.topic === topic)) {
      this.#calls.splice(this.#calls.indexOf(call), 1)
      call.resolve()
    }
  }

  end(): void {
    void this.close()
  }

  inHand(): undefined {
    return undefined
  }
}
