// A bank over several topics: what its accounts hold is the sum of the records about them, and all of it together is always the same.
import assert from 'node:assert/strict'
import type { Durability } from '../../src/index.ts'
import { Log } from '../../src/index.ts'

export const ACCOUNTS = 100
const OPENING_AMOUNT = 100
/** Each works at one transfer after another. */
export const TELLERS = 6
const TOTAL = ACCOUNTS * OPENING_AMOUNT
/** The transfer that gives each account what it begins with. */
export const DEPOSIT = 'deposit'
/** What a transaction may write with its commit; some transfers are larger. */
export const MAX_TRANSACTION_BYTES = 2000

export type BankTopic = 'north' | 'south' | 'west'

export interface Place {
  readonly topic: BankTopic
  readonly partition: number
}

/** One of a transfer's records. */
export interface Entry {
  readonly transfer: string
  readonly account: number
  readonly amount: number
  /** How many records the transfer has. */
  readonly legs: number
  /** The teller whose group commits the name of the transfer with it. */
  readonly noted?: number
  readonly padding?: string
}

export const PLACES: readonly Place[] = [
  { topic: 'north', partition: 0 },
  { topic: 'north', partition: 1 },
  { topic: 'south', partition: 0 },
  { topic: 'south', partition: 1 },
  { topic: 'south', partition: 2 },
  { topic: 'west', partition: 0 },
]

/** Where the records about an account are. */
export function placeOf(account: number): Place {
  const place = PLACES[account % PLACES.length]
  assert.ok(place)
  return place
}

export function openBank(directory: string, durability: Durability) {
  const topic = { value: 'json', segmentBytes: 32 * 1024 } as const
  return Log.open(directory, {
    topics: {
      north: { ...topic, partitions: 2 },
      south: { ...topic, partitions: 3 },
      west: { ...topic, partitions: 1 },
    },
    durability,
    maxTransactionBytes: MAX_TRANSACTION_BYTES,
    flushIntervalMs: 50,
  })
}

export type BankLog = Awaited<ReturnType<typeof openBank>>
export type BankProducer = Awaited<ReturnType<BankLog['producer']>>
export type BankTransaction = Awaited<ReturnType<BankLog['beginTransaction']>>

export const groupOf = (teller: number): string => `teller-${teller}`

/** All of them, when nobody is at work; all is held to what has to be. */
export async function transfersIn(log: BankLog): Promise<string[]> {
  const books = new Books()
  await books.audit(log)
  for (let teller = 0; teller < TELLERS; teller += 1) {
    assert.equal(await lastNoted(log, teller), lastOf(books, teller), `teller ${teller}`)
  }
  return [...books.transfers.keys()]
}

/** The run of processes that a transfer is of. */
export const runOf = (transfer: string): number => Number(transfer.split('-')[0])

/** The teller's last transfer that is noted with its group's offset. */
function lastOf(books: Books, teller: number): string | undefined {
  let last: { readonly transfer: string; readonly place: number } | undefined
  for (const [transfer, { noted }] of books.transfers) {
    if (noted !== teller) continue
    const [, , number] = transfer.split('-').map(Number)
    const place = runOf(transfer) * 1e6 + Number(number)
    if (last === undefined || place > last.place) last = { transfer, place }
  }
  return last?.transfer
}

/** The transfer that was the teller's last to be noted. */
async function lastNoted(log: BankLog, teller: number): Promise<string | undefined> {
  const [commit, ...others] = await log.committedOffsets(groupOf(teller))
  assert.deepEqual(others, [])
  return commit?.metadata
}

interface Transfer {
  readonly legs: number
  readonly noted: number | undefined
  found: number
  sum: number
}

/** What a reader has found so far. */
export class Books {
  readonly transfers = new Map<string, Transfer>()
  readonly #positions = new Map<Place, number>()
  /** Transfers of which records are missing. */
  readonly #partial = new Set<string>()
  #total = 0

  /**
   * Reads on, to what the last stable offsets are now, all of them of one moment; then all is as it must be at any moment. Readers go up to the
   * last stable offset by themselves, which may have moved since: what lies above is left for the next time.
   */
  async audit(log: BankLog): Promise<void> {
    const ends = log.stableOffsets(['north', 'south', 'west'])
    for (const place of PLACES) {
      const { topic, partition } = place
      const end = ends.find((each) => each.topic === topic && each.partition === partition)
      assert.ok(end, `${topic}-${partition} has no last stable offset`)
      await this.#readTo(log, place, end.lastStableOffset)
    }
    assert.deepEqual([...this.#partial], [], 'transfers of which a part is seen')
    const expected = this.transfers.has(DEPOSIT) ? TOTAL : 0
    assert.equal(this.#total, expected, `${this.transfers.size} transfers add up to another total`)
  }

  async #readTo(log: BankLog, place: Place, end: number): Promise<void> {
    const { topic, partition } = place
    let offset = this.#positions.get(place) ?? 0
    while (offset < end) {
      const page = await log.fetch(topic, { partition, offset })
      assert.ok(page.nextOffset > offset, `${topic}-${partition} cannot be read on at ${offset}`)
      for (const record of page.records) {
        if (record.offset < end) this.#add(record.value as Entry, place)
      }
      offset = Math.min(page.nextOffset, end)
    }
    this.#positions.set(place, offset)
  }

  #add({ transfer, account, amount, legs, noted }: Entry, place: Place): void {
    assert.equal(placeOf(account), place, `account ${account} is not of ${place.topic}`)
    const found = this.transfers.get(transfer) ?? { legs, noted, found: 0, sum: 0 }
    this.transfers.set(transfer, found)
    found.found += 1
    found.sum += amount
    this.#total += amount
    if (found.found < legs) this.#partial.add(transfer)
    else this.#partial.delete(transfer)
    assert.ok(found.found <= legs, `${transfer} is there twice`)
    const sum = transfer === DEPOSIT ? TOTAL : 0
    assert.ok(found.found < legs || found.sum === sum, `${transfer} adds up to ${found.sum}`)
  }
}

/** The deposit's records. */
export function openingEntries(): Entry[] {
  return Array.from({ length: ACCOUNTS }, (_, account) => ({
    transfer: DEPOSIT,
    account,
    amount: OPENING_AMOUNT,
    legs: ACCOUNTS,
  }))
}
