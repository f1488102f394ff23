// Readers in other processes than the writer's, at each step of a compaction.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { FileSystem, LogRecord } from '../../src/index.ts'
import { Log } from '../../src/index.ts'
import { ManualClock, MemoryFileSystem } from '../../src/testing/index.ts'
import {
  checkKept,
  checkLog,
  History,
  READERS,
  readFrom,
  rest,
  TOPICS,
} from '../support/compacted-history.ts'
import { removeLock } from '../support/log-places.ts'
import { ScriptedFileSystem, systemError } from '../support/scripted-file-system.ts'
import { SteppedFileSystem } from '../support/stepped-file-system.ts'
import { WatchedFileSystem } from '../support/watched-file-system.ts'

const DIRECTORY = '/data'
const PARTITION = `${DIRECTORY}/users-0`
/** Compacted once, and as many again behind them: of some segments the next compaction makes one, of others one each. */
const RECORDS = 34

/** A log in another process than the writer's, as far as it can tell. */
class Reader {
  readonly log: Log
  readonly #clock: ManualClock

  private constructor(log: Log, clock: ManualClock) {
    this.log = log
    this.#clock = clock
  }

  /** With one of `READERS` after the other. */
  static async open(fileSystem: FileSystem, number: number): Promise<Reader> {
    const clock = new ManualClock()
    const options = READERS[number % READERS.length]
    const log = await Log.open(DIRECTORY, { fileSystem, clock, readOnly: true, ...options })
    return new Reader(log as unknown as Log, clock)
  }

  look(): Promise<void> {
    return this.#clock.advance(100)
  }

  check(history: History, what: string): Promise<void> {
    return checkLog(this.log, history, what)
  }
}

/** Who has read so many records, and goes on later. */
class Midway {
  readonly #reader: Reader
  readonly #history: History
  readonly #records: AsyncIterator<LogRecord>
  #next = 0

  private constructor(reader: Reader, history: History) {
    this.#reader = reader
    this.#history = history
    this.#records = readFrom(reader.log, 0)
  }

  static async begin(reader: Reader, history: History, count: number): Promise<Midway> {
    const midway = new Midway(reader, history)
    for (let read = 0; read < count; read += 1) {
      const { done, value } = await midway.#records.next()
      if (done === true) break
      assert.ok(value.offset >= midway.#next)
      midway.#next = value.offset + 1
    }
    return midway
  }

  async end(what: string): Promise<void> {
    this.#history.check(await rest(this.#records), this.#next, `${what}, from ${this.#next} on`)
    await this.#reader.log.close()
  }
}

/** A writer that stops at each step of its compactions. */
class SteppedWriter {
  readonly history = new History()
  readonly log: Log
  readonly fileSystem: SteppedFileSystem
  steps = 0

  private constructor(log: Log, fileSystem: SteppedFileSystem) {
    this.log = log
    this.fileSystem = fileSystem
  }

  static async open(): Promise<SteppedWriter> {
    const fileSystem = new SteppedFileSystem(new MemoryFileSystem())
    const clock = new ManualClock()
    const log = await Log.open(DIRECTORY, { fileSystem, clock, topics: TOPICS })
    const writer = new SteppedWriter(log as unknown as Log, fileSystem)
    await writer.produce(RECORDS)
    await writer.log.compact('users')
    await writer.produce(RECORDS)
    return writer
  }

  get inner(): MemoryFileSystem {
    return this.fileSystem.inner as MemoryFileSystem
  }

  async produce(count: number): Promise<void> {
    for (let index = 0; index < count; index += 1) {
      await this.log.produce('users', this.history.next())
    }
  }

  compact(before: (what: string) => Promise<void>): Promise<void> {
    return this.stepping(() => this.log.compact('users'), before)
  }

