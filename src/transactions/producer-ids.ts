import { batchSizeAt, producerIdAt } from '../codec/batch.ts'
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
  hasGiven(producerId: number): boolean {
    if (producerId >= this.#source.nextProducerId()) return false
    return producerId < this.#next || producerId >= this.#end
  }

  async #takeBlock(): Promise<void> {
    const source = this.#source
    let atLeast = FIRST_PRODUCER_ID
    for (const id of source.knownProducerIds()) atLeast = Math.max(atLeast, id + 1)
    for (const { producers } of source.partitions()) {
      for (const { producerId } of producers.entries()) atLeast = Math.max(atLeast, producerId + 1)
    }
    if (source.nextProducerId() < atLeast) {
      for (const log of source.partitions()) atLeast = Math.max(atLeast, await nextIdAbove(log))
    }
    const first = await source.takeProducerIds(BLOCK, atLeast)
    this.#next = first
    this.#end = first + BLOCK
  }
}

/** Above all producer ids in the batches of a partition. */
async function nextIdAbove(log: PartitionLog): Promise<number> {
  let next = 0
  const end = log.logEndOffset
  for (let offset = log.logStartOffset; offset < end; ) {
    const page = await log.read({
      offset,
      end,
      maxBytes: PAGE_BYTES,
      maxRecords: Number.POSITIVE_INFINITY,
      onCorrupt: 'skip',
    })
    for (let at = page.start; at < page.end; at += batchSizeAt(page.buffer, at)) {
      next = Math.max(next, producerIdAt(page.buffer, at) + 1)
    }
    if (page.nextOffset <= offset) break
    offset = page.nextOffset
    if (turnIsLong()) await nextTurn()
  }
  return next
}
