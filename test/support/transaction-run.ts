// A log whose transactions are noted, on a file system that may end at any moment.
import assert from 'node:assert/strict'
import type { LogOptions, Producer, Transaction, TransactionOptions } from '../../src/index.ts'
import { Log, LogError } from '../../src/index.ts'
import { ManualClock } from '../../src/testing/index.ts'
import type { FaultFileSystem } from './fault-file-system.ts'
import { loseLockHolder } from './lock-holder.ts'
import type { TransactionEvidence } from './transaction-evidence.ts'
import { COMMITTED, PLACES, recordOf } from './transaction-evidence.ts'

export const DIRECTORY = '/data'
/** More than this is written before the commit. */
const MAX_TRANSACTION_BYTES = 600
const PADDING = ` ${'x'.repeat(300)}`
/** Turns that are given to calls which may wait for room on the disk, or for a disk that is gone. */
const PATIENT_TURNS = 40

export interface Written {
  /** Records for each of `PLACES`. */
  readonly counts: readonly number[]
  readonly hasOffset?: boolean
  /** Records so large that they are written before the commit. */
  readonly isLarge?: boolean
  /** The first record of this place has to be where it cannot be. */
  readonly conflictAt?: number
}

export interface TransactionRunOptions {
  readonly segmentBytes?: number
}

export class TransactionRun {
  readonly clock: ManualClock
  readonly #fileSystem: FaultFileSystem
  readonly #evidence: TransactionEvidence
  readonly #options: LogOptions
  #log: Log | undefined
  readonly #damaged = new Set<string>()
  #isLooking = false

