/** Sends records to a topic, a batch at a time. */
import type { BatchAcknowledgement, Durability, ProduceOptions, RecordHeaders } from '../index.ts'
import { LogError, PartialProduceError } from '../index.ts'
import { messageOf, Trouble } from './errors.ts'
import type { RawLog } from './log-directory.ts'
import type { RawRecordToProduce } from './record-parser.ts'

/** Sent at once, as far as the topic takes batches of this size. */
const MOST_BYTES = 512 * 1024
/** At most what a record adds to its batch beside key, value and headers, and a header beside its name and value. */
const RECORD_BYTES = 40
const HEADER_BYTES = 12
const BATCH_HEADER_BYTES = 61

export interface SenderOptions {
  readonly topic: string
  /** Of all calls. */
  readonly produce: ProduceOptions
  /** The largest batch that the topic takes. */
  readonly maxBatchBytes: number
  /** Called when a batch could not be written: nothing more will be. */
  readonly onFailure: () => void
}

/** What came of a partition's records. */
export interface SentTo {
  readonly partition: number
  records: number
  readonly firstOffset: number
  lastOffset: number
}

/**
 * One batch is under way at a time, so that behind one that fails nothing has been written; meanwhile the next one is
 * gathered. Adding waits where that is full.
 */
export class RecordSender {
  records = 0
  durability: Durability | undefined
  readonly #log: RawLog
  readonly #options: SenderOptions
  readonly #mostBytes: number
  readonly #sent = new Map<number, SentTo>()
  #gathered: RawRecordToProduce[] = []
  #gatheredBytes = 0
  /** Of the first record that is gathered, and of the last one that was added. */
  #firstLine = 0
  #line = 0
  #underWay: Promise<void> | undefined
  #isNudged = false
  #failure: Trouble | undefined

  constructor(log: RawLog, options: SenderOptions) {
    this.#log = log
    this.#options = options
    this.#mostBytes = Math.min(MOST_BYTES, options.maxBatchBytes) - BATCH_HEADER_BYTES
  }

  /** By partition. */
  get sent(): readonly SentTo[] {
    return [...this.#sent.values()].sort((a, b) => a.partition - b.partition)
  }

  /**
   * `line`: where it came from, for messages. Throws, or rejects, where an earlier record could not be written. A promise is
   * only given where there is something to wait for: one for each record would take as long as all the rest.
   */
  add(record: RawRecordToProduce, line: number): Promise<void> | undefined {
    const bytes = sizeOf(record)
    const isFull = this.#gathered.length > 0 && this.#gatheredBytes + bytes > this.#mostBytes
    if (isFull && this.#underWay !== undefined) {
      return this.#underWay.then(() => this.add(record, line))
    }
    if (isFull) this.#send()
    this.#requireWell()
    this.#gather(record, bytes, line)
    return undefined
  }

  #gather(record: RawRecordToProduce, bytes: number, line: number): void {
    if (this.#gathered.length === 0) this.#firstLine = line
    this.#gathered.push(record)
    this.#gatheredBytes += bytes
    this.#line = line
  }

  /** No more is at hand: what is gathered is sent as soon as nothing is under way. */
  nudge(): void {
    if (this.#underWay === undefined) this.#send()
    else this.#isNudged = true
  }

  /** Sends the rest, and waits for it. */
  async finish(): Promise<void> {
    while (this.#underWay !== undefined || this.#gathered.length > 0) {
      if (this.#underWay === undefined) this.#send()
      await this.#underWay
    }
    this.#requireWell()
  }

  #requireWell(): void {
    if (this.#failure !== undefined) throw this.#failure
  }

  #send(): void {
    const records = this.#gathered
    this.#gathered = []
    this.#gatheredBytes = 0
    this.#isNudged = false
    if (records.length === 0 || this.#failure !== undefined) return
    this.#underWay = this.#produce(records, this.#firstLine, this.#line).finally(() => {
      this.#underWay = undefined
      if (this.#isNudged) this.#send()
    })
  }

  async #produce(
    records: readonly RawRecordToProduce[],
    first: number,
    last: number,
  ): Promise<void> {
    const { topic, produce } = this.#options
    try {
      this.#count(await this.#log.produce(topic, records, produce))
    } catch (error) {
      if (error instanceof PartialProduceError) {
        this.#count(error.acknowledged as readonly BatchAcknowledgement[])
      }
      const lines = first === last ? `line ${first}` : `lines ${first} to ${last}`
      const hint = error instanceof LogError && error.retryable ? '; try again later' : ''
      this.#failure = new Trouble(`${lines}: ${messageOf(error)}${hint}`, { cause: error })
      this.#options.onFailure()
    }
  }

  #count(acknowledged: readonly BatchAcknowledgement[]): void {
    for (const { partition, baseOffset, lastOffset, durability } of acknowledged) {
      const count = lastOffset - baseOffset + 1
      this.records += count
      this.durability = durability
      const before = this.#sent.get(partition)
      if (before === undefined) {
        this.#sent.set(partition, {
          partition,
          records: count,
          firstOffset: baseOffset,
          lastOffset,
        })
      } else {
        before.records += count
        before.lastOffset = lastOffset
      }
    }
  }
}

/** At least what the record adds to its batch. */
function sizeOf({ key, value, headers }: RawRecordToProduce): number {
  const own = (key?.length ?? 0) + (value?.length ?? 0) + RECORD_BYTES
  return headers === undefined ? own : own + sizeOfHeaders(headers)
}

function sizeOfHeaders(headers: RecordHeaders): number {
  let size = 0
  for (const [name, value] of Object.entries(headers)) {
    const values = Array.isArray(value) ? value : [value]
    for (const each of values) {
      size += HEADER_BYTES + 3 * name.length + 3 * (each?.length ?? 0)
    }
  }
  return size
}
