// What a dump tells of files that brokers wrote is what Kafka's own tools printed of them.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { codecName } from '../../src/codec/compression.ts'
import type { CommittedOffset } from '../../src/index.ts'
import type { DumpEntry, DumpedBatch, DumpedRecord } from '../../src/inspect/dump-entry.ts'
import type { DumpOptions } from '../../src/inspect/dump-file.ts'
import { dumpedKindOf, dumpFile } from '../../src/inspect/dump-file.ts'
import type { InternalRecord } from '../../src/inspect/internal-record.ts'
import { nodeFileSystem } from '../../src/storage/file-system.ts'
import { ManualClock, MemoryFileSystem } from '../../src/testing/index.ts'
import type { ExpectedBatch, ExpectedRecord, FixturePartition } from '../support/fixtures.ts'
import {
  FIXTURE_SETS,
  fixtureDirectory,
  loadExpected,
  loadPartitions,
} from '../support/fixtures.ts'
import { Inspected, openOrders, sealBatch, soundLog } from '../support/inspected.ts'
import { segmentFile } from '../support/kafka-files.ts'

async function dumped(file: string, options: Partial<DumpOptions> = {}): Promise<DumpEntry[]> {
  const entries: DumpEntry[] = []
  const emit = (entry: DumpEntry): void => void entries.push(kept(entry))
  await dumpFile({ fileSystem: nodeFileSystem, file, emit, ...options })
  return entries
}

/** Bytes of a record are there until it is answered. */
function kept(entry: DumpEntry): DumpEntry {
  if (entry.type !== 'record') return entry
  const copy = (bytes: Buffer | null) => (bytes === null ? null : Buffer.from(bytes))
  const headers = Object.fromEntries(
    Object.entries(entry.headers).map(([name, each]) => [
      name,
      Array.isArray(each) ? each.map(copy) : copy(each as Buffer | null),
    ]),
  )
  return { ...entry, key: copy(entry.key), value: copy(entry.value), headers }
}

const ofType = <Type extends DumpEntry['type']>(entries: readonly DumpEntry[], type: Type) =>
  entries.filter((each): each is Extract<DumpEntry, { type: Type }> => each.type === type)

// --------------------------------------------------------------------------------------- .log

function shownBatch(batch: DumpedBatch, marker: DumpedRecord['marker'], segment: number) {
  const { header, position, isCrcRight } = batch
  const { producerId } = header
  return {
    segment,
    position,
    baseOffset: header.baseOffset,
    lastOffset: header.lastOffset,
    count: header.count,
    size: header.sizeBytes,
    crc: header.crc,
    isvalid: isCrcRight,
    magic: header.magic,
    compresscodec: codecName(header.codec),
    partitionLeaderEpoch: header.partitionLeaderEpoch,
    createTime: header.maxTimestamp,
    timestampType: header.isLogAppendTime ? 'LogAppendTime' : 'CreateTime',
    isTransactional: header.isTransactional,
    isControl: header.isControl,
    deleteHorizonMs: (header.attributes & 0x40) === 0 ? undefined : header.baseTimestamp,
    producer: [producerId, header.producerEpoch, producerId < 0 ? -1 : header.baseSequence],
    marker: marker === undefined ? undefined : [marker.type, marker.coordinatorEpoch],
  }
}

const MARKERS = ['ABORT', 'COMMIT']

function expectedBatch(batch: ExpectedBatch) {
  const { producerId = -1, producerEpoch = -1, baseSequence = -1, controlType } = batch
  const hasMarker = controlType !== undefined && batch.count > 0
  return {
    segment: batch.segment,
    position: batch.position,
    baseOffset: batch.baseOffset,
    lastOffset: batch.lastOffset,
    count: batch.count,
    size: batch.size,
    crc: batch.crc,
    isvalid: batch.isvalid ?? true,
    magic: batch.magic,
    compresscodec: batch.compresscodec,
    partitionLeaderEpoch: batch.partitionLeaderEpoch,
    createTime: batch.createTime,
    timestampType: batch.timestampType ?? 'CreateTime',
    isTransactional: batch.isTransactional ?? false,
    isControl: batch.isControl ?? false,
    deleteHorizonMs: batch.deleteHorizonMs,
    producer: [producerId, producerEpoch, producerId < 0 ? -1 : baseSequence],
    marker: hasMarker ? [MARKERS.indexOf(controlType), batch.coordinatorEpoch] : undefined,
  }
}

