// A process that writes is killed at a random moment, again and again; nothing that it was promised may be gone.
import assert from 'node:assert/strict'
import type { ChildProcessByStdio } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { test } from 'node:test'
import type { Log } from '../../src/index.ts'
import { compile } from '../support/compile.ts'
import { CrashEvidence, valueFor } from '../support/crash-evidence.ts'
import type { Told, ToldOffset, Work } from '../support/kill-child.ts'
import { GROUP, openLog, TOPIC_NAMES, TOPICS } from '../support/kill-child.ts'
import { randomInteger, seededRandom } from '../support/random.ts'

const ROUNDS = Number(process.env['BROKERLESS_ROUNDS'] ?? 200)
const SEED = Number(process.env['BROKERLESS_SEED'] ?? Date.now() % 2 ** 31)
/** Then a new directory is begun, as each round reads all of it. */
const ROUNDS_A_DIRECTORY = 10
/** Lines that a child may tell before it is killed; half of them tell less than an eighth of it. */
const MAX_LINES = 300
const CALLS_A_ROUND = 1_000_000

type Child = ChildProcessByStdio<Writable, Readable, null>

/** Children, each started while the one before it works: to load its modules takes as long as a round does. */
class Children implements AsyncDisposable {
  readonly #script: string
  #next: Child

  constructor(script: string) {
    this.#script = script
    this.#next = this.#start()
  }

  begin(work: Work): Child {
    const child = this.#next
    this.#next = this.#start()
    child.stdin.end(JSON.stringify(work))
    return child
  }

  #start(): Child {
    return spawn(process.execPath, [this.#script], { stdio: ['pipe', 'pipe', 'inherit'] })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exited = once(this.#next, 'exit')
    this.#next.kill('SIGKILL')
    await exited
  }
}

class KilledLog {
  readonly #directory: string
  readonly #evidence = new CrashEvidence()
  readonly #random: () => number
  readonly #acknowledge = new Map<string, (level: 'disk' | 'os') => void>()

  constructor(directory: string, random: () => number) {
    this.#directory = directory
    this.#random = random
    for (const name of TOPIC_NAMES) {
      const { partitions, durability } = TOPICS[name]
      this.#evidence.creating(name, partitions, durability, false)
    }
  }

  /** Answers with the number of lines that the child told. */
  async runChild(children: Children, round: number): Promise<number> {
    const seed = randomInteger(this.#random, 2 ** 31)
    const lastLine = Math.floor(this.#random() ** 3 * MAX_LINES)
    const firstCall = round * CALLS_A_ROUND
    const child = children.begin({ directory: this.#directory, seed, firstCall })
    const exited = once(child, 'exit')
    let lines = 0
    for await (const line of createInterface(child.stdout)) {
      if (lines === lastLine) child.kill('SIGKILL')
      lines += 1
      // The last line may be cut off.
      if (line.endsWith('}')) this.#note(JSON.parse(line) as Told)
    }
    const [code, signal] = await exited
    assert.equal(signal, 'SIGKILL', `the child ended by itself, with ${code}`)
    return lines
  }

  /** Opens what was left, checks it, adds to it, and closes it. */
  async check(round: number): Promise<void> {
    this.#evidence.opening()
    const log = await openLog(this.#directory)
    try {
      for (const name of TOPIC_NAMES) this.#evidence.created(name)
      await this.#evidence.check(log as unknown as Log, 'os')
      for (const topic of TOPIC_NAMES) {
        const value = valueFor((round + 1) * CALLS_A_ROUND, 0, 1)
        const { offset } = await log.produce(topic, { value, partition: 0 })
        this.#evidence.acknowledged(topic, 0, offset, [value], TOPICS[topic].durability)
      }
    } finally {
      this.#evidence.closing()
      await log.close()
    }
    this.#evidence.closed()
  }

  #note(told: Told): void {
    const evidence = this.#evidence
    if (told.is === 'opening') evidence.opening()
    else if (told.is === 'opened') this.#opened()
    else if (told.is === 'acknowledged' || told.is === 'seen') {
      const { topic, partition, offset, values, level } = told
      evidence.acknowledged(topic, partition, offset, values, level)
    } else if (told.is === 'deleting') {
      evidence.deletingRecords(told.topic, told.partition, told.before)
    } else if (told.is === 'deleted') {
      evidence.deletedRecords(told.topic, told.partition, told.before)
    } else if (told.is === 'committing') this.#committing(told)
    else if (told.is === 'committed') {
      this.#acknowledge.get(`${told.topic}-${told.partition}`)?.(told.level)
    }
  }

  #opened(): void {
    this.#evidence.opened()
    for (const name of TOPIC_NAMES) this.#evidence.created(name)
  }

  #committing({ topic, partition, offset }: ToldOffset): void {
    const acknowledge = this.#evidence.committing(GROUP, { topic, partition, offset })
    this.#acknowledge.set(`${topic}-${partition}`, acknowledge)
  }
}

test(`in ${ROUNDS} rounds of a process that is killed at work, all that was acknowledged is there with its offset, whole and in order`, async (t) => {
  t.diagnostic(`BROKERLESS_SEED=${SEED}`)
  await using program = await compile(path.resolve(import.meta.dirname, '../support/kill-child.ts'))
  await using children = new Children(program.script)
  const random = seededRandom(SEED)
  let lines = 0
  for (let first = 0; first < ROUNDS; first += ROUNDS_A_DIRECTORY) {
    const directory = await mkdtemp(path.join(tmpdir(), 'brokerless-kill-'))
    const log = new KilledLog(directory, random)
    for (let round = first; round < Math.min(first + ROUNDS_A_DIRECTORY, ROUNDS); round += 1) {
      const where = `round ${round} in ${directory}, BROKERLESS_SEED=${SEED}`
      lines += await log.runChild(children, round)
      // Else the next child recovers it.
      const isChecked = random() < 0.8 || round === first + ROUNDS_A_DIRECTORY - 1
      if (isChecked) await log.check(round).catch((error: unknown) => fail(where, error))
    }
    await rm(directory, { recursive: true })
  }
  assert.ok(lines > ROUNDS * 10, `the children told ${lines} lines in ${ROUNDS} rounds`)
})

/** The directory stays, to be looked at. */
function fail(where: string, error: unknown): never {
  if (error instanceof Error) error.message = `${where}: ${error.message}`
  throw error
}
