/** What Kafka's tool must have found in the files of a log that is closed, given what a reader of that log saw. */
import assert from 'node:assert/strict'
import path from 'node:path'
import type { Dump, DumpedBatch, DumpedRecord } from './kafka-tools.ts'
import { KINDS } from './kinds.ts'
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

/** By file name, as the names' order is that of the offsets. */
function batchesIn(dump: Dump, directory: string): DumpedBatch[] {
  const files = [...dump].filter(([file]) => path.dirname(file) === directory)
  return files.sort(([one], [other]) => (one < other ? -1 : 1)).flatMap(([, each]) => [...each])
}

/** The records that readers are given, and below the log start as many as are still in its segment, without a gap. */
export function expectDump(dump: Dump, directory: string, seen: Seen): void {
  for (const [name, { start, end, records }] of seen) {
    const batches = batchesIn(dump, path.join(directory, name))
    const kind = KINDS[name.slice(0, name.lastIndexOf('-'))]
    const type = kind?.declaration.timestampType ?? 'CreateTime'
    let next = batches[0]?.baseOffset ?? end
    assert.ok(next <= start, `${name} begins at ${next}, behind its log start ${start}`)
    for (const batch of batches) {
      assert.equal(batch.baseOffset, next, `${name}: the offsets have a gap`)
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

/** Every codec of every kind is met with in what this library wrote, and no other but none: what does not shrink stays as it is. */
export function expectCodecs(dump: Dump, directory: string): void {
  for (const [topic, { codecs = [], declaration }] of Object.entries(KINDS)) {
    const numbers = Array.from({ length: declaration.partitions ?? 1 }, (_, number) => number)
    const batches = numbers.flatMap((each) =>
      batchesIn(dump, path.join(directory, `${topic}-${each}`)),
    )
    const met = new Set(batches.map(({ codec }) => codec))
    met.delete('none')
    assert.deepEqual([...met].sort(), [...codecs].sort(), topic)
  }
}
