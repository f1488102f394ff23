/** What Kafka's tool must have found in the files of a log that is closed, given what a reader of that log saw. */
import assert from 'node:assert/strict'
import path from 'node:path'
import type { RecoveryReport } from '../../src/index.ts'
import type { Dump, DumpedBatch, DumpedRecord, HasGaps } from './kafka-tools.ts'
import { isCompacted, KINDS, topicOf } from './kinds.ts'
import type { Seen, SeenRecord } from './records.ts'

const sizeOf = (base64: string | null): number =>
  base64 === null ? -1 : Buffer.byteLength(base64, 'base64')

const shown = ({ offset, timestamp, key, value, headers }: SeenRecord): DumpedRecord => ({
  offset,
  timestamp,
  keySize: sizeOf(key),
  valueSize: sizeOf(value),
  headerKeys: headers.map(([name]) => name).join(','),
})

export const hasGaps: HasGaps = (file) => isCompacted(path.basename(path.dirname(file)))

/** By file name, as the names' order is that of the offsets. */
function batchesIn(dump: Dump, directory: string): DumpedBatch[] {
  const files = [...dump].filter(([file]) => path.dirname(file) === directory)
  return files.sort(([one], [other]) => (one < other ? -1 : 1)).flatMap(([, each]) => [...each])
}

/** The records that readers are given, and below the log start as many as are still in its segment; without a gap, unless it is compacted. */
export function expectDump(dump: Dump, directory: string, seen: Seen): void {
  for (const [name, { start, end, records }] of seen) {
    const batches = batchesIn(dump, path.join(directory, name))
    const kind = KINDS[topicOf(name)]
    const type = kind?.declaration.timestampType ?? 'CreateTime'
    let next = batches[0]?.baseOffset ?? end
    const mayHaveGaps = isCompacted(name)
    const isBegun = mayHaveGaps || next <= start
    assert.ok(isBegun, `${name} begins at ${next}, behind its log start ${start}`)
    for (const batch of batches) {
      const isNext = mayHaveGaps ? batch.baseOffset >= next : batch.baseOffset === next
      assert.ok(isNext, `${name}: ${batch.baseOffset} follows ${next - 1}`)
      assert.equal(batch.records.length, batch.count)
      assert.equal(batch.timestampType, type)
      next = batch.lastOffset + 1
    }
    assert.equal(next, end, `${name}: log end`)
    const visible = batches
      .flatMap((batch) => batch.records)
      .filter(({ offset }) => offset >= start)
    assert.equal(visible.length, records.length, name)
    for (const [index, record] of records.entries())
      assert.deepEqual(visible[index], shown(record), name)
  }
}

/**
 * Every codec of every kind is met with in what this library wrote, and no other but none: what does not shrink stays as it is. Of what is
 * compacted there is not enough left to have them all.
 */
export function expectCodecs(dump: Dump, directory: string): void {
  for (const [topic, { codecs = [], declaration }] of Object.entries(KINDS)) {
    const numbers = Array.from({ length: declaration.partitions ?? 1 }, (_, number) => number)
    const batches = numbers.flatMap((each) =>
      batchesIn(dump, path.join(directory, `${topic}-${each}`)),
    )
    const met = new Set(batches.map(({ codec }) => codec))
    met.delete('none')
    const expected = isCompacted(`${topic}-0`) ? codecs.filter((each) => met.has(each)) : codecs
    assert.deepEqual([...met].sort(), [...expected].sort(), topic)
  }
}

/** Compaction has had something to do wherever it is at work. */
export function expectGaps(seen: Seen): void {
  const compacted = [...seen].filter(([name]) => isCompacted(name))
  for (const [name, { start, end, records }] of compacted) {
    assert.ok(records.length < end - start, `${name} has no gap`)
  }
  assert.ok(compacted.length > 0)
}

/** Some batch of a partition has lost all its records. */
export const hasEmptyBatch = (dump: Dump, directory: string): boolean =>
  batchesIn(dump, directory).some(({ count }) => count === 0)

/** Files that the broker was about to unlink are unlinked; that is all. */
export function expectNothingRebuilt({ clean, scannedBytes, partitions }: RecoveryReport): void {
  assert.deepEqual([clean, scannedBytes], [true, 0])
  for (const { cut, damage, rebuilt, finished } of partitions) {
    assert.deepEqual([cut, damage, rebuilt], [[], [], []])
    assert.ok(finished.every((name) => name.endsWith('.deleted')))
  }
}
