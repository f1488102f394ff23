/** An idempotent producer that sends, sends again and leaves gaps, over the openings of a log. */
import assert from 'node:assert/strict'
import type { BatchAcknowledgement, Log, Producer } from '../../src/index.ts'
import { LogError } from '../../src/index.ts'
import type { SentRecord } from './modelled-transactions.ts'
import type { Place, TransactionsModel } from './transactions-model.ts'

interface Batch {
  readonly sequence: number
  readonly records: readonly { readonly key: string; readonly value: string }[]
  readonly told: BatchAcknowledgement
  /** Since the log was opened. */
  isRecent: boolean
}

/** Batches that are remembered of a producer in a partition. */
const REMEMBERED = 5

export class IdempotentSender {
  readonly #batches = new Map<Place, Batch[]>()
  #identity: { readonly producerId: number; readonly producerEpoch: number } | undefined
  #opened: Producer | undefined

  /** It is the same one in each process. */
  async open(log: Log): Promise<void> {
    const producer = await log.producer({ idempotent: true, ...this.#identity })
    const { producerId, producerEpoch } = producer
    if (this.#identity === undefined) assert.ok(producerId >= 2 ** 40, `${producerId}`)
    else assert.deepEqual({ producerId, producerEpoch }, this.#identity)
    this.#identity = { producerId, producerEpoch }
    this.#opened = producer
    for (const batches of this.#batches.values()) for (const each of batches) each.isRecent = false
  }

  async send(
    model: TransactionsModel,
    place: Place,
    records: readonly SentRecord[],
  ): Promise<void> {
    const owner = model.begin(false)
    const sent = records.map(({ key, bytes }) => ({
      key,
      value: model.send(owner, place, key, bytes),
    }))
    const batches = this.#of(place)
    const { topic, partition } = place
    const [told] = await this.#producer.produce(topic, sent, { partition, durability: 'disk' })
    assert.ok(told)
    assert.equal(told.lastOffset, told.baseOffset + sent.length - 1)
    model.told(owner, place, told.baseOffset, told.lastOffset)
    model.committed(owner)
    batches.push({ sequence: this.#next(place), records: sent, told, isRecent: true })
  }

  /** The first answer comes again, and nothing is written. */
  async retry(place: Place, back: number): Promise<void> {
    const batches = this.#of(place)
    const batch = batches.at(-1 - back)
    if (batch === undefined) return
    const { topic, partition } = place
    const { sequence, told } = batch
    const call = this.#producer.produce(topic, batch.records, {
      partition,
      sequence,
      durability: 'disk',
    })
    // Of those that were sent before the log was opened the last is remembered, and what recovery has read.
    const isRemembered = back === 0 || (back < REMEMBERED && batch.isRecent)
    const mayBeOld = back > 0 && !isRemembered
    try {
      const [again] = await call
      assert.deepEqual(again, told)
      assert.ok(back < REMEMBERED, `one of ${back} before the last is remembered`)
    } catch (error) {
      if (!mayBeOld) throw error
      hasCode(error, 'DUPLICATE_SEQUENCE')
    }
  }

  async leaveGap(place: Place): Promise<void> {
    if (this.#of(place).length === 0) return
    const { topic, partition } = place
    const sequence = this.#next(place) + 1
    const record = { key: 'a', value: 'behind a gap' }
    const call = this.#producer.produce(topic, [record], { partition, sequence })
    await assert.rejects(call, (error) => hasCode(error, 'OUT_OF_ORDER_SEQUENCE'))
  }

  get #producer(): Producer {
    assert.ok(this.#opened)
    return this.#opened
  }

  #of(place: Place): Batch[] {
    const known = this.#batches.get(place) ?? []
    this.#batches.set(place, known)
    return known
  }

  #next(place: Place): number {
    const last = this.#of(place).at(-1)
    return last === undefined ? 0 : last.sequence + last.records.length
  }
}

function hasCode(error: unknown, code: string): boolean {
  assert.ok(error instanceof LogError, String(error))
  assert.equal(error.code, code)
  return true
}
