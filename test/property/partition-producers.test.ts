// Producers and transactions of one partition against a simple model: random records, repetitions, gaps, epochs and ends, rolls, flushes, full disks,
// closes, kills and power cuts. At all times the live producer state, the snapshots and the .txnindex files are what the batches give.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { BatchProducer } from '../../src/storage/append-call.ts'
import type { PartitionLog } from '../../src/storage/partition-log.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import type { CompressionType, Durability } from '../../src/types.ts'
import type { Operation } from '../support/fault-file-system.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import {
  checkSnapshots,
  FIRST_ID,
  outcomeOf,
  replay,
  startProducing,
  storedAborted,
} from '../support/producer-calls.ts'
import { openLog, recordSet, TestCall } from '../support/storage-environment.ts'

const DIRECTORY = '/data/t-0'
const PRODUCERS = 3

interface Send {
  readonly kind:
    | 'next'
    | 'numbered'
    | 'again'
    | 'gap'
    | 'old epoch'
    | 'new epoch'
    | 'marker'
    | 'plain'
  readonly producer: number
  readonly count: number
  readonly isTransactional: boolean
  readonly outcome: 'commit' | 'abort' | undefined
  /** Which of the last batches is brought again. */
  readonly back: number
  readonly durability: Durability
}

type Step =
  | { readonly kind: 'sends'; readonly sends: readonly Send[]; readonly isFull: boolean }
  | { readonly kind: 'roll' | 'flush' | 'reopen' | 'kill' | 'power cut' }

/** What stands in the log. */
interface Written {
  readonly producer: number
  readonly epoch: number
  readonly first: number
  readonly count: number
  readonly offset: number
  readonly isTransactional: boolean
  readonly ends: boolean
}

interface ModelProducer {
  epoch: number
  /** Undefined: it is not known. */
  next: number | undefined
  batches: { first: number; count: number; offset: number; isSure: boolean }[]
  openFrom: number | undefined
}

class Model {
  end = 0
  history: Written[] = []
  producers: ModelProducer[] = []

  constructor() {
    this.rebuild(0)
  }

  /** After a power cut the log ends here. */
  rebuild(end: number): void {
    const kept = this.history.filter(({ offset }) => offset < end)
    this.history = []
    this.producers = Array.from({ length: PRODUCERS }, () => ({
      epoch: 0,
      next: undefined,
      batches: [],
      openFrom: undefined,
    }))
    for (const each of kept) this.write(each)
    this.end = end
  }

  copy(): Model {
    const copy = new Model()
    copy.end = this.end
    copy.history = [...this.history]
    copy.producers = structuredClone(this.producers)
    return copy
  }

  /** After an open only the last batch of each producer is remembered for sure. */
  reopened(): void {
    for (const { batches } of this.producers) {
      for (const batch of batches.slice(0, -1)) batch.isSure = false
    }
  }

  write(written: Written): void {
    const { producer, epoch, first, count, offset, isTransactional, ends } = written
    this.history.push(written)
    const of = this.producers[producer] as ModelProducer
    if (epoch !== of.epoch) {
      of.epoch = epoch
      of.batches = []
      of.next = 0
    }
    if (count > 0) {
      of.next = first + count
      of.batches.push({ first, count, offset, isSure: true })
      if (isTransactional) of.openFrom ??= offset
    } else of.next ??= 0
    if (ends) of.openFrom = undefined
    this.end = offset + count + (ends ? 1 : 0)
  }

  get openFrom(): number | undefined {
    const all = this.producers.map(({ openFrom }) => openFrom).filter((each) => each !== undefined)
    return all.length === 0 ? undefined : Math.min(...all)
  }
}

interface Expected {
  readonly call: TestCall
  /** Any of these. */
  readonly outcomes: readonly (number | string)[]
  /** It waits, or repeats what waits: fails where the disk is full. */
  readonly isPending: boolean
}

