// What a damaged header says of a batch hides nothing else. Its base offset is not even under its checksum.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { baseOffsetAt, batchSizeAt } from '../../src/codec/batch.ts'
import { encodeBatch } from '../../src/codec/batch-encoder.ts'
import { CorruptLogError } from '../../src/errors.ts'
import { BatchCursor } from '../../src/storage/batch-cursor.ts'
import { judgeOffsets, OFFSETS_FALSE, OFFSETS_SOUND } from '../../src/storage/offset-order.ts'
import type { PartitionLog } from '../../src/storage/partition-log.ts'
import { MemoryFileSystem } from '../../src/testing/memory-file-system.ts'
import {
  append,
  openLog,
  readAll,
  readFileBytes,
  readPage,
  recordSet,
  recordsOf,
  writeFileBytes,
} from '../support/storage-environment.ts'

const COUNT = 60
const DIRECTORY = '/data/t-0'
const LOG_0 = `${DIRECTORY}/${'0'.repeat(20)}.log`
/** Byte of the base offset and what it is changed by: far up, a little up, down. */
const FLIPS = [
  [1, 0x40],
  [2, 0x40],
  [4, 0x01],
  [6, 0x01],
  [7, 0x01],
  [7, 0x08],
  [7, 0x10],
] as const

interface Damaged {
  readonly fileSystem: MemoryFileSystem
  readonly position: number
}

/** One record a batch, its timestamp 10 times its offset; then the header of the batch `index` in the first segment is changed. */
async function damaged(
  segmentBytes: number,
  index: number,
  change: (log: Buffer, position: number) => void,
): Promise<Damaged> {
  const fileSystem = new MemoryFileSystem()
  const log = await openLog(fileSystem, { config: { segmentBytes, indexIntervalBytes: 400 } })
  for (let offset = 0; offset < COUNT; offset += 1) {
    await append(log, recordSet({ value: `value ${offset}`, timestamp: 10 * offset }))
  }
  await log.close()
  const bytes = await readFileBytes(fileSystem, LOG_0)
  let position = 0
  for (let passed = 0; passed < index; passed += 1) position += batchSizeAt(bytes, position)
  change(bytes, position)
  await writeFileBytes(fileSystem, LOG_0, bytes)
  return { fileSystem, position }
}

const flip =
  (byte: number, bits: number) =>
  (log: Buffer, position: number): void => {
    log[position + byte] = (log[position + byte] ?? 0) ^ bits
  }

function startsOf(log: Buffer): number[] {
  const starts: number[] = []
  for (let at = 0; at < log.length; at += batchSizeAt(log, at)) starts.push(at)
  return starts
}

const offsetsWithout = (gone: number): number[] =>
  Array.from({ length: COUNT }, (_, offset) => offset).filter((offset) => offset !== gone)

async function expectAllBut(log: PartitionLog, gone: number, position: number): Promise<void> {
  for (const maxBytes of [1, 200, 100_000]) {
    const read = await readAll(log, { onCorrupt: 'skip', maxBytes })
    assert.deepEqual(
      read.map(({ offset }) => offset),
      offsetsWithout(gone),
    )
  }
  await assert.rejects(readAll(log), (error) => {
    return error instanceof CorruptLogError && error.file === LOG_0 && error.position === position
  })
  for (const offset of offsetsWithout(gone)) {
    const page = await readPage(log, offset, { maxRecords: 1, onCorrupt: 'skip' })
    assert.equal(recordsOf(page, offset)[0]?.offset, offset)
    assert.equal(await log.offsetForTime(10 * offset), offset)
  }
}

for (const [where, segmentBytes] of [
  ['an older segment', 1500],
  ['the active segment', 1 << 20],
] as const) {
  suite(`a batch of ${where} whose base offset has flipped bits`, () => {
    for (const isClean of [true, false]) {
      test(`hides nothing behind it after a ${isClean ? 'close' : 'crash'}`, async () => {
        for (const [byte, bits] of FLIPS) {
          const { fileSystem, position } = await damaged(segmentBytes, 7, flip(byte, bits))
          const recoveryPoint = isClean ? COUNT : 0
          const config = { segmentBytes, indexIntervalBytes: 400 }
          const log = await openLog(fileSystem, { config, isClean, recoveryPoint })
          assert.deepEqual([log.logEndOffset, log.report.cut], [COUNT, []], `byte ${byte}`)
          await expectAllBut(log, 7, position)
          // What is acknowledged now is there after a crash.
          assert.equal((await append(log, recordSet('more'))).baseOffset, COUNT)
          await log.close()
          const again = await openLog(fileSystem, { config, recoveryPoint: COUNT })
          assert.equal(again.logEndOffset, COUNT + 1)
          assert.equal((await readAll(again, { onCorrupt: 'skip' })).length, COUNT)
          await again.close()
        }
      })
    }
  })
}

test('a batch at the end that claims offsets which its segment cannot hold is cut, as what is torn', async () => {
  const { fileSystem } = await damaged(1 << 20, COUNT - 1, flip(1, 0x40))
  const log = await openLog(fileSystem, { recoveryPoint: 0 })
  assert.equal(log.logEndOffset, COUNT - 1)
  assert.equal(log.report.cut.length, 1)
  assert.equal(log.failure, undefined)
  await append(log, recordSet('more'))
  await log.close()
})
test('a damaged last offset hides nothing from those who look at headers alone', async () => {
  const { fileSystem } = await damaged(1500, 7, (log, position) => {
    log[position + 23] = 0x20
  })
  const log = await openLog(fileSystem, { isClean: true, recoveryPoint: COUNT })
  for (const offset of offsetsWithout(7)) {
    assert.equal(await log.offsetForTime(10 * offset), offset)
  }
  await log.close()
})

