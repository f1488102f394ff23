// Partitions that real brokers wrote, opened as they are and as a crash leaves them.
import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { suite, test } from 'node:test'
import { batchSizeAt, readBatchHeader } from '../../src/codec/batch.ts'
import { CorruptLogError } from '../../src/errors.ts'
import { decodeAbortedTransactions } from '../../src/storage/aborted-index.ts'
import { readOffsetCheckpoint } from '../../src/storage/checkpoint.ts'
import { segmentFileName } from '../../src/storage/file-names.ts'
import { nodeFileSystem } from '../../src/storage/file-system.ts'
import type { PartitionLog } from '../../src/storage/partition-log.ts'
import { decodeSnapshot } from '../../src/storage/producer-snapshot.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import type {
  ExpectedBatch,
  ExpectedPartition,
  ExpectedSegment,
  FixtureSet,
} from '../support/fixtures.ts'
import { copyFixture, loadPartitions } from '../support/fixtures.ts'
import { openLog, readFileBytes, readPages } from '../support/storage-environment.ts'

/** The year in which the brokers ran; some of their records are years older. */
const BROKER_TIME_MS = Date.UTC(2026, 10, 21)
const INDEXES = ['.index', '.timeindex']
const SIDE_FILES = [...INDEXES, '.txnindex', '.snapshot']

interface Opened {
  readonly topic: string
  readonly expected: ExpectedPartition
  readonly directory: string
  readonly log: PartitionLog
  readonly intervalBytes: number
}

interface OpenSet {
  readonly isClean?: boolean
  /** In place of the checkpoint's. */
  readonly recoveryPoint?: number
  /** Files whose names end so are removed first. */
  readonly without?: readonly string[]
}

async function openSet(
  t: TestContext,
  set: FixtureSet,
  use: (opened: Opened) => Promise<void>,
  options: OpenSet = {},
): Promise<void> {
  const data = await copyFixture(set, t)
  const recoveryPoints = await readOffsetCheckpoint(
    nodeFileSystem,
    join(data, 'recovery-point-offset-checkpoint'),
  )
  const logStarts = await readOffsetCheckpoint(
    nodeFileSystem,
    join(data, 'log-start-offset-checkpoint'),
  )
  const names = await readdir(data)
  const isClean = options.isClean ?? names.includes('.kafka_cleanshutdown')
  for (const { topic, config, expected } of await loadPartitions(set)) {
    const name = `${topic}-${expected.partition}`
    const directory = join(data, name)
    for (const file of await nodeFileSystem.readdir(directory)) {
      if (options.without?.some((ending) => file.endsWith(ending)))
        await nodeFileSystem.unlink(join(directory, file))
    }
    const intervalBytes = Number(config['index.interval.bytes'] ?? 4096)
    const log = await openLog(nodeFileSystem, {
      clock: new ManualClock(BROKER_TIME_MS),
      topic,
      partition: expected.partition,
      directory,
      isClean,
      recoveryPoint: options.recoveryPoint ?? recoveryPoints.get(name) ?? 0,
      logStartOffset: logStarts.get(name) ?? 0,
      config: {
        indexIntervalBytes: intervalBytes,
        segmentIndexBytes: Number(config['segment.index.bytes'] ?? 10 * 1024 * 1024),
      },
    })
    await use({ topic, expected, directory, log, intervalBytes })
    await log.close()
  }
}

/** Batches as they are read from the log start on, damage passed. */
async function readHeaders(log: PartitionLog): Promise<Partial<ExpectedBatch>[]> {
  const batches: Partial<ExpectedBatch>[] = []
  for await (const page of readPages(log, { maxBytes: 3000, onCorrupt: 'skip' })) {
    for (let at = page.start; at < page.end; at += batchSizeAt(page.buffer, at)) {
      const header = readBatchHeader(page.buffer, at)
      batches.push({
        segment: page.segment.baseOffset,
        position: page.position + at - page.start,
        baseOffset: header.baseOffset,
        lastOffset: header.lastOffset,
        count: header.count,
        size: header.sizeBytes,
        crc: header.crc,
        createTime: header.maxTimestamp,
      })
    }
  }
  return batches
}