  constructor(
    fileSystem: FaultFileSystem,
    evidence: TransactionEvidence,
    { segmentBytes = 1 << 20 }: TransactionRunOptions = {},
    clock: ManualClock = new ManualClock(),
  ) {
    this.#fileSystem = fileSystem
    this.#evidence = evidence
    this.clock = clock
    const topic = { value: 'string', durability: 'disk', segmentBytes } as const
    this.#options = {
      fileSystem,
      clock,
      topics: { orders: { ...topic, partitions: 2 }, clicks: topic },
      maxTransactionBytes: MAX_TRANSACTION_BYTES,
      retentionCheckIntervalMs: 1e9,
    }
  }

  get log(): Log {
    assert.ok(this.#log, 'the log is not open')
    return this.#log
  }

  async open(): Promise<void> {
    this.#log = (await Log.open(DIRECTORY, this.#options)) as Log
    for (const { topic, partition, damage } of this.#log.recovery.partitions) {
      if (damage.length > 0) this.#damaged.add(`${topic}-${partition}`)
    }
  }

  /** Opens what a crash has left, and holds it to what was promised. */
  async reopen(): Promise<void> {
    await loseLockHolder(this.#fileSystem, DIRECTORY)
    await this.open()
    for (const { topic, partition, lastStableOffset } of this.log.stableOffsets()) {
      const { latest } = await this.log.offsets(topic, partition)
      assert.equal(lastStableOffset, latest, `${topic}-${partition} is not decided`)
    }
    await this.check()
  }

  async check(isOpen = false): Promise<void> {
    await this.#evidence.check(this.log, isOpen)
  }

  async close(): Promise<void> {
    await this.log.close()
  }

  /** Where something has failed before, the close may say so. */
  async tryToClose(): Promise<void> {
    await this.#hasEnded(this.log.close())
  }

  async advance(ms: number): Promise<void> {
    await this.clock.advance(ms)
  }

  /** Partitions of which a recovery has told damage. */
  get damaged(): ReadonlySet<string> {
    return this.#damaged
  }

  /** Records of nobody's transaction. */
  async produce(name: string, place: number): Promise<void> {
    const { topic, partition } = placeAt(place)
    this.#evidence.begin(name, countsAt(place))
    const value = recordOf(name, 0)
    if (await this.#hasEnded(this.log.produce(topic, { value, partition }))) {
      this.#evidence.ended(name, 'committed')
    }
  }

  async begin(producer?: Producer, options?: TransactionOptions): Promise<Transaction | undefined> {
    const beginning = producer?.begin(options) ?? this.log.beginTransaction(options)
    return (await this.#hasEnded(beginning)) ? await beginning : undefined
  }

  /** Undefined where it fails: all that follows is left out. */
  async producer(transactionalId: string): Promise<Producer | undefined> {
    const made = this.log.producer({ transactionalId })
    return (await this.#hasEnded(made)) ? await made : undefined
  }

  /** Whether all of it was taken. */
  async fill(name: string, tx: Transaction, written: Written): Promise<boolean> {
    const { counts, hasOffset = false, isLarge = false, conflictAt } = written
    this.#evidence.begin(name, counts, hasOffset)
    for (const [place, count] of counts.entries()) {
      const { topic, partition } = placeAt(place)
      for (let index = 0; index < count; index += 1) {
        const value = recordOf(name, index) + (isLarge ? PADDING : '')
        const expected = place === conflictAt && index === 0 ? { expectedOffset: 1_000 } : {}
        const taken = tx.produce(topic, { value }, { partition, ...expected })
        if (!(await this.#hasEnded(taken))) return false
      }
    }
    return !hasOffset || (await this.#hasEnded(tx.commitOffset(name, COMMITTED)))
  }

  async commit(name: string, tx: Transaction): Promise<boolean> {
    const commit = tx.commit()
    if (await this.#hasEnded(commit)) {
      this.#evidence.ended(name, 'committed')
      return true
    }
    const isUnknown = await commit.then(
      () => true,
      (error: unknown) => error instanceof LogError && error.code === 'STORAGE_FAILED',
    )
    // Otherwise the next open tells.
    if (!isUnknown) this.#evidence.ended(name, 'aborted')
    return false
  }

  async abort(name: string, tx: Transaction): Promise<void> {
    if (await this.#hasEnded(tx.abort())) this.#evidence.ended(name, 'aborted')
  }

  /** Noted where it is known that it will not be committed. */
  aborted(name: string): void {
    this.#evidence.ended(name, 'aborted')
  }

  /** Answers whether it is known to be committed. */
  async transact(name: string, written: Written, producer?: Producer): Promise<boolean> {
    const tx = await this.begin(producer)
    if (tx === undefined) return false
    if (await this.fill(name, tx, written)) return await this.commit(name, tx)
    // As a function does in which a call is awaited: what has rejected would be left out of the commit.
    await this.abort(name, tx)
    return false
  }

  /** All that a log does is still done, by everybody. */
  async goOn(name: string): Promise<void> {
    for (const [place] of PLACES.entries()) await this.produce(`${name}-plain-${place}`, place)
    await this.transact(`${name}-whole`, { counts: [1, 1, 1], hasOffset: true })
    await this.transact(`${name}-single`, { counts: [0, 0, 2] })
    const producer = await this.producer('teller')
    assert.ok(producer)
    const large = { counts: [2, 1, 0], hasOffset: true, isLarge: true }
    await this.transact(`${name}-named`, large, producer)
    await this.check()
  }

  /**
   * One transaction, with which all of the places change at one moment: each time that anybody can look, all of the last stable offsets are as
   * they were before, or none is.
   */
  async transactAtOnce(name: string, written: Written): Promise<void> {
    const places = written.counts.flatMap((count, place) => (count > 0 ? place : []))
    // Otherwise they move to where the transaction begins when the markers before it are synced.
    if (!(await this.#hasEnded(this.log.flush()))) {
      await this.transact(name, written)
      return
    }
    const before = this.#stableOffsets(places)
    let torn: string | undefined
    const look = (): undefined => {
      const now = this.#stableOffsets(places)
      const moved = now.filter((offset, index) => offset !== before[index]).length
      if (moved > 0 && moved < now.length) torn ??= `${now} were ${before}`
      return undefined
    }
    this.#isLooking = true
    const stop = this.#fileSystem.failWhen(look)
    const watching = this.#watch(look)
    try {
      // An abort need not be at one moment: nobody can tell.
      if (!(await this.transact(name, written))) torn = undefined
    } finally {
      this.#isLooking = false
      stop()
      await watching
    }
    assert.equal(torn, undefined, 'a part of a transaction was seen')
  }

  async #watch(look: () => void): Promise<void> {
    while (this.#isLooking) {
      look()
      await turn()
    }
  }

  #stableOffsets(places: readonly number[]): number[] {
    const all = this.log.stableOffsets()
    return places.map((place) => {
      const { topic, partition } = placeAt(place)
      const found = all.find((each) => each.topic === topic && each.partition === partition)
      return found?.lastStableOffset ?? -1
    })
  }

  /**
   * False where it has failed, which only a `LogError` may tell. What waits for room gets it after some time, and time goes on; what waits for a
   * disk that is gone is left alone.
   */
  async #hasEnded(call: Promise<unknown>): Promise<boolean> {
    let ended: 'well' | Error | undefined
    call.then(
      () => {
        ended = 'well'
      },
      (error: Error) => {
        ended = error
      },
    )
    for (let turns = 0; ended === undefined && turns < PATIENT_TURNS; turns += 1) await turn()
    if (ended === undefined && !this.#fileSystem.hasEnded) {
      this.#fileSystem.capacityBytes = Number.POSITIVE_INFINITY
      for (let seconds = 0; ended === undefined && seconds < 60; seconds += 1) {
        await this.clock.advance(1000)
      }
      assert.ok(ended, 'a call is never answered')
    }
    if (ended === 'well') return true
    if (this.#fileSystem.hasEnded) throw new RunEnded('the run is over', { cause: ended })
    if (ended instanceof LogError) return false
    throw ended
  }
}

/** The power is gone, or the process. */
export class RunEnded extends Error {
  override readonly name = 'RunEnded'
}

function placeAt(index: number): (typeof PLACES)[number] {
  const place = PLACES[index]
  assert.ok(place)
  return place
}

function countsAt(place: number): number[] {
  return PLACES.map((_, index) => (index === place ? 1 : 0))
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