function content(bytes: Buffer | null, sha256: string | undefined): unknown {
  if (bytes === null) return null
  if (sha256 === undefined) return bytes.toString('base64')
  return createHash('sha256').update(bytes).digest('hex')
}

function shownRecord(record: DumpedRecord, kafka: ExpectedRecord) {
  const { offset, timestamp, key, value, headers } = record
  return {
    offset,
    timestamp,
    key: content(key, kafka.keySha256),
    value: content(value, kafka.valueSha256),
    headers: Object.entries(headers).flatMap(([name, each]) =>
      (Array.isArray(each) ? each : [each as Buffer | null]).map((one) => [
        name,
        content(one, undefined),
      ]),
    ),
  }
}

function expectedRecord(kafka: ExpectedRecord) {
  const { offset, timestamp, key, keySha256, value, valueSha256, headers = [] } = kafka
  // A header that repeats comes together with its namesakes.
  const names = [...new Set(headers.map(([name]) => name))]
  return {
    offset,
    timestamp,
    key: keySha256 ?? key,
    value: valueSha256 ?? value,
    headers: names.flatMap((name) => headers.filter(([each]) => each === name)),
  }
}

async function dumpedSegments({ expected, directory }: FixturePartition) {
  const batches: ReturnType<typeof shownBatch>[] = []
  const records: DumpedRecord[] = []
  for (const { baseOffset } of expected.segments) {
    const entries = await dumped(path.join(directory, segmentFile(baseOffset)))
    entries.forEach((entry, index) => {
      const next = entries[index + 1]
      const marker = next?.type === 'record' ? next.marker : undefined
      if (entry.type === 'batch') batches.push(shownBatch(entry, marker, baseOffset))
      if (entry.type === 'record' && entry.marker === undefined) records.push(entry)
    })
  }
  return { batches, records }
}

for (const set of FIXTURE_SETS) {
  test(`batches and records of the set ${set} are those that Kafka's tools printed`, async () => {
    for (const each of await loadPartitions(set)) {
      const { batches, records } = await dumpedSegments(each)
      // What is cut in the middle is no batch to Kafka's tool.
      const isTold = ({ isvalid }: { isvalid: boolean | undefined }) => isvalid !== undefined
      assert.deepEqual(batches.filter(isTold), each.expected.batches.map(expectedBatch))
      const byOffset = new Map(each.expected.records.map((record) => [record.offset, record]))
      const known = records.flatMap((record) => {
        const kafka = byOffset.get(record.offset)
        return kafka === undefined ? [] : [[shownRecord(record, kafka), expectedRecord(kafka)]]
      })
      for (const [shown, expected] of known) assert.deepEqual(shown, expected)
      assert.equal(known.length, each.expected.records.length)
    }
  })

  test(`side files of the set ${set} are those that Kafka's tools printed`, async () => {
    for (const { expected, directory } of await loadPartitions(set)) {
      for (const segment of expected.segments) {
        const of = (suffix: string) =>
          dumped(path.join(directory, segmentFile(segment.baseOffset, suffix)))
        const index = ofType(await of('.index'), 'index-entry')
        const times = ofType(await of('.timeindex'), 'time-index-entry')
        const isWhole = segment.dumpSays === undefined
        const shown = index.map(({ offset, position }) => [offset, position])
        if (isWhole) assert.deepEqual(shown, segment.offsetIndex.filter(isEntry))
        const shownTimes = times.map(({ timestamp, offset }) => [timestamp, offset])
        if (isWhole) assert.deepEqual(shownTimes, segment.timeIndex.filter(isEntry))
        if (segment.abortedTransactions === undefined) continue
        const aborted = ofType(await of('.txnindex'), 'aborted-transaction')
        assert.deepEqual(
          aborted.map(({ type: _, ...each }) => ({ version: 0, ...each })),
          segment.abortedTransactions,
        )
      }
      for (const [name, producers] of Object.entries(expected.producerSnapshots)) {
        const entries = ofType(await dumped(path.join(directory, name)), 'producer')
        const ids = entries.map(({ producerId, producerEpoch }) => [producerId, producerEpoch])
        assert.deepEqual(
          ids.sort(),
          producers.map(({ producerId, producerEpoch }) => [producerId, producerEpoch]).sort(),
        )
      }
    }
  })
}

/** Kafka's tool prints the zeros of an index in use as an entry. */
function isEntry([first, second]: readonly [number, number]): boolean {
  return first !== 0 || second !== 0
}

// ------------------------------------------------------------------------------------- damage

const JOURNAL = (set: 'torn-tail' | 'zero-tail' | 'flipped-byte') =>
  path.join(fixtureDirectory(set), 'journal-0', segmentFile(87))