test('a damaged length hides nothing from those who look at headers alone', async () => {
  for (const [byte, bits] of [
    [11, 0x01],
    [11, 0x40],
    [10, 0x01],
  ] as const) {
    const { fileSystem } = await damaged(1500, 7, flip(byte, bits))
    const log = await openLog(fileSystem, { isClean: true, recoveryPoint: COUNT })
    for (const offset of offsetsWithout(7)) {
      const page = await readPage(log, offset, { maxRecords: 1, onCorrupt: 'skip' })
      assert.equal(recordsOf(page, offset)[0]?.offset, offset, `byte ${byte}`)
      assert.equal(await log.offsetForTime(10 * offset), offset, `byte ${byte}`)
    }
    await log.close()
  }
})

test('a batch that came into a damaged region from elsewhere hides nothing', async () => {
  const { fileSystem } = await damaged(1 << 20, 7, (log, position) => {
    const starts = startsOf(log)
    const stray = Buffer.from(log.subarray(starts[30], starts[31]))
    log.fill(0xff, position, starts[10])
    stray.copy(log, position + 20)
  })
  const log = await openLog(fileSystem)
  assert.deepEqual([log.logEndOffset, log.report.cut], [COUNT, []])
  const offsets = (await readAll(log, { onCorrupt: 'skip' })).map(({ offset }) => offset)
  assert.deepEqual(
    offsets,
    offsetsWithout(7).filter((offset) => offset !== 8 && offset !== 9),
  )
  await log.close()
})

test('batches behind damage are not cut because one before it claims their offsets', async () => {
  const { fileSystem } = await damaged(1 << 20, 7, (log, position) => {
    flip(6, 0x01)(log, position)
    log.fill(0xff, startsOf(log)[8], startsOf(log)[9])
  })
  const before = await readFileBytes(fileSystem, LOG_0)
  const log = await openLog(fileSystem)
  assert.deepEqual(log.report.cut, [])
  assert.equal(log.report.damage.length, 1)
  await log.close()
  assert.deepEqual(await readFileBytes(fileSystem, LOG_0), before)
})

test('a cursor over a sealed segment passes the batch, and no other', async () => {
  for (const [byte, bits] of FLIPS) {
    const { fileSystem } = await damaged(1500, 7, flip(byte, bits))
    const log = await openLog(fileSystem, { isClean: true, recoveryPoint: COUNT })
    const [first, second] = log.segments
    assert.ok(first && second)
    const cursor = new BatchCursor(first, 0, async () => {})
    const offsets: number[] = []
    let faults = 0
    for (let isThere = await cursor.next(); isThere || cursor.fault !== undefined; ) {
      if (isThere) offsets.push(baseOffsetAt(cursor.buffer, cursor.at))
      else faults += 1
      isThere = isThere ? await cursor.next() : await cursor.skip()
    }
    const expected = offsetsWithout(7).filter((offset) => offset < second.baseOffset)
    assert.deepEqual([offsets, faults], [expected, 1], `byte ${byte}`)
    await log.close()
  }
})

suite('offsets are judged', () => {
  const batch = (baseOffset: number, count = 1, lastOffset = baseOffset + count - 1): Buffer => {
    const value = Buffer.from('value')
    const records = Array.from({ length: count }, () => ({ key: null, value, timestamp: 1 }))
    return encodeBatch({ baseOffset, lastOffset, records })
  }
  const judged = (nextOffset: number, ...batches: Buffer[]): number => {
    const bytes = Buffer.concat(batches)
    return judgeOffsets(bytes, 0, bytes.length, nextOffset)
  }

  test('sound where a batch goes on from the one before it', () => {
    assert.equal(judged(5, batch(5, 2), batch(6)), OFFSETS_SOUND)
  })

  test('sound where a gap, or records that compaction took, leave the next one its own', () => {
    assert.equal(judged(5, batch(9), batch(10)), OFFSETS_SOUND)
    assert.equal(judged(5, batch(5, 1, 8), batch(9)), OFFSETS_SOUND)
    assert.equal(judged(5, batch(9)), OFFSETS_SOUND)
  })

  test('false where a gap leads over the next one', () => {
    assert.equal(judged(5, batch(9), batch(6)), OFFSETS_FALSE)
    assert.equal(judged(5, batch(5, 1, 8), batch(6)), OFFSETS_FALSE)
  })

  test('sound where the next one is from before, or damaged itself', () => {
    assert.equal(judged(5, batch(9), batch(4)), OFFSETS_SOUND)
    const damagedBatch = batch(6)
    damagedBatch[damagedBatch.length - 1] = 0xff
    assert.equal(judged(5, batch(9), damagedBatch), OFFSETS_SOUND)
    assert.equal(judged(5, batch(9), Buffer.alloc(100)), OFFSETS_SOUND)
  })

  test('by as much of the next one as is needed', () => {
    const [first, second] = [batch(9), batch(6)]
    const both = Buffer.concat([first, second])
    const judgeSome = (bytes: number): number =>
      judgeOffsets(both.subarray(0, bytes), 0, both.length, 5)
    assert.equal(judgeSome(first.length), first.length + 61)
    assert.equal(judgeSome(first.length + 61), both.length)
    assert.equal(judgeSome(both.length), OFFSETS_FALSE)
  })
})