function expectedHeaders(
  expected: ExpectedPartition,
  isKept: (batch: ExpectedBatch) => boolean = () => true,
): Partial<ExpectedBatch>[] {
  return expected.batches
    .filter((batch) => batch.lastOffset >= expected.logStartOffset && isKept(batch))
    .map(({ segment, position, baseOffset, lastOffset, count, size, crc, createTime }) => ({
      segment,
      position,
      baseOffset,
      lastOffset,
      count,
      size,
      crc,
      createTime,
    }))
}

async function readIndexes(directory: string, segment: ExpectedSegment): Promise<object> {
  const name = (kind: 'index' | 'timeindex'): string =>
    join(directory, segmentFileName(segment.baseOffset, kind))
  const index = await readFileBytes(nodeFileSystem, name('index'))
  const timeIndex = await readFileBytes(nodeFileSystem, name('timeindex'))
  const offsets: [number, number][] = []
  const times: [number, number][] = []
  for (let at = 0; at < index.length; at += 8) {
    offsets.push([segment.baseOffset + index.readInt32BE(at), index.readInt32BE(at + 4)])
  }
  for (let at = 0; at < timeIndex.length; at += 12) {
    times.push([
      Number(timeIndex.readBigInt64BE(at)),
      segment.baseOffset + timeIndex.readInt32BE(at + 8),
    ])
  }
  return { baseOffset: segment.baseOffset, offsets, times }
}

/** Both indexes of every segment are as Kafka built them. */
async function expectIndexes(
  directory: string,
  segments: readonly ExpectedSegment[],
): Promise<void> {
  for (const segment of segments) {
    assert.deepEqual(await readIndexes(directory, segment), {
      baseOffset: segment.baseOffset,
      offsets: segment.offsetIndex,
      times: segment.timeIndex,
    })
  }
}

async function snapshotNames(directory: string): Promise<string[]> {
  return (await readdir(directory)).filter((name) => name.endsWith('.snapshot')).sort()
}

suite('a partition that a broker closed', () => {
  const sets = [
    'plain',
    'segments',
    'append-time',
    'restarted',
    'delete-records',
    'transactions',
    'transactions-v1',
    'compacted',
    'offsets',
  ] as const
  for (const set of sets) {
    test(`of ${set} has its batches, and nothing is scanned`, (t) =>
      openSet(t, set, async ({ expected, log }) => {
        assert.deepEqual(
          [log.logStartOffset, log.logEndOffset],
          [expected.logStartOffset, expected.logEndOffset],
        )
        assert.equal(
          log.firstUnstableOffset ?? log.logEndOffset,
          Math.max(expected.lastStableOffset, 0),
        )
        assert.equal(log.report.scannedBytes, 0)
        assert.deepEqual([log.report.cut, log.report.damage], [[], []])
        assert.deepEqual(await readHeaders(log), expectedHeaders(expected))
      }))

    test(`of ${set} has them without its indexes and snapshots too`, (t) =>
      openSet(
        t,
        set,
        async ({ expected, log }) => {
          assert.equal(log.logEndOffset, expected.logEndOffset)
          assert.equal(log.firstUnstableOffset ?? log.logEndOffset, expected.lastStableOffset)
          assert.deepEqual(await readHeaders(log), expectedHeaders(expected))
        },
        { without: [...INDEXES, '.snapshot'] },
      ))
  }

  for (const set of ['plain', 'segments', 'append-time'] as const) {
    test(`of ${set} finds offsets by time as Kafka does`, (t) =>
      openSet(t, set, async ({ expected, log }) => {
        for (const { timestamp, offset } of expected.offsetsForTimes) {
          assert.equal((await log.offsetForTime(timestamp)) ?? null, offset, `at ${timestamp}`)
        }
      }))

    test(`of ${set} finds them without its time indexes too`, (t) =>
      openSet(
        t,
        set,
        async ({ expected, log }) => {
          for (const { timestamp, offset } of expected.offsetsForTimes) {
            assert.equal((await log.offsetForTime(timestamp)) ?? null, offset, `at ${timestamp}`)
          }
        },
        { without: ['.timeindex'] },
      ))
  }

  test('reads from every offset, also within gaps that compaction left', (t) =>
    openSet(t, 'compacted', async ({ expected, log }) => {
      const batches = expectedHeaders(expected)
      for (let offset = log.logStartOffset; offset < log.logEndOffset; offset += 1) {
        const wanted = batches.find(({ lastOffset = 0 }) => lastOffset >= offset)
        const request = { offset, end: log.highWatermark, maxBytes: 1, maxRecords: 1 }
        const page = await log.read({ ...request, onCorrupt: 'throw' })
        const found = page.start === page.end ? undefined : readBatchHeader(page.buffer, page.start)
        assert.equal(found?.baseOffset, wanted?.baseOffset, `from ${offset}`)
      }
    }))
})