test('damage is told where it is, and the dump goes on with the next whole batch', async () => {
  const entries = await dumped(JOURNAL('flipped-byte'))
  const at = entries.findIndex(({ type }) => type === 'remark')
  const [batch, remark, next] = entries.slice(at - 1) as [DumpedBatch, DumpEntry, DumpedBatch]
  assert.deepEqual([batch.position, batch.header.baseOffset, batch.isCrcRight], [3512, 111, false])
  assert.deepEqual(remark, {
    type: 'remark',
    severity: 'damage',
    kind: 'batch-crc',
    position: 3512,
    bytes: 755,
    message:
      '755 bytes of a batch whose CRC does not hold; the next sound batch begins with offset 117',
  })
  assert.deepEqual([next.position, next.header.baseOffset], [4267, 117])
})

test('a torn tail is damage, a zero tail of a log that was not closed a warning', async () => {
  const [torn] = ofType(await dumped(JOURNAL('torn-tail')), 'remark')
  assert.deepEqual([torn?.kind, torn?.position, torn?.severity], ['batch-cut', 6993, 'damage'])
  const [zeros] = ofType(await dumped(JOURNAL('zero-tail')), 'remark')
  assert.deepEqual([zeros?.kind, zeros?.position, zeros?.severity], ['zero-tail', 7459, 'warning'])
})

test('a last batch that a live writer is about to write is no damage', async () => {
  const clock = new ManualClock()
  const fileSystem = new MemoryFileSystem({ clock })
  const log = await openOrders(fileSystem, clock)
  await log.produce('orders', { value: 'one' })
  const inspected = new Inspected(fileSystem)
  const name = `orders-0/${segmentFile(0)}`
  await inspected.edit(name, (bytes) => Buffer.concat([bytes, bytes.subarray(0, 70)]))
  const [remark] = ofType(await dumped(inspected.path(name), { fileSystem }), 'remark')
  assert.deepEqual([remark?.kind, remark?.severity], ['growing-tail', 'information'])
  await log.close()
})

test('records that do not decode are told behind those that do', async () => {
  const log = await soundLog()
  const name = `orders-0/${segmentFile(0)}`
  // Of two short records.
  const at = log.batches(name)[1] as number
  await log.edit(name, (bytes) => {
    // The offset delta of the second record becomes that of the first.
    const second = at + 61 + 1 + (bytes.readUInt8(at + 61) >> 1)
    bytes.writeUInt8(0, second + 3)
    sealBatch(bytes, at)
  })
  const entries = await dumped(log.path(name), { fileSystem: log.fileSystem })
  const index = entries.findIndex(({ type }) => type === 'remark')
  assert.deepEqual(
    entries.slice(index - 2, index + 1).map(({ type }) => type),
    ['batch', 'record', 'remark'],
  )
  const [remark] = ofType(entries, 'remark')
  assert.deepEqual([remark?.kind, remark?.position], ['records', at])
})

for (const [promise, suffix, change, kind] of [
  ['an index that is cut', '.index', (bytes: Buffer) => bytes.subarray(0, -3), 'index-size'],
  ['an index that falls', '.index', (b: Buffer) => Buffer.concat([b, b]), 'index-order'],
  ['an index that ends in zeros', '.timeindex', (b: Buffer) => withZeros(b), 'index-zeros'],
  [
    'a snapshot whose CRC is wrong',
    '.snapshot',
    (b: Buffer) => b.fill(9, 2, 6),
    'snapshot-damaged',
  ],
] as const) {
  test(`of ${promise} the entries before the damage are shown`, async () => {
    const log = await soundLog()
    const name = `orders-0/${segmentFile(36, suffix)}`
    const sound = await dumped(log.path(name), { fileSystem: log.fileSystem })
    await log.edit(name, change)
    const entries = await dumped(log.path(name), { fileSystem: log.fileSystem })
    const remark = entries.pop()
    assert.equal(remark?.type === 'remark' && remark.kind, kind)
    const lost = promise.endsWith('cut') ? 1 : 0
    assert.deepEqual(entries.slice(1), sound.slice(1, sound.length - lost))
  })
}

function withZeros(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(120)])
}

// -------------------------------------------------------------------------------- what is what

