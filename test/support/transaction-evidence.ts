/** What is known of transactions on a file system that may end at any moment: each is there as a whole or not at all. */
import assert from 'node:assert/strict'
import type { Log } from '../../src/index.ts'

export interface Place {
  readonly topic: string
  readonly partition: number
}

/** Where records go. */
export const PLACES: readonly Place[] = [
  { topic: 'orders', partition: 0 },
  { topic: 'orders', partition: 1 },
  { topic: 'clicks', partition: 0 },
]
/** A transaction that commits an offset does so for the group of its own name. */
export const COMMITTED = { topic: 'orders', partition: 0, offset: 0 } as const

/** `unknown`: it may be either, until a reader has looked. */
type Outcome = 'unknown' | 'committed' | 'aborted'

interface Noted {
  readonly counts: readonly number[]
  readonly hasOffset: boolean
  outcome: Outcome
}

export const recordOf = (name: string, index: number): string => `${name}/${index}`

export class TransactionEvidence {
  readonly #transactions: Map<string, Noted>

  constructor(transactions = new Map<string, Noted>()) {
    this.#transactions = transactions
  }

  clone(): TransactionEvidence {
    return new TransactionEvidence(structuredClone(this.#transactions))
  }

  /** `counts`: records for each place. A plain produce is noted in the same way. */
  begin(name: string, counts: readonly number[], hasOffset = false): void {
    assert.ok(!this.#transactions.has(name), `${name} was there before`)
    this.#transactions.set(name, { counts, hasOffset, outcome: 'unknown' })
  }

  ended(name: string, outcome: 'committed' | 'aborted'): void {
    const noted = this.#transactions.get(name)
    assert.ok(noted, name)
    assert.ok(
      noted.outcome === 'unknown' || noted.outcome === outcome,
      `${name} was ${noted.outcome} and is ${outcome} now`,
    )
    noted.outcome = outcome
  }

  /** What readers see now is whole and as promised, and is promised from now on. `isOpen`: some may not be decided yet. */
  async check(log: Log, isOpen = false): Promise<void> {
    const records: string[][] = []
    for (const place of PLACES) records.push(await readCommitted(log, place))
    const found = records.map((each) => new Set(each))
    for (const [index, each] of records.entries()) {
      assert.equal(found[index]?.size, each.length, `a record of place ${index} is there twice`)
    }
    // What is not decided before the next open is held until then, with the records of others behind it. Committed offsets count at once.
    const isHeld = isOpen && [...this.#transactions.values()].some(isUnknown)
    let seen = 0
    for (const [name, noted] of this.#transactions) {
      const hasOffset = noted.hasOffset && !isHeld
      const parts = await partsOf(log, name, { ...noted, hasOffset }, found)
      const there = parts.filter((part) => part.isThere)
      assert.ok(
        there.length === 0 || there.length === parts.length,
        `of ${name} there is only ${there.map(({ what }) => what).join(', ')}`,
      )
      seen += noted.outcome !== 'aborted' && there.length > 0 ? sumOf(noted.counts) : 0
      if (isUnknown(noted)) settle(noted, there.length > 0, isOpen)
      else {
        const isThere = there.length > 0
        const isExpected = isThere === (noted.outcome === 'committed') || (isHeld && !isThere)
        assert.ok(isExpected, `${name} was ${noted.outcome}, ${there.length} parts are there`)
      }
    }
    assert.equal(seen, sumOf(records.map((each) => each.length)), 'records from nobody')
  }
}

async function partsOf(
  log: Log,
  name: string,
  { counts, hasOffset }: Noted,
  found: readonly ReadonlySet<string>[],
): Promise<{ readonly what: string; readonly isThere: boolean }[]> {
  const records = counts.flatMap((count, place) =>
    Array.from({ length: count }, (_, index) => ({
      what: `record ${index} of place ${place}`,
      isThere: found[place]?.has(recordOf(name, index)) ?? false,
    })),
  )
  if (!hasOffset) return records
  const offsets = await log.committedOffsets(name)
  return [...records, { what: 'the offset', isThere: offsets.length > 0 }]
}

/** It is what it looks like. */
function settle(noted: Noted, isThere: boolean, isOpen: boolean): void {
  if (isThere) noted.outcome = 'committed'
  else if (!isOpen) noted.outcome = 'aborted'
}

function isUnknown({ outcome }: Noted): boolean {
  return outcome === 'unknown'
}

function sumOf(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0)
}

/** The first words of the values: the rest is padding. */
async function readCommitted(log: Log, { topic, partition }: Place): Promise<string[]> {
  const values: string[] = []
  for (let offset = 0; ; ) {
    const page = await log.fetch(topic, { partition, offset, onCorrupt: 'skip' })
    for (const { value } of page.records) values.push(String(value).split(' ')[0] ?? '')
    if (page.nextOffset === offset) return values
    offset = page.nextOffset
  }
}
