// A process that transfers between the accounts of a bank is killed at a random moment, again and again: each transfer is there as a whole or
// not at all, the acknowledged ones are there, and at every moment all accounts together hold the same.
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import type { Durability } from '../../src/index.ts'
import { DEPOSIT, openBank, runOf, transfersIn } from '../support/bank.ts'
import type { BankTold, TransferWay } from '../support/bank-child.ts'
import { compile } from '../support/compile.ts'
import { at } from '../support/failure-place.ts'
import { randomInteger, seededRandom } from '../support/random.ts'
import { runToldChild } from '../support/told-child.ts'

const KILLS = Number(process.env['BROKERLESS_ROUNDS'] ?? 200)
const SEED = Number(process.env['BROKERLESS_SEED'] ?? Date.now() % 2 ** 31)
/** Then a new bank is opened. */
const KILLS_A_BANK = 10
/** Each so many-th process is not killed, but told to end. */
const RUNS_TO_AN_END = 10
/** Lines that a child may tell before it is ended. */
const MAX_LINES = 60
/** Banks at work at the same time: a process is waiting for most of its life. */
const LANES = 2

interface Sums {
  lines: number
  audits: number
  /** Transfers that were never acknowledged and are there, and those that are not there. */
  unacknowledged: number
  readonly told: Record<string, number>
}

class KilledBank {
  readonly #directory: string
  readonly #durability: Durability
  readonly #random: () => number
  readonly #sums: Sums
  readonly #committed = new Set<string>()
  readonly #refused = new Set<string>()
  /** What was there at the last look. */
  #seen: ReadonlySet<string> = new Set()
  /** The run that began with it. */
  #lookedAt = 0
  #runs = 0

  constructor(directory: string, durability: Durability, random: () => number, sums: Sums) {
    this.#directory = directory
    this.#durability = durability
    this.#random = random
    this.#sums = sums
  }

  async run(script: string, isKilled: boolean): Promise<void> {
    this.#runs += 1
    const seed = randomInteger(this.#random, 2 ** 31)
    const lastLine = Math.floor(this.#random() ** 2 * MAX_LINES)
    const args = [this.#directory, String(this.#runs), String(seed), this.#durability]
    const lines = await runToldChild<BankTold>({ script, args, lastLine, isKilled }, (told) =>
      this.#note(told),
    )
    // Other banks have added theirs meanwhile.
    this.#sums.lines += lines
  }

  #note(told: BankTold): void {
    const { is } = told
    if (is === 'audited') this.#sums.audits += 1
    if (is === 'found') this.#look(told.transfers)
    if (is !== 'committed' && is !== 'refused') return
    if (is === 'committed') this.#committed.add(told.transfer)
    else this.#refused.add(told.transfer)
    const kind: `${TransferWay} ${typeof is}` = `${told.way} ${is}`
    this.#sums.told[kind] = (this.#sums.told[kind] ?? 0) + 1
  }

  /** The last process has left nobody behind it. */
  async end(): Promise<void> {
    const log = await openBank(this.#directory, this.#durability)
    try {
      this.#look(await transfersIn(log))
    } finally {
      await log.close()
    }
  }

  /** Each process tells what it finds before it begins: what those before it have left. */
  #look(found: readonly string[]): void {
    const transfers = new Set(found)
    for (const transfer of this.#committed) {
      assert.ok(transfers.has(transfer), `${transfer} was acknowledged and is not there`)
    }
    for (const transfer of this.#seen) {
      assert.ok(transfers.has(transfer), `${transfer} was there and is gone`)
    }
    for (const transfer of transfers) {
      assert.ok(!this.#refused.has(transfer), `${transfer} was refused and is there`)
      if (this.#seen.has(transfer)) continue
      if (!this.#committed.has(transfer)) this.#sums.unacknowledged += 1
      const isLate = transfer !== DEPOSIT && runOf(transfer) < this.#lookedAt
      assert.ok(!isLate, `${transfer} comes too late`)
    }
    this.#seen = transfers
    this.#lookedAt = this.#runs
  }
}

test(`in ${KILLS} kills of a bank every transfer is there whole or not at all, the acknowledged ones are there, and no view of it misses money`, async (t) => {
  t.diagnostic(`BROKERLESS_SEED=${SEED}`)
  await using child = await compile(path.resolve(import.meta.dirname, '../support/bank-child.ts'))
  const sums: Sums = { lines: 0, audits: 0, unacknowledged: 0, told: {} }
  let begun = 0
  const lane = async (): Promise<void> => {
    while (begun < KILLS) {
      const first = begun
      begun += KILLS_A_BANK
      const kills = Math.min(KILLS_A_BANK, KILLS - first)
      await runBank(child.script, SEED + first, kills, sums)
    }
  }
  await Promise.all(Array.from({ length: LANES }, lane))
  t.diagnostic(JSON.stringify(sums))
  assert.ok(sums.lines > KILLS * 10, JSON.stringify(sums))
  assert.ok(sums.audits > 0 && (sums.told['whole committed'] ?? 0) > 0, JSON.stringify(sums))
})

async function runBank(script: string, seed: number, kills: number, sums: Sums): Promise<void> {
  const directory = await mkdtemp(path.join(tmpdir(), 'brokerless-bank-'))
  const random = seededRandom(seed)
  const durability = random() < 0.3 ? 'disk' : 'os'
  const bank = new KilledBank(directory, durability, random, sums)
  for (let runs = 0, killed = 0; killed < kills; runs += 1) {
    const isKilled = runs % RUNS_TO_AN_END !== RUNS_TO_AN_END - 1
    // Where it fails the directory stays, to be looked at.
    await at(`${directory}, run ${runs + 1}`, seed, () => bank.run(script, isKilled))
    if (isKilled) killed += 1
  }
  await at(`${directory}, at last`, seed, () => bank.end())
  await rm(directory, { recursive: true })
}
