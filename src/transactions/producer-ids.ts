import { batchSizeAt, producerIdAt } from '../codec/batch.ts'
import { OffsetOutOfRangeError } from '../errors.ts'
import type { Page } from '../storage/page.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import { FIRST_PRODUCER_ID } from '../topics/topic-store-format.ts'
import { Mutex } from '../util/mutex.ts'
import { nextTurn, turnIsLong } from '../util/turn.ts'

/** Ids are taken from the file so many at a time; those of a block that is not used up are lost. */
const BLOCK = 1000
const PAGE_BYTES = 1024 * 1024

export interface ProducerIdSource {
  /** As it is stored; below `FIRST_PRODUCER_ID` where that was lost. */
  nextProducerId(): number
  /** Takes ids, none below `atLeast`, durably; answers with the first. */
  takeProducerIds(count: number, atLeast: number): Promise<number>
  partitions(): readonly PartitionLog[]
  /** Of transactional ids. */
  knownProducerIds(): Iterable<number>
}

/**
 * Gives producer ids that nobody has had. The file with the next one is believed where nothing speaks against it; where it is older than what
 * partitions and `__transaction_state` know, or was lost, all batches are looked at, since producers that were idle for long are known from them alone.
 */
export class ProducerIds {
  readonly #source: ProducerIdSource
  readonly #mutex = new Mutex()
  #next = 0
  #end = 0
  /** Ids below were given, as batches say where the file does not. */
  #found = 0

  constructor(source: ProducerIdSource) {
    this.#source = source
  }

  async next(): Promise<number> {
    if (this.#next === this.#end) {
      await this.#mutex.run(async () => {
        if (this.#next === this.#end) await this.#takeBlock()
      })
      // Others may have waited for the block as well.
      return this.next()
    }
    const id = this.#next
    this.#next += 1
    return id
  }

  /** It is nobody's to come: what is left of the block at hand will be given yet. */
  async hasGiven(producerId: number): Promise<boolean> {
    if (producerId >= this.#source.nextProducerId()) {
      if (producerId >= this.#found) this.#found = await this.#lowestFree()
      return producerId < this.#found
    }
    return producerId < this.#next || producerId >= this.#end
  }

  async #takeBlock(): Promise<void> {
    const first = await this.#source.takeProducerIds(BLOCK, await this.#lowestFree())
    this.#next = first
    this.#end = first + BLOCK
  }

  /** No id from it on is known to have been given; the file may say more. */
  async #lowestFree(): Promise<number> {
    const source = this.#source
    let atLeast = FIRST_PRODUCER_ID
    for (const id of source.knownProducerIds()) atLeast = Math.max(atLeast, id + 1)
    for (const { producers } of source.partitions()) {
      for (const { producerId } of producers.entries()) atLeast = Math.max(atLeast, producerId + 1)
    }
    if (source.nextProducerId() < atLeast) {
      for (const log of source.partitions()) atLeast = Math.max(atLeast, await nextIdAbove(log))
    }
    return atLeast
  }
}

/** Above all producer ids in the batches of a partition. */
async function nextIdAbove(log: PartitionLog): Promise<number> {
  let next = 0
  const end = log.logEndOffset
  for (let offset = log.logStartOffset; offset < end; ) {
    const page = await pageAt(log, offset, end)
    if (page === undefined) {
      offset = log.logStartOffset
      continue
    }
    for (let at = page.start; at < page.end; at += batchSizeAt(page.buffer, at)) {
      next = Math.max(next, producerIdAt(page.buffer, at) + 1)
    }
    if (page.nextOffset <= offset) break
    offset = page.nextOffset
    if (turnIsLong()) await nextTurn()
  }
  return next
}

/** Undefined where retention has taken the offset meanwhile. */
async function pageAt(log: PartitionLog, offset: number, end: number): Promise<Page | undefined> {
  try {
    const maxRecords = Number.POSITIVE_INFINITY
    return await log.read({ offset, end, maxBytes: PAGE_BYTES, maxRecords, onCorrupt: 'skip' })
  } catch (error) {
    if (error instanceof OffsetOutOfRangeError && offset < log.logStartOffset) return undefined
    throw error
  }
}
