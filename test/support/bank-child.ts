// A process that transfers between the accounts of a bank, until it is killed or told to end, and tells how transfers ended:
// DIRECTORY RUN SEED DURABILITY.
import type { Durability, LogErrorCode, TransactionOptions } from '../../src/index.ts'
import { LogError } from '../../src/index.ts'
import type { BankLog, BankProducer, BankTransaction, Entry } from './bank.ts'
import {
  ACCOUNTS,
  Books,
  DEPOSIT,
  groupOf,
  MAX_TRANSACTION_BYTES,
  openBank,
  openingEntries,
  placeOf,
  TELLERS,
  transfersIn,
} from './bank.ts'
import { randomInteger, seededRandom } from './random.ts'
import { isProgram, tellParent } from './tell.ts'

export type BankTold =
  | { readonly is: 'opened' | 'closed' }
  /** What the processes before have left. */
  | { readonly is: 'found'; readonly transfers: readonly string[] }
  /** All accounts were looked at, with new transfers, and were right. */
  | { readonly is: 'audited'; readonly transfers: number }
  /** Acknowledged: it is there. `refused`: it must never be. */
  | { readonly is: 'committed' | 'refused'; readonly transfer: string; readonly way: TransferWay }

const tell: (told: BankTold) => void = tellParent

/** The first few have a producer of their own, by name. */
const NAMED_TELLERS = 2

/** How a transfer goes, by how often. */
const WAYS = {
  whole: 60,
  /** Only where the partition ends as it was seen. */
  expecting: 12,
  /** The function that makes it throws. */
  throwing: 7,
  aborted: 7,
  /** More than is kept for the commit. */
  large: 5,
  largeAborted: 4,
  timedOut: 3,
  /** Another producer of the same name takes over. */
  fenced: 2,
} as const

export type TransferWay = keyof typeof WAYS

class NotMeant extends Error {}

class Bank {
  readonly log: BankLog
  readonly run: string
  readonly #random: () => number
  isEnding = false

  constructor(log: BankLog, run: string, seed: number) {
    this.log = log
    this.run = run
    this.#random = seededRandom(seed)
  }

  below(limit: number): number {
    return randomInteger(this.#random, limit)
  }

  way(): TransferWay {
    const all = Object.entries(WAYS) as [TransferWay, number][]
    let left = this.below(all.reduce((sum, [, weight]) => sum + weight, 0))
    for (const [way, weight] of all) {
      if (left < weight) return way
      left -= weight
    }
    return 'whole'
  }

  /** At the first time of all it gives each account what it begins with. */
  async open(): Promise<void> {
    const transfers = await transfersIn(this.log)
    tell({ is: 'found', transfers })
    if (transfers.includes(DEPOSIT)) return
    await this.log.transaction((tx) => record(tx, openingEntries()))
    tell({ is: 'committed', transfer: DEPOSIT, way: 'whole' })
  }

  async work(): Promise<void> {
    const tellers = Array.from({ length: TELLERS }, (_, number) => new Teller(this, number).work())
    await Promise.all([this.#audit(), ...tellers])
  }

  /** Looks at what has come since, all the time. */
  async #audit(): Promise<void> {
    const books = new Books()
    for (let told = 0; !this.isEnding; ) {
      await books.audit(this.log)
      const transfers = books.transfers.size
      if (transfers > told) tell({ is: 'audited', transfers })
      told = transfers
      await later()
    }
  }
}

class Teller {
  readonly #bank: Bank
  readonly #number: number
  #producer: BankProducer | undefined
  #transfers = 0

  constructor(bank: Bank, number: number) {
    this.#bank = bank
    this.#number = number
  }

  async work(): Promise<void> {
    if (this.#number < NAMED_TELLERS) this.#producer = await this.#named()
    while (!this.#bank.isEnding) {
      const way = this.#bank.way()
      this.#transfers += 1
      const transfer = `${this.#bank.run}-${this.#number}-${this.#transfers}`
      const isCommitted = await this.#transfer(transfer, way)
      tell({ is: isCommitted ? 'committed' : 'refused', transfer, way })
    }
  }

  /** Answers whether it was committed. */
  async #transfer(transfer: string, way: TransferWay): Promise<boolean> {
    const entries = this.#entries(transfer, way === 'large' || way === 'largeAborted')
    const fill = (tx: BankTransaction): Promise<void> => this.#fill(tx, entries)
    if (way === 'whole' || way === 'large') {
      await this.#in(fill)
      return true
    }
    if (way === 'expecting') return await this.#expecting(entries)
    if (way === 'throwing') {
      const ended = this.#in(async (tx) => {
        await fill(tx)
        throw new NotMeant()
      })
      return await endsWell(ended, (error) => error instanceof NotMeant)
    }
    if (way === 'fenced') return await this.#fenced(fill)
    if (way === 'timedOut') return await this.#timedOut(fill)
    const tx = await this.#begin()
    await fill(tx)
    await tx.abort()
    return false
  }