/** Starts a call and says what will become of it. */
function start(log: PartitionLog, model: Model, send: Send, pendingFrom: number): Expected {
  const { kind, durability } = send
  const offset = model.end
  if (kind === 'plain') {
    const call = new TestCall({ durability })
    log.append(recordSet('plain'), call)
    model.end += 1
    return { call, outcomes: [offset], isPending: true }
  }
  const of = model.producers[send.producer] as ModelProducer
  const again = kind === 'again' ? of.batches.at(-1 - send.back) : undefined
  const count = kind === 'marker' ? 0 : (again?.count ?? send.count)
  const producer = producerOf(send, of, again)
  const values = Array.from({ length: count }, (_, index) => `${offset + index}`)
  const call = startProducing(log, producer, values, { durability })
  if (producer.producerEpoch < of.epoch) return refused(call, 'PRODUCER_FENCED')
  if (kind === 'gap' && of.next !== undefined) return refused(call, 'OUT_OF_ORDER_SEQUENCE')
  if (again !== undefined) return repeated(call, of, again, send.back, pendingFrom)
  model.write({
    producer: send.producer,
    epoch: producer.producerEpoch,
    first: producer.baseSequence < 0 ? nextOf(send, of) : producer.baseSequence,
    count,
    offset,
    isTransactional: producer.isTransactional,
    ends: producer.ending !== undefined,
  })
  return { call, outcomes: [offset], isPending: true }
}

function producerOf(
  send: Send,
  of: ModelProducer,
  again: ModelProducer['batches'][number] | undefined,
): BatchProducer {
  const outcome = send.outcome ?? (send.kind === 'marker' ? 'abort' : undefined)
  const ends = again === undefined && outcome !== undefined
  return {
    producerId: FIRST_ID + send.producer,
    producerEpoch: Math.max(0, of.epoch + epochStep(send)),
    baseSequence: sequenceOf(send, of, again?.first),
    isTransactional: send.isTransactional || of.openFrom !== undefined || ends,
    ...(ends ? { ending: { outcome, coordinatorEpoch: 1 } } : {}),
  }
}

function epochStep({ kind }: Send): number {
  if (kind === 'new epoch') return 1
  return kind === 'old epoch' ? -1 : 0
}

function nextOf({ kind }: Send, of: ModelProducer): number {
  return kind === 'new epoch' ? 0 : (of.next ?? 0)
}

function sequenceOf(send: Send, of: ModelProducer, again: number | undefined): number {
  if (send.kind === 'next' || send.kind === 'marker') return -1
  if (send.kind === 'again') return again ?? -1
  return nextOf(send, of) + (send.kind === 'gap' ? 2 : 0)
}

function refused(call: TestCall, code: string): Expected {
  return { call, outcomes: [code], isPending: false }
}

function repeated(
  call: TestCall,
  of: ModelProducer,
  batch: ModelProducer['batches'][number],
  back: number,
  pendingFrom: number,
): Expected {
  const isPending = batch.offset >= pendingFrom
  if (isPending || (back < 5 && batch.isSure)) return { call, outcomes: [batch.offset], isPending }
  const later = of.batches
    .slice(of.batches.indexOf(batch))
    .filter(({ offset }) => offset < pendingFrom)
  const isGone = later.length > 5
  return {
    call,
    outcomes: isGone ? ['DUPLICATE_SEQUENCE'] : [batch.offset, 'DUPLICATE_SEQUENCE'],
    isPending,
  }
}

function noRoom({ name, path }: Operation): string | undefined {
  return name === 'write' && path.endsWith('.log') ? 'ENOSPC' : undefined
}

class Run {
  fileSystem = new FaultFileSystem()
  readonly clock = new ManualClock()
  readonly compression: CompressionType
  model = new Model()
  #log: PartitionLog | undefined

  constructor(compression: CompressionType) {
    this.compression = compression
  }