test('a file is known by its name, in the middle of an operation too', () => {
  const kinds: Record<string, string | undefined> = {
    [segmentFile(7)]: 'log',
    [segmentFile(7, '.log.deleted')]: 'log',
    [segmentFile(7, '.log.cleaned')]: 'log',
    [segmentFile(7, '.log.swap')]: 'log',
    [segmentFile(7, '.log.120.torn')]: 'log',
    [segmentFile(7, '.log.120.lost')]: undefined,
    [segmentFile(7, '.timeindex.swap')]: 'timeindex',
    [segmentFile(7, '.snapshot.tmp')]: 'snapshot',
    'leader-epoch-checkpoint': 'leader-epoch-checkpoint',
    'partition.metadata': 'partition.metadata',
    'recovery-point-offset-checkpoint': 'offset-checkpoint',
    'replication-offset-checkpoint.tmp': 'offset-checkpoint',
    'meta.properties': undefined,
  }
  for (const [name, kind] of Object.entries(kinds)) assert.equal(dumpedKindOf(name), kind, name)
})

test('files with suffixes are dumped as those without', async () => {
  const log = await soundLog()
  const name = `orders-0/${segmentFile(0)}`
  const { fileSystem } = log
  const [, ...sound] = await dumped(log.path(name), { fileSystem })
  for (const suffix of ['.deleted', '.cleaned', '.swap', '.500.torn']) {
    await log.write(name + suffix, log.read(name))
    const [file, ...entries] = await dumped(log.path(name + suffix), { fileSystem })
    assert.deepEqual(entries, sound)
    assert.deepEqual(
      { ...file, file: undefined },
      {
        type: 'file',
        file: undefined,
        kind: 'log',
        sizeBytes: log.read(name).length,
        baseOffset: 0,
        topic: 'orders',
        partition: 0,
      },
    )
  }
})

test('a file whose name says nothing needs a kind, and one that is not there is refused', async () => {
  const log = await soundLog()
  const { fileSystem } = log
  await log.write('copy', log.read(`orders-0/${segmentFile(0)}`))
  await assert.rejects(dumped(log.path('copy'), { fileSystem }), TypeError)
  const entries = await dumped(log.path('copy'), { fileSystem, kind: 'log' })
  assert.equal(ofType(entries, 'batch').length, 15)
  await assert.rejects(dumped(log.path(segmentFile(9)), { fileSystem }), { code: 'ENOENT' })
})

test('without records only batches are told, compressed ones are not decompressed', async () => {
  const log = await soundLog()
  const options = { fileSystem: log.fileSystem, hasRecords: false }
  const entries = await dumped(log.path(`orders-0/${segmentFile(0)}`), options)
  assert.deepEqual([...new Set(entries.map(({ type }) => type))], ['file', 'batch'])
})

/** Of a broker's directory, the records of its coordinators in the order of the log. */
async function internalRecords(set: 'offsets'): Promise<InternalRecord[]> {
  const directory = fixtureDirectory(set)
  const records: InternalRecord[] = []
  for (const partition of readdirSync(directory).filter((name) => /^__consumer/.test(name))) {
    const entries = await dumped(path.join(directory, partition, segmentFile(0)))
    for (const { internal, marker } of ofType(entries, 'record')) {
      assert.equal(internal === undefined, marker !== undefined)
      if (internal !== undefined) records.push(internal)
    }
  }
  return records
}

test('committed offsets are decoded, and come to what a broker answered', async () => {
  const { groups = {} } = await loadExpected('offsets')
  const latest = new Map<string, CommittedOffset | null>()
  for (const record of await internalRecords('offsets')) {
    if (record.kind !== 'offset') continue
    const { group, topic, partition, committed } = record
    latest.set(`${group} ${topic}-${partition}`, committed)
  }
  for (const [group, { offsets }] of Object.entries(groups)) {
    // Those of transactions count or do not by their markers.
    if (/transaction|pending/.test(group)) continue
    for (const [partition, { offset, metadata }] of Object.entries(offsets)) {
      const said = latest.get(`${group} ${partition}`)
      assert.deepEqual([said?.offset, said?.metadata], [offset, metadata])
    }
  }
})

test('groups are decoded with their members, newer kinds of records are told as not decoded', async () => {
  const records = await internalRecords('offsets')
  const groups = records.flatMap((each) => (each.kind === 'group' ? [each] : []))
  const members = groups.flatMap(({ metadata }) => metadata?.members ?? [])
  assert.ok(members.some(({ assignment }) => assignment !== undefined))
  assert.ok(groups.some(({ metadata }) => metadata === null))
  const unknown = records.flatMap((each) => (each.kind === 'unknown' ? [each.reason] : []))
  assert.ok(unknown.length > 0)
  for (const reason of unknown) assert.match(reason, /^a key of version [3-8]$/)
})