suite('a partition that a killed broker left', () => {
  test('has all that was acknowledged, and the files that Kafka recovers', (t) =>
    openSet(t, 'unclean', async ({ expected, log, directory }) => {
      assert.equal(log.logEndOffset, expected.logEndOffset)
      assert.deepEqual(await readHeaders(log), expectedHeaders(expected))
      assert.ok(log.report.scannedBytes > 0)
      const { recovered } = expected
      assert.ok(recovered !== undefined)
      await log.close()
      await expectIndexes(directory, recovered.segments)
      assert.deepEqual(
        await snapshotNames(directory),
        Object.keys(recovered.producerSnapshots).sort(),
      )
    }))

  async function expectTransactions({ expected, log, directory }: Opened): Promise<void> {
    assert.equal(log.logEndOffset, expected.logEndOffset)
    assert.equal(log.firstUnstableOffset ?? log.logEndOffset, expected.lastStableOffset)
    await expectIndexes(directory, expected.segments)
    for (const segment of expected.segments) await expectAborted(directory, segment)
    await expectSnapshots(directory, expected)
  }

  for (const set of ['transactions', 'transactions-v1'] as const) {
    for (const recoveryPoint of [0, 30, undefined]) {
      const at = recoveryPoint === undefined ? {} : { recoveryPoint }
      test(`of ${set} has its producers and aborted transactions, recovered from ${recoveryPoint ?? 'its recovery point'}`, (t) =>
        openSet(t, set, expectTransactions, { isClean: false, ...at }))
    }

    test(`of ${set} has them when it has lost all files but the data`, (t) =>
      openSet(t, set, expectTransactions, {
        isClean: false,
        without: SIDE_FILES,
        recoveryPoint: 0,
      }))

    test(`of ${set} gets its aborted transactions and producers back from the data behind the marker, too`, (t) =>
      openSet(
        t,
        set,
        async ({ expected, log, directory }) => {
          assert.equal(log.firstUnstableOffset ?? log.logEndOffset, expected.lastStableOffset)
          for (const segment of expected.segments) await expectAborted(directory, segment)
        },
        { without: ['.txnindex', '.snapshot'] },
      ))
  }

  test('rebuilds all indexes of many segments as Kafka wrote them', (t) =>
    openSet(
      t,
      'segments',
      async ({ expected, log, directory }) => {
        assert.equal(log.logEndOffset, expected.logEndOffset)
        await expectIndexes(directory, expected.segments)
      },
      { isClean: false, recoveryPoint: 0, without: SIDE_FILES },
    ))
})

async function expectAborted(directory: string, segment: ExpectedSegment): Promise<void> {
  const file = join(directory, segmentFileName(segment.baseOffset, 'txnindex'))
  const expected = (segment.abortedTransactions ?? []).map(({ version: _, ...each }) => each)
  const isThere = (await nodeFileSystem.stat(file)) !== undefined
  const bytes = isThere ? await readFileBytes(nodeFileSystem, file) : Buffer.alloc(0)
  assert.deepEqual(decodeAbortedTransactions(bytes, file), expected)
  assert.equal(isThere, expected.length > 0)
}