  async #in(work: (tx: BankTransaction) => Promise<void>): Promise<void> {
    await (this.#producer ?? this.#bank.log).transaction(work)
  }

  async #begin(options?: TransactionOptions): Promise<BankTransaction> {
    return await (this.#producer?.begin(options) ?? this.#bank.log.beginTransaction(options))
  }

  async #fill(
    tx: BankTransaction,
    entries: readonly Entry[],
    expectedOffset?: number,
  ): Promise<void> {
    await record(tx, entries, expectedOffset)
    const [{ noted, transfer } = {}] = entries
    if (noted === undefined || transfer === undefined) return
    const commit = { topic: 'north', partition: 0, offset: 0, metadata: transfer } as const
    await tx.commitOffset(groupOf(noted), commit)
  }

  /** The first of the records has to stand at the end that its partition has now. */
  async #expecting(entries: readonly Entry[]): Promise<boolean> {
    const { topic, partition } = placeOf(entries[0]?.account ?? 0)
    const { partitions } = await this.#bank.log.describeTopic(topic)
    const end = partitions[partition]?.logEndOffset
    if (this.#bank.below(2) === 0) await later()
    const ended = this.#in((tx) => this.#fill(tx, entries, end))
    return await endsWell(ended, hasCode('OFFSET_CONFLICT'))
  }

  async #fenced(fill: (tx: BankTransaction) => Promise<void>): Promise<boolean> {
    const tx = await this.#begin()
    await fill(tx)
    if (this.#producer === undefined) {
      await tx.abort()
      return false
    }
    this.#producer = await this.#named()
    return await endsWell(tx.commit(), hasCode('PRODUCER_FENCED'))
  }

  async #timedOut(fill: (tx: BankTransaction) => Promise<void>): Promise<boolean> {
    const tx = await this.#begin({ transactionTimeoutMs: 1 })
    await endsWell(fill(tx), hasCode('TRANSACTION_ABORTED'))
    while (tx.state === 'open') await later()
    const isCommitted = await endsWell(tx.commit(), hasCode('TRANSACTION_ABORTED'))
    if (this.#producer !== undefined) this.#producer = await this.#named()
    return isCommitted
  }

  #named(): Promise<BankProducer> {
    return this.#bank.log.producer({ transactionalId: `teller-${this.#number}` })
  }

  #entries(transfer: string, isLarge: boolean): Entry[] {
    const bank = this.#bank
    const receivers = 1 + (bank.below(4) === 0 ? bank.below(3) : 0)
    const amount = bank.below(50)
    const each = {
      transfer,
      legs: receivers + 1,
      ...(bank.below(2) === 0 ? { noted: this.#number } : {}),
      ...(isLarge ? { padding: 'x'.repeat(MAX_TRANSACTION_BYTES) } : {}),
    }
    const account = (): number => bank.below(ACCOUNTS)
    const receiving = Array.from({ length: receivers }, () => ({
      ...each,
      account: account(),
      amount,
    }))
    return [{ ...each, account: account(), amount: -amount * receivers }, ...receiving]
  }
}

/** The first of them may have to stand at a certain offset. */
async function record(
  tx: BankTransaction,
  entries: readonly Entry[],
  expectedOffset?: number,
): Promise<void> {
  const buffered = entries.map((entry, index) => {
    const { topic, partition } = placeOf(entry.account)
    const expected = index > 0 || expectedOffset === undefined ? {} : { expectedOffset }
    const options = { partition, ...expected }
    return tx.produce(topic, { key: String(entry.account), value: entry }, options)
  })
  await Promise.all(buffered)
}

/** Whether it does; it may fail only as the check allows. */
async function endsWell(
  ended: Promise<unknown>,
  mayFail: (error: unknown) => boolean,
): Promise<boolean> {
  try {
    await ended
    return true
  } catch (error) {
    if (mayFail(error)) return false
    throw error
  }
}

function hasCode(code: LogErrorCode): (error: unknown) => boolean {
  return (error) => error instanceof LogError && error.code === code
}

function later(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}

if (isProgram(import.meta.filename)) {
  const [directory = '', run = '', seed, durability] = process.argv.slice(2)
  const log = await openBank(directory, durability as Durability)
  tell({ is: 'opened' })
  const bank = new Bank(log, run, Number(seed))
  process.stdin.once('data', () => {
    bank.isEnding = true
  })
  await bank.open()
  await bank.work()
  await log.close()
  tell({ is: 'closed' })
  process.exit(0)
}
