// A batch that compaction has left without records still tells a time, which is no record's. It has no time entry here; a broker gives it one.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { emptyBatch } from '../../src/cleanup/batch-rewriter.ts'
import { CleanedWriter } from '../../src/cleanup/cleaned-writer.ts'
import { readBatchHeader } from '../../src/codec/batch.ts'
import { encodeBatch } from '../../src/codec/batch-encoder.ts'
import type { IndexProblem } from '../../src/inspect/index-check.ts'
import { TimeIndexCheck } from '../../src/inspect/index-check.ts'
import type { StorageEnvironment } from '../../src/storage/environment.ts'
import { rebuildIndexes } from '../../src/storage/index-rebuild.ts'
import { Segment } from '../../src/storage/segment.ts'
import { greatestTimestamp } from '../../src/storage/time-lookup.ts'
import { MemoryFileSystem } from '../../src/testing/index.ts'
import { storageEnvironment } from '../support/storage-environment.ts'

const NAME = { directory: '/data', baseOffset: 0 }
/** By offset: when the batch is of, and whether its record has gone. */
const BATCHES = [
  { timestamp: 100, isEmptied: true },
  { timestamp: 5, isEmptied: false },
  { timestamp: 110, isEmptied: true },
  { timestamp: 7, isEmptied: false },
  { timestamp: 120, isEmptied: true },
] as const
const OF_RECORDS = [
  [5, 1],
  [7, 3],
]

const encoded = BATCHES.map(({ timestamp }, baseOffset) =>
  encodeBatch({ baseOffset, records: [{ key: 'k', value: Buffer.from('v'), timestamp }] }),
)

function timeEntries({ timeIndex }: Segment): number[][] {
  return Array.from({ length: timeIndex.count }, (_, entry) => [
    timeIndex.timestampAt(entry),
    timeIndex.relativeOffsetAt(entry),
  ])
}

/** With an index entry for each batch that may have one, opened again. */
async function writeCleaned(): Promise<{ environment: StorageEnvironment; segment: Segment }> {
  const fileSystem = new MemoryFileSystem()
  await fileSystem.mkdir(NAME.directory)
  const environment = storageEnvironment(fileSystem)
  const segment = await Segment.create(environment, NAME)
  segment.startIndexing(0)
  const writer = new CleanedWriter(segment, fileSystem, async () => {})
  for (const [offset, { isEmptied }] of BATCHES.entries()) {
    const batch = encoded[offset] ?? assert.fail()
    const header = readBatchHeader(batch, 0)
    if (isEmptied) await writer.put(header, emptyBatch(header))
    else await writer.copy(batch, 0, batch.length)
  }
  await writer.finish([])
  await segment.close()
  return { environment, segment: Segment.existing(environment, NAME) }
}

test('a time entry is of the greatest record, written and built again', async () => {
  const { segment } = await writeCleaned()
  assert.deepEqual(timeEntries(segment), OF_RECORDS)
  segment.indexIntervalBytes = 0
  await rebuildIndexes(segment)
  assert.deepEqual(timeEntries(segment), OF_RECORDS)
})

test('a time index without the times of batches that have no records is borne out', async () => {
  const { segment } = await writeCleaned()
  assert.equal(await greatestTimestamp(segment), 7)
  assert.equal(segment.wereIndexesRebuilt, false)
})

test('so is one whose last entry is of such a batch, as a broker leaves it', async () => {
  const { environment, segment } = await writeCleaned()
  segment.timeEntry(120, 4)
  await segment.saveIndexes()
  await segment.close()
  const again = Segment.existing(environment, NAME)
  assert.equal(await greatestTimestamp(again), 120)
  assert.equal(again.wereIndexesRebuilt, false)
})

for (const [whose, entries] of [
  ['ours', OF_RECORDS],
  [
    'a broker’s',
    [
      [100, 0],
      [110, 2],
      [120, 4],
    ],
  ],
] as const) {
  test(`verify finds no fault with ${whose}`, () => {
    const bytes = Buffer.alloc(12 * entries.length)
    for (const [entry, [timestamp = 0, offset = 0]] of entries.entries()) {
      bytes.writeBigInt64BE(BigInt(timestamp), 12 * entry)
      bytes.writeInt32BE(offset, 12 * entry + 8)
    }
    const problems: IndexProblem[] = []
    const check = new TimeIndexCheck(bytes, entries.length, 0, (problem) => problems.push(problem))
    for (const [offset, { isEmptied }] of BATCHES.entries()) {
      const header = readBatchHeader(encoded[offset] ?? assert.fail(), 0)
      check.batch(isEmptied ? { ...header, count: 0 } : header)
    }
    check.end(BATCHES.length - 1)
    assert.deepEqual(problems, [])
    assert.equal(check.greatestTimestamp, 7)
  })
}
