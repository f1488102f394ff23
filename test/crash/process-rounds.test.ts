// `log.process`, ended at each of its file-system operations: what the next process makes of it has each output exactly once.
import assert from 'node:assert/strict'
import { Log } from '../../src/index.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { committedBy } from '../support/consuming.ts'
import { at } from '../support/failure-place.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import { loseLockHolder } from '../support/lock-holder.ts'
import { eventually } from '../support/log-places.ts'
import { seededRandom } from '../support/random.ts'
import { testInThread } from '../support/thread.ts'

const SEED = Number(process.env['BROKERLESS_SEED'] ?? Date.now() % 2 ** 31)
/** Each operation takes minutes in all: otherwise one of every few, by the seed. */
const ROUNDS = Number(process.env['BROKERLESS_ROUNDS'] ?? 200)
const STRIDE = ROUNDS >= 1000 ? 1 : 12
const THREAD = { url: import.meta.url, seed: SEED }
const PARTITIONS = 3
const RECORDS = 4
/** The record of each partition whose handler fails. */
const DEAD = 2

function open(fileSystem: FaultFileSystem): Promise<Log> {
  const topics = { t: { partitions: PARTITIONS }, out: { partitions: 2 }, graves: {} }
  return Log.open('/data', {
    fileSystem,
    clock: new ManualClock(),
    topics,
  }) as unknown as Promise<Log>
}

/** Input, and nothing else. */
async function filled(): Promise<FaultFileSystem> {
  const fileSystem = new FaultFileSystem({ clock: new ManualClock() })
  const log = await open(fileSystem)
  for (let n = 0; n < RECORDS; n += 1) {
    for (let partition = 0; partition < PARTITIONS; partition += 1) {
      await log.produce('t', { key: `${partition}/${n}`, value: n, partition })
    }
  }
  await log.close()
  return fileSystem
}

/** Opens the log and processes all input; rejects where the file system is cut. */
async function processAll(fileSystem: FaultFileSystem): Promise<void> {
  const log = await open(fileSystem)
  try {
    const run = log.process(
      {
        from: 't',
        group: 'g',
        to: 'out',
        concurrency: 2,
        maxRecords: 2,
        commitIntervalMs: 0,
        failurePolicy: { retries: 0, giveUp: { deadLetterTopic: 'graves' } },
      },
      async ({ key, value }) => {
        if (value === DEAD) throw new Error('boom')
        return [
          { key, value: 'a', partition: 0 },
          { key, value: 'b', partition: 1 },
        ]
      },
    )
    let failure: unknown
    run.catch((error: unknown) => {
      failure = error
    })
    await eventually(async () => {
      if (failure !== undefined) throw failure
      const offsets = Object.values(await committedBy(log, 'g'))
      // Markers take offsets, too, but not in the input.
      return offsets.length === PARTITIONS && offsets.every((offset) => offset === RECORDS)
    })
    await run.close()
    await run
  } finally {
    // Of a log that has failed, it rejects.
    await log.close().catch(() => {})
  }
}

/** What readers of what is committed see: all of what was committed as input, and nothing else. */
async function expectHalf(log: Log): Promise<void> {
  const committed = await committedBy(log, 'g')
  const done = Array.from({ length: PARTITIONS }, (_, p) => committed[`t-${p}`] ?? 0)
  const expected = done.flatMap((end, partition) =>
    Array.from({ length: end }, (_, n) => `${partition}/${n}`),
  )
  const isDead = (key: string): boolean => key.endsWith(`/${DEAD}`)
  const living = expected.filter((key) => !isDead(key)).sort()
  assert.deepEqual(await keysOf(log, 'out', 0), living, 'out-0')
  assert.deepEqual(await keysOf(log, 'out', 1), living, 'out-1')
  assert.deepEqual(await keysOf(log, 'graves', 0), expected.filter(isDead).sort(), 'graves')
}

async function keysOf(log: Log, topic: string, partition: number): Promise<string[]> {
  const keys: string[] = []
  // A write that was not synced may be torn in the middle: recovery keeps it where something valid follows, and it was never acknowledged.
  const options = { partition, until: 'end', onCorrupt: 'skip' } as const
  for await (const { key } of log.read(topic, options)) keys.push(String(key))
  return keys.sort()
}

/** What was left is all or nothing, and the next process finishes it. */
async function recover(fileSystem: FaultFileSystem): Promise<void> {
  await loseLockHolder(fileSystem, '/data')
  const found = await open(fileSystem)
  await expectHalf(found)
  await found.close()
  await processAll(fileSystem)
  const log = await open(fileSystem)
  await expectHalf(log)
  assert.deepEqual(await committedBy(log, 'g'), { 't-0': RECORDS, 't-1': RECORDS, 't-2': RECORDS })
  await log.close()
}

for (const [end, outcomes] of [
  ['a kill', (fileSystem: FaultFileSystem) => fileSystem.processKill()],
  [
    'a power cut',
    (fileSystem: FaultFileSystem, random: () => number) => fileSystem.powerCut({ random }),
  ],
] as const) {
  testInThread(
    `after ${end} at any operation of process each input has had its effect exactly once`,
    THREAD,
    async () => {
      const random = seededRandom(SEED)
      const input = await filled()
      const whole = input.processKill()
      await processAll(whole)
      const operations = whole.operations.length
      assert.ok(operations > 50, `${operations} operations`)
      for (let cut = SEED % STRIDE; cut < operations; cut += STRIDE) {
        const fileSystem = input.processKill()
        fileSystem.cutAt(cut)
        await processAll(fileSystem).catch((error: unknown) => {
          if (fileSystem.operations.length <= cut) throw error
        })
        const last = fileSystem.operations.at(-1)
        await at(`cut at ${cut} (${last?.name} ${last?.path})`, SEED, async () => {
          await recover(outcomes(fileSystem, random))
        })
      }
    },
  )
}
