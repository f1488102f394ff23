// The promise that leader epochs make: no two terms give the same epoch and offset to different contents, whatever is acknowledged at whatever
// level, wherever a kill, a power cut or a failing disk ends a term.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Log } from '../../src/index.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { batchesIn, EpochEvidence } from '../support/epoch-evidence.ts'
import { at } from '../support/failure-place.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import { loseLockHolder } from '../support/lock-holder.ts'
import { randomInteger, seededRandom } from '../support/random.ts'

const SEED = Number(process.env['BROKERLESS_SEED'] ?? Date.now() % 2 ** 31)
const ROUNDS = Number(process.env['BROKERLESS_ROUNDS'] ?? 200)
const isWhole = ROUNDS >= 1000
const DIRECTORY = '/data'
const TOPICS = {
  quick: { value: 'string', durability: 'os', segmentBytes: 1024 },
  safe: { value: 'string', durability: 'disk', segmentBytes: 1024 },
} as const
const NAMES = ['quick', 'safe'] as const

type Next = (fileSystem: FaultFileSystem) => FaultFileSystem

/** Owners one after another; each finds what the one before it has left. */
class Terms {
  fileSystem: FaultFileSystem
  readonly #byTopic = new Map(NAMES.map((name) => [name, new EpochEvidence()]))
  #values = 0

  constructor(fileSystem: FaultFileSystem = new FaultFileSystem()) {
    this.fileSystem = fileSystem
  }

  /** One owner, who opens, is held to what is known, works, and may be ended at any time. */
  async term(work: (log: Log) => Promise<void>): Promise<void> {
    const { fileSystem } = this
    try {
      await loseLockHolder(fileSystem, DIRECTORY)
      const options = { fileSystem, clock: new ManualClock(), topics: TOPICS }
      const log = (await Log.open(DIRECTORY, options)) as unknown as Log
      for (const [name, evidence] of this.#byTopic) {
        await evidence.check(log, name, await batchesIn(fileSystem, `${DIRECTORY}/${name}-0`))
      }
      await work(log)
    } catch (error) {
      if (!fileSystem.hasEnded) throw error
    }
  }

  /** Ends the term: what it has written is noted, and the next one finds what `next` says. */
  async end(next: Next): Promise<void> {
    const left = this.fileSystem.processKill()
    for (const [name, evidence] of this.#byTopic) {
      evidence.wrote(name, await batchesIn(left, `${DIRECTORY}/${name}-0`))
    }
    this.fileSystem = next(this.fileSystem)
  }

  value(): string {
    this.#values += 1
    return `value ${this.#values}`
  }
}

/** Some work in which records are acknowledged at either level, and not. */
async function write(terms: Terms, log: Log): Promise<void> {
  for (const topic of NAMES) {
    await log.produce(topic, { value: terms.value() }, { durability: 'os' })
    await log.produce(topic, [{ value: terms.value() }, { value: terms.value() }])
    await log.produce(topic, { value: terms.value().padEnd(500, '.') })
    await log.produce(topic, { value: terms.value().padEnd(500, '.') }, { durability: 'os' })
  }
}

/** A term that comes to all that touches the epochs. */
async function fullTerm(terms: Terms, log: Log): Promise<void> {
  await write(terms, log)
  await log.flush()
  await log.deleteRecords('quick', { partition: 0, before: 2 })
  await log.produce('quick', { value: terms.value() }, { durability: 'os' })
  await log.close()
}

const lose: Next = (fileSystem) => fileSystem.powerCut({ mode: 'lose-all' })
const keep: Next = (fileSystem) => fileSystem.powerCut({ mode: 'keep-all' })
const kill: Next = (fileSystem) => fileSystem.processKill()
const leave: Next = (fileSystem) => fileSystem

/** A crash at an operation of a term, and two more terms that crash. */
async function crashAt(cut: number, outcome: Next): Promise<number> {
  const terms = new Terms()
  await terms.term((log) => write(terms, log))
  await terms.end(lose)
  terms.fileSystem.cutAt(cut)
  await terms.term((log) => fullTerm(terms, log))
  const operations = terms.fileSystem.operations.length
  await terms.end(outcome)
  // The next owner may close without having written, and the one after it open cleanly.
  await terms.term((log) => log.close())
  await terms.end(leave)
  await terms.term((log) => write(terms, log))
  await terms.end(lose)
  await terms.term((log) => write(terms, log))
  await terms.end(leave)
  return operations
}

test('after a crash at any operation of a term, no epoch and offset ever has two contents', async (t) => {
  t.diagnostic(`BROKERLESS_SEED=${SEED}`)
  const count = await crashAt(Number.POSITIVE_INFINITY, lose)
  assert.ok(count > 100, `a term has ${count} operations`)
  for (let cut = 0; cut <= count; cut += 1) {
    const random: Next = (fileSystem) => fileSystem.powerCut({ seed: SEED + cut })
    const outcomes = { lose, keep, kill, random }
    for (const [index, [name, outcome]] of Object.entries(outcomes).entries()) {
      if (!isWhole && index !== (cut + SEED) % 4) continue
      await at(`cut at ${cut}, ${name}`, SEED, () => crashAt(cut, outcome))
    }
  }
})

/** Names that a failed sync has lost come to no disk: without its directory a partition begins anew, in the eyes of whoever opens it. */
function failAtRandom(fileSystem: FaultFileSystem, random: () => number): void {
  const parents = ['/', DIRECTORY]
  fileSystem.failWhen(({ index, name, path, length = 0 }) => {
    if (index === undefined || random() >= 0.02) return undefined
    if (name === 'syncDirectory' && parents.includes(path)) return undefined
    return { code: 'EIO', writtenBytes: randomInteger(random, length + 1) }
  })
}

/** A term of random length and end, on a disk that may fail. */
async function randomTerm(terms: Terms, random: () => number): Promise<void> {
  const faults = randomInteger(random, 4)
  const seed = randomInteger(random, 2 ** 31)
  if (faults === 1) failAtRandom(terms.fileSystem, seededRandom(seed))
  if (random() < 0.7) terms.fileSystem.cutAt(randomInteger(random, 150))
  await terms
    .term(async (log) => {
      for (let calls = randomInteger(random, 6); calls > 0; calls -= 1) {
        const topic = NAMES[randomInteger(random, 2)] ?? 'safe'
        const value = terms.value().padEnd(randomInteger(random, 400))
        const durability = random() < 0.5 ? 'os' : 'disk'
        await log.produce(topic, { value }, { durability }).catch(() => {})
      }
      if (random() < 0.3) await log.close()
    })
    .catch((error: unknown) => {
      if (faults !== 1) throw error
    })
}

test('over random terms on a disk that fails, no epoch and offset ever has two contents', async (t) => {
  t.diagnostic(`BROKERLESS_SEED=${SEED}`)
  const random = seededRandom(SEED)
  for (let round = 0; round < ROUNDS; round += 1) {
    const terms = new Terms()
    for (let term = 0; term < 6; term += 1) {
      await randomTerm(terms, random)
      const seed = randomInteger(random, 2 ** 31)
      const outcomes: readonly Next[] = [
        lose,
        keep,
        kill,
        (fileSystem) => fileSystem.powerCut({ seed }),
      ]
      const outcome = outcomes[randomInteger(random, 4)] ?? kill
      await at(`round ${round}, term ${term}`, SEED, () => terms.end(outcome))
    }
  }
})