  get log(): PartitionLog {
    assert.ok(this.#log !== undefined)
    return this.#log
  }

  async open(isClean: boolean, recoveryPoint: number): Promise<void> {
    this.#log = await openLog(this.fileSystem, {
      clock: this.clock,
      isClean,
      recoveryPoint,
      config: { segmentBytes: 1200, compression: this.compression, durability: 'os' },
    })
    this.model.reopened()
  }

  async step(step: Step): Promise<void> {
    await this.clock.advance(7)
    const { syncedOffset } = this.log
    if (step.kind === 'sends') await this.#send(step.sends, step.isFull)
    else if (step.kind === 'roll') await this.log.rollNow()
    else if (step.kind === 'flush') await this.log.flush()
    else if (step.kind === 'reopen') {
      await this.log.close()
      await this.open(true, this.log.logEndOffset)
    } else if (step.kind === 'kill') {
      this.fileSystem = this.fileSystem.processKill()
      await this.open(false, syncedOffset)
    } else {
      this.fileSystem = this.fileSystem.powerCut({ mode: 'lose-all' })
      await this.open(false, syncedOffset)
      assert.ok(this.log.logEndOffset >= syncedOffset)
      this.model.rebuild(this.log.logEndOffset)
      this.model.reopened()
    }
    await this.#check()
  }

  async #send(sends: readonly Send[], isFull: boolean): Promise<void> {
    const { model, log } = this
    const before = model.copy()
    const hasRoom = isFull ? this.fileSystem.failWhen(noRoom) : () => {}
    for (const [index, expected] of this.#startAll(sends).entries()) {
      const { call, outcomes, isPending } = expected
      const outcome = await outcomeOf(call)
      const may = isFull && isPending ? ['DISK_FULL'] : outcomes
      assert.ok(may.includes(outcome), `call ${index}: ${outcome}, not one of ${may.join()}`)
    }
    hasRoom()
    if (isFull) this.model = before
    for (const [index, { openFrom }] of this.model.producers.entries()) {
      if (openFrom === undefined) log.visible.release(FIRST_ID + index)
    }
  }

  #startAll(sends: readonly Send[]): Expected[] {
    const { model, log } = this
    const pendingFrom = model.end
    const ended = new Set<number>()
    const expected: Expected[] = []
    for (const send of sends) {
      // The coordinator gives a producer its next transaction once the last one is released.
      if (ended.has(send.producer) && send.kind !== 'plain') continue
      expected.push(start(log, model, send, pendingFrom))
      if (send.outcome !== undefined || send.kind === 'marker') ended.add(send.producer)
    }
    return expected
  }

  async #check(): Promise<void> {
    const { log, model, fileSystem } = this
    assert.equal(log.logEndOffset, model.end)
    const { states, aborted } = await replay(fileSystem, DIRECTORY)
    assert.ok(log.producers.snapshot().equals(states.snapshot()), 'the live state')
    assert.equal(log.firstUnstableOffset, model.openFrom)
    assert.equal(log.lastStableOffset, Math.min(log.highWatermark, model.openFrom ?? model.end))
    assert.deepEqual(await storedAborted(fileSystem, DIRECTORY), aborted)
    await checkSnapshots(fileSystem, DIRECTORY)
  }
}

const aSend: fc.Arbitrary<Send> = fc.record({
  kind: fc.oneof(
    { weight: 6, arbitrary: fc.constant<Send['kind']>('next') },
    {
      weight: 6,
      arbitrary: fc.constantFrom<Send['kind']>(
        ...(['numbered', 'again', 'gap', 'old epoch', 'new epoch', 'marker', 'plain'] as const),
      ),
    },
  ),
  producer: fc.nat(PRODUCERS - 1),
  count: fc.integer({ min: 1, max: 4 }),
  isTransactional: fc.boolean(),
  outcome: fc.constantFrom(undefined, undefined, 'commit' as const, 'abort' as const),
  back: fc.nat(6),
  durability: fc.constantFrom('os' as const, 'disk' as const),
})

const aStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('sends' as const),
      sends: fc.array(aSend, { minLength: 1, maxLength: 6 }),
      isFull: fc.oneof({ weight: 7, arbitrary: fc.constant(false) }, fc.constant(true)),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom(...(['roll', 'flush', 'reopen', 'kill', 'power cut'] as const)),
    }),
  },
)

for (const compression of ['none', 'gzip'] as const) {
  test(`producers of a partition behave as the model says, compression ${compression}`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(aStep, { minLength: 3, maxLength: 25 }), async (steps) => {
        const run = new Run(compression)
        await run.open(false, 0)
        for (const step of steps) await run.step(step)
        await run.log.close()
        await checkSnapshots(run.fileSystem, DIRECTORY)
      }),
      { numRuns: 80 },
    )
  })
}