  /** `before` is called at each step of the work; what it throws first is thrown in the end. */
  async stepping(
    work: () => Promise<unknown>,
    before: (what: string) => Promise<void>,
  ): Promise<void> {
    const failures: unknown[] = []
    this.fileSystem.before = async (what) => {
      this.steps += 1
      if (failures.length === 0) await before(what).catch((error) => failures.push(error))
    }
    await work()
    this.fileSystem.before = undefined
    if (failures.length > 0) throw failures[0]
  }
}

async function countSteps(): Promise<number> {
  const writer = await SteppedWriter.open()
  await writer.compact(async () => {})
  await writer.log.close()
  return writer.steps
}

/** Opened before a compaction, and used in no way. */
async function openMany({ inner }: SteppedWriter, count: number): Promise<Reader[]> {
  return await Promise.all(Array.from({ length: count }, (_, index) => Reader.open(inner, index)))
}

suite('a compaction that stops at each step', () => {
  test('has no gap for a log that is opened at one step, and asked again at the next', async () => {
    const writer = await SteppedWriter.open()
    let reader: Reader | undefined
    await writer.compact(async (what) => {
      const opened = await Reader.open(writer.inner, writer.steps)
      await opened.check(writer.history, `opened at ${what}`)
      await reader?.check(writer.history, `opened before ${what}`)
      await reader?.log.close()
      reader = opened
    })
    await reader?.log.close()
    await writer.log.close()
  })

  for (const looks of [1, 7, Number.POSITIVE_INFINITY]) {
    test(`has none for logs that were opened before, and look before one read in ${looks}, or when they must`, async () => {
      const writer = await SteppedWriter.open()
      const readers = await openMany(writer, READERS.length)
      for (let round = 0; round < 2; round += 1) {
        await writer.compact(async (what) => {
          const index = writer.steps % READERS.length
          const reader = readers[index] as Reader
          if (Math.floor(writer.steps / READERS.length) % looks === 0) await reader.look()
          await reader.check(writer.history, `reader ${index} at ${what}`)
        })
        await writer.produce(20)
        for (const [index, reader] of readers.entries()) {
          await reader.look()
          await reader.check(writer.history, `reader ${index} behind it`)
        }
      }
      for (const { log } of readers) await log.close()
      await writer.log.close()
    })
  }

  test('has none for a log that opens its first file at any of them', async () => {
    const writer = await SteppedWriter.open()
    const readers = await openMany(writer, await countSteps())
    await writer.compact(async (what) => {
      const reader = readers.pop()
      await reader?.check(writer.history, `first at ${what}`)
      await reader?.log.close()
    })
    assert.equal(readers.length, 0)
    await writer.log.close()
  })

  test('has none for who has read to the middle before, or at a step before', async () => {
    const writer = await SteppedWriter.open()
    const { history, inner } = writer
    const before: Midway[] = []
    for (const reader of await openMany(writer, await countSteps())) {
      before.push(await Midway.begin(reader, history, before.length % RECORDS))
    }
    const since: Midway[] = []
    await writer.compact(async (what) => {
      await before.pop()?.end(`begun before ${what}`)
      const reader = await Reader.open(inner, writer.steps)
      since.push(await Midway.begin(reader, history, before.length % 20))
      if (since.length > 7) await since.shift()?.end(`begun seven steps before ${what}`)
    })
    for (const each of since) await each.end('begun at the last steps')
    assert.equal(before.length, 0)
    await writer.log.close()
  })

  test('has none where the writer is killed, and the next one finishes what it began', async () => {
    const writer = await SteppedWriter.open()
    const { history, inner } = writer
    const killed = new Map<string, MemoryFileSystem>()
    await writer.compact(async () => {
      const names = await inner.readdir(PARTITION)
      if (names.some((name) => name.endsWith('.swap'))) killed.set(names.join(), inner.clone())
    })
    assert.ok(killed.size > 20, `${killed.size}`)
    for (const [names, fileSystem] of killed) {
      await removeLock(fileSystem, DIRECTORY)
      const standing = await Reader.open(fileSystem, names.length)
      await standing.check(history, `killed with ${names}`)
      const midway = await Midway.begin(await Reader.open(fileSystem, names.length), history, 9)
      const next = await Log.open(DIRECTORY, { fileSystem, clock: new ManualClock() })
      await standing.check(history, `opened behind ${names}`)
      await midway.end(`opened behind ${names}`)
      await next.close()
      await standing.log.close()
    }
    await writer.log.close()
  })

  test('has none for the next owner, who finds no room to finish it', async () => {
    const writer = await SteppedWriter.open()
    const { history, inner } = writer
    const killed = new Map<string, MemoryFileSystem>()
    await writer.compact(async () => {
      const names = await inner.readdir(PARTITION)
      if (names.some((name) => name.endsWith('.log.swap'))) killed.set(names.join(), inner.clone())
    })
    assert.ok(killed.size > 5, `${killed.size}`)
    for (const [names, fileSystem] of killed) {
      await removeLock(fileSystem, DIRECTORY)
      const full = new ScriptedFileSystem(fileSystem)
      full.rule = ({ name, path }) =>
        (name === 'rename' || name === 'unlink') && path.startsWith(`${PARTITION}/`)
          ? systemError('ENOSPC')
          : undefined
      const next = await Log.open(DIRECTORY, { fileSystem: full, clock: new ManualClock() })
      await checkLog(next as unknown as Log, history, `no room behind ${names}`)
      full.rule = undefined
      await next.close()
      const last = await Log.open(DIRECTORY, { fileSystem, clock: new ManualClock() })
      await checkLog(last as unknown as Log, history, `room behind ${names}`)
      await last.close()
    }
    await writer.log.close()
  })

  test('and deletes at the same time: readers have records or what is out of range, and no gap', async () => {
    const writer = await SteppedWriter.open()
    const { history, log } = writer
    const readers = await openMany(writer, READERS.length)
    const deleteAndCompact = async (): Promise<void> => {
      for (const before of [10, 30, 55]) {
        const deletion = log.deleteRecords('users', { partition: 0, before })
        await Promise.all([log.compact('users'), deletion])
      }
    }
    await writer.stepping(deleteAndCompact, async (what) => {
      const reader = readers[writer.steps % READERS.length] as Reader
      await checkKept(reader.log, history, what)
      if (writer.steps % 5 === 0) await reader.look()
      if (writer.steps % 3 !== 0) return
      const opened = await Reader.open(writer.inner, writer.steps)
      await checkKept(opened.log, history, `opened at ${what}`)
      await opened.log.close()
    })
    assert.ok(writer.steps > 100, `${writer.steps}`)
    for (const reader of readers) {
      await reader.look()
      assert.deepEqual((await reader.log.offsets('users', 0)).earliest, 55)
      await reader.log.close()
    }
    await log.close()
  })
})

test('no longer than it reads keeps a reader the bytes of what was replaced on the disk', async () => {
  const writer = await SteppedWriter.open()
  const watched = new WatchedFileSystem(writer.inner)
  const reader = await Reader.open(watched, READERS.length - 1)
  await reader.check(writer.history, 'before')
  assert.ok(watched.openLogs.now > 5, `${watched.openLogs.now}`)
  await writer.compact(async () => {})
  await reader.look()
  await reader.look()
  // The active one.
  assert.equal(watched.openLogs.now, 1)
  await reader.check(writer.history, 'behind it')
  await reader.log.close()
  assert.equal(watched.openFiles.now, 0)
  await writer.log.close()
})
