// The judge itself, tried on directories that real Kafka brokers wrote: sound ones and a damaged one.
import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import {
  dumpDirectories,
  dumpLogs,
  dumpOthers,
  KafkaComplaint,
  verifyIndexes,
} from './kafka-tools.ts'

const VECTORS = path.join(import.meta.dirname, '../fixtures/vectors')
const partitionsOf = (set: string): string[] => {
  const data = path.join(VECTORS, set, 'data')
  return readdirSync(data)
    .filter((name) => /-\d+$/.test(name))
    .map((name) => path.join(data, name))
}

/** A copy of a partition of `segments` in which one file is changed. */
function changed(
  t: { after(done: () => void): void },
  name: string,
  change: (bytes: Buffer) => Buffer,
): string {
  const copy = mkdtempSync(path.join(tmpdir(), 'brokerless-kafka-'))
  t.after(() => rmSync(copy, { recursive: true, force: true }))
  const partition = path.join(copy, 'ticks-0')
  cpSync(path.join(VECTORS, 'segments/data/ticks-0'), partition, { recursive: true })
  const file = path.join(partition, name)
  writeFileSync(file, change(readFileSync(file)))
  return partition
}

for (const set of ['segments', 'plain', 'transactions', 'restarted', 'append-time']) {
  test(`Kafka finds no fault with ${set}`, async () => {
    const directories = partitionsOf(set)
    const dump = await dumpDirectories(directories)
    await verifyIndexes(directories)
    const expected = JSON.parse(readFileSync(path.join(VECTORS, set, 'expected.json'), 'utf8'))
    let batches = 0
    for (const topic of Object.values<{ partitions: { batches: unknown[] }[] }>(expected.topics)) {
      for (const partition of topic.partitions) batches += partition.batches.length
    }
    assert.equal([...dump.values()].flat().length, batches)
    for (const batch of [...dump.values()].flat()) assert.equal(batch.records.length, batch.count)
  })
}

test('a flipped bit in a .log is complained about', async () => {
  await assert.rejects(dumpLogs(partitionsOf('flipped-byte')), (error: unknown) => {
    assert.ok(error instanceof KafkaComplaint)
    assert.match(error.message, /journal-0\/\d+\.log: baseOffset: .* isvalid: false/)
    return true
  })
})

test('a torn tail is complained about', async () => {
  await assert.rejects(dumpLogs(partitionsOf('torn-tail')), /Found \d+ invalid bytes at the end of/)
})

test('an index entry that points elsewhere is complained about', async (t) => {
  const partition = changed(t, '00000000000000000000.index', (bytes) => {
    bytes.writeInt32BE(bytes.readInt32BE(12) + 1, 12)
    return bytes
  })
  await assert.rejects(verifyIndexes([partition]), KafkaComplaint)
})

test('a time index whose last entry is zero is complained about', async (t) => {
  const partition = changed(t, '00000000000000000000.timeindex', (bytes) =>
    Buffer.concat([bytes, Buffer.alloc(12)]),
  )
  await assert.rejects(verifyIndexes([partition]), KafkaComplaint)
})

test('a producer snapshot with a wrong CRC is complained about', async (t) => {
  const name = readdirSync(path.join(VECTORS, 'segments/data/ticks-0')).find((each) =>
    each.endsWith('.snapshot'),
  )
  const partition = changed(t, name ?? '', (bytes) => {
    bytes[12] = (bytes[12] ?? 0) ^ 1
    return bytes
  })
  await assert.rejects(dumpOthers([partition]), /Snapshot is corrupt/)
})