async function expectSnapshots(directory: string, expected: ExpectedPartition): Promise<void> {
  for (const [name, producers] of Object.entries(expected.producerSnapshots)) {
    const bytes = await readFileBytes(nodeFileSystem, join(directory, name))
    const found = decodeSnapshot(bytes, name)
    assert.deepEqual(
      found.map(({ producerId, producerEpoch, currentTxnFirstOffset, lastSequence }) => [
        producerId,
        producerEpoch,
        currentTxnFirstOffset,
        lastSequence,
      ]),
      producers.map((each) => [
        each.producerId,
        each.producerEpoch,
        each.currentTxnFirstOffset,
        each.lastSequence ?? -1,
      ]),
      name,
    )
  }
}

suite('a damaged partition of a broker', () => {
  test('loses a torn batch, which is kept aside', (t) =>
    openSet(t, 'torn-tail', async ({ expected, log, directory }) => {
      assert.equal(log.logEndOffset, expected.logEndOffset)
      const whole = expectedHeaders(
        expected,
        ({ lastOffset }) => lastOffset < expected.logEndOffset,
      )
      assert.deepEqual(await readHeaders(log), whole)
      if (expected.partition !== 0) return
      const [cut] = log.report.cut
      assert.equal(cut?.position, 6993)
      assert.equal(cut?.bytes, 7227 - 6993)
      assert.ok(cut?.keptAs !== undefined)
      assert.equal((await readFileBytes(nodeFileSystem, cut.keptAs)).length, cut.bytes)
      await log.close()
      await expectIndexes(directory, expected.recovered?.segments ?? [])
      assert.deepEqual(
        await snapshotNames(directory),
        Object.keys(expected.recovered?.producerSnapshots ?? {}).sort(),
      )
      await expectSnapshots(directory, { ...expected, ...expected.recovered })
    }))

  test('loses nothing but zeros at its end', (t) =>
    openSet(t, 'zero-tail', async ({ expected, log, directory }) => {
      assert.equal(log.logEndOffset, expected.logEndOffset)
      if (expected.partition !== 0) return
      assert.deepEqual(
        log.report.cut.map(({ position, bytes, keptAs }) => [position, bytes, keptAs]),
        [[7459, 8236 - 7459, undefined]],
      )
      await log.close()
      await expectIndexes(directory, expected.recovered?.segments ?? [])
    }))

  for (const [set, recoveryPoint] of [
    ['flipped-byte', undefined],
    ['flipped-byte', 0],
    ['flipped-old', undefined],
    ['flipped-old', 0],
  ] as const) {
    const from = recoveryPoint === undefined ? "the broker's recovery point" : 'offset 0'
    test(`of ${set} keeps the damage and all that follows it, recovered from ${from}`, (t) =>
      openSet(
        t,
        set,
        async ({ expected, log }) => {
          const last = expected.batches.at(-1)
          assert.equal(log.logEndOffset, (last?.lastOffset ?? 0) + 1)
          const sound = expectedHeaders(expected, ({ isvalid }) => isvalid !== false)
          assert.deepEqual(await readHeaders(log), sound)
          const bad = expected.batches.find(({ isvalid }) => isvalid === false)
          if (bad === undefined) return
          const file = log.segments.find(({ baseOffset }) => baseOffset === bad.segment)?.file.path
          const request = { end: log.highWatermark, maxBytes: 100, maxRecords: 1 }
          await assert.rejects(
            async () => log.read({ ...request, offset: bad.baseOffset, onCorrupt: 'throw' }),
            (error: unknown) => {
              assert.ok(error instanceof CorruptLogError)
              assert.deepEqual([error.file, error.position], [file, bad.position])
              return true
            },
          )
          const told = log.report.damage.filter((each) => each.file === file)
          assert.equal(told.length, recoveryPoint === undefined ? 0 : 1)
        },
        recoveryPoint === undefined ? {} : { recoveryPoint },
      ))
  }
})
