/** The decoders of the small files: indexes, snapshots, checkpoints, locks and the topics' store. */
import assert from 'node:assert/strict'
import { crc32c } from '../../../src/codec/crc32c.ts'
import { CorruptLogError, LogError } from '../../../src/errors.ts'
import {
  decodeAbortedTransactions,
  encodeAbortedTransactions,
} from '../../../src/storage/aborted-index.ts'
import {
  formatLeaderEpochs,
  formatOffsetCheckpoint,
  formatPartitionMetadata,
  parseLeaderEpochs,
  parseOffsetCheckpoint,
  parsePartitionMetadata,
} from '../../../src/storage/checkpoint.ts'
import {
  directoryKind,
  parsePartitionDirectoryName,
  parseRegionFileName,
  parseSegmentFileName,
  partitionDirectoryName,
  regionFileName,
  segmentFileName,
} from '../../../src/storage/file-names.ts'
import { nodeProcessFacts } from '../../../src/storage/file-system.ts'
import { decodeRecord, encodeRecord, judge, sharesFlock } from '../../../src/storage/lock-record.ts'
import { OffsetIndex } from '../../../src/storage/offset-index.ts'
import { decodeSnapshot, encodeSnapshot } from '../../../src/storage/producer-snapshot.ts'
import { TimeIndex } from '../../../src/storage/time-index.ts'
import { formatTopicStore, parseTopicStore } from '../../../src/topics/topic-store-format.ts'
import { filesEndingWith } from '../corpus.ts'
import type { FuzzRandom } from '../fuzz-random.ts'
import { mutate } from '../mutate.ts'
import type { FuzzTarget } from '../target.ts'
import { unlessRefused } from '../target.ts'
import { mutateJson, mutateText } from '../text-mutate.ts'

const FILE = 'file'

interface FileTarget {
  readonly name: string
  readonly endings: readonly string[]
  readonly mutate?: (random: FuzzRandom, bytes: Buffer, others: readonly Buffer[]) => Buffer
  readonly run: (input: Buffer) => void
}

/** Inputs are made from the files of the brokers whose names end so. */
function fileTarget({ name, endings, run, mutate: change = mutate }: FileTarget): FuzzTarget {
  let files: readonly Buffer[] = []
  return {
    name,
    async prepare() {
      files = filesEndingWith(...endings)
    },
    generate: (random) =>
      random.chance(0.02)
        ? random.bytes(random.size(300))
        : change(random, random.pick(files), files),
    run,
  }
}

// ---------------------------------------------------------------------------------------- indexes

const offsetIndex = fileTarget({
  name: 'offset-index',
  endings: ['.index'],
  run(input) {
    const logBytes = 1 + (input.length * 131) / 8
    const count = OffsetIndex.saneEntries(input, logBytes)
    assert.ok(count * OffsetIndex.entryBytes <= input.length)
    for (let entry = 0; entry < count; entry += 1) {
      const offset = input.readInt32BE(entry * 8)
      const position = input.readInt32BE(entry * 8 + 4)
      assert.ok(offset >= 0 && position > 0 && position < logBytes)
      if (entry === 0) continue
      assert.ok(offset > input.readInt32BE(entry * 8 - 8))
      assert.ok(position > input.readInt32BE(entry * 8 - 4))
    }
  },
})

const timeIndex = fileTarget({
  name: 'time-index',
  endings: ['.timeindex'],
  run(input) {
    const count = TimeIndex.saneEntries(input)
    assert.ok(count * TimeIndex.entryBytes <= input.length)
    for (let entry = 0; entry < count; entry += 1) {
      const timestamp = Number(input.readBigInt64BE(entry * 12))
      assert.ok(Number.isSafeInteger(timestamp) && timestamp >= 0)
      assert.ok(input.readInt32BE(entry * 12 + 8) >= 0)
      if (entry > 0) assert.ok(timestamp > Number(input.readBigInt64BE(entry * 12 - 12)))
    }
  },
})

const abortedIndex = fileTarget({
  name: 'aborted-index',
  endings: ['.txnindex'],
  run(input) {
    const entries = unlessRefused(() => decodeAbortedTransactions(input, FILE), CorruptLogError)
    if (entries !== undefined) assert.deepEqual(encodeAbortedTransactions(entries), input)
  },
})

// ----------------------------------------------------------------------------------- side files

const snapshot = fileTarget({
  name: 'snapshot',
  endings: ['.snapshot'],
  mutate(random, bytes, others) {
    const mutated = Buffer.from(mutate(random, bytes, others))
    if (mutated.length < 10 || random.chance(0.3)) return mutated
    if (random.chance(0.5)) mutated.writeInt32BE(Math.floor((mutated.length - 10) / 46), 6)
    mutated.writeUInt32BE(crc32c(mutated, 6, mutated.length), 2)
    return mutated
  },
  run(input) {
    const entries = unlessRefused(() => decodeSnapshot(input, FILE), CorruptLogError)
    if (entries === undefined) return
    const again = encodeSnapshot(entries)
    assert.deepEqual(decodeSnapshot(again, FILE), entries)
    assert.equal(again.length, input.length)
  },
})

const offsetCheckpoint = fileTarget({
  name: 'offset-checkpoint',
  endings: ['-checkpoint'],
  mutate: mutateText,
  run(input) {
    const offsets = unlessRefused(() => parseOffsetCheckpoint(input, FILE), CorruptLogError)
    if (offsets === undefined) return
    assert.deepEqual(parseOffsetCheckpoint(formatOffsetCheckpoint(offsets), FILE), offsets)
  },
})

const leaderEpochs = fileTarget({
  name: 'leader-epochs',
  endings: ['leader-epoch-checkpoint'],
  mutate: mutateText,
  run(input) {
    const epochs = unlessRefused(() => parseLeaderEpochs(input, FILE), CorruptLogError)
    if (epochs === undefined) return
    assert.deepEqual(parseLeaderEpochs(formatLeaderEpochs(epochs), FILE), epochs)
  },
})

const partitionMetadata = fileTarget({
  name: 'partition-metadata',
  endings: ['partition.metadata'],
  mutate: mutateText,
  run(input) {
    const topicId = unlessRefused(() => parsePartitionMetadata(input, FILE), CorruptLogError)
    if (topicId === undefined) return
    assert.equal(parsePartitionMetadata(formatPartitionMetadata(topicId), FILE), topicId)
  },
})

// ------------------------------------------------------------------------------- data directory

const STORE = {
  version: 1,
  nextProducerId: 2 ** 40,
  topics: [
    {
      name: 'orders',
      topicId: 'xRQf76KASpmJ78nw4a8qVg',
      partitions: 3,
      key: 'string',
      serializer: 'msgpack',
      config: { retentionMs: 604_800_000, timestampType: 'LogAppendTime', durability: 'os' },
      state: 'live',
    },
    {
      name: 'a.b_c-d',
      topicId: 'AAAAAAAAAAAAAAAAAAAAAA',
      partitions: 1,
      key: 'bytes',
      config: {},
      state: 'deleting',
    },
  ],
}

function storeFile(content: unknown): Buffer {
  const bytes = Buffer.from(JSON.stringify(content) ?? '')
  return Buffer.from(JSON.stringify({ crc: crc32c(bytes, 0, bytes.length), content }))
}

const topicStore: FuzzTarget = {
  name: 'topic-store',
  generate(random) {
    if (random.chance(0.01)) {
      const depth = 1 + random.size(40_000)
      return storeFileOfText(`{"version":1,"topics":${'['.repeat(depth)}${']'.repeat(depth)}}`)
    }
    if (random.chance(0.3)) return mutateText(random, storeFile(STORE))
    return storeFile(mutateJson(random, mutateJson(random, STORE)))
  },
  run(input) {
    const parsed = unlessRefused(() => parseTopicStore(input), LogError)
    if (parsed === undefined || 'damage' in parsed) return
    const again = parseTopicStore(formatTopicStore(parsed))
    assert.deepEqual(again, parsed)
    for (const { partitions } of parsed.topics) assert.ok(partitions >= 1 && partitions <= 100_000)
  },
}

/** The content may be more than `JSON.stringify` takes. */
function storeFileOfText(content: string): Buffer {
  const bytes = Buffer.from(content)
  return Buffer.from(`{"crc":${crc32c(bytes, 0, bytes.length)},"content":${content}}`)
}

const HOLDER = nodeProcessFacts.self()

const lockRecord: FuzzTarget = {
  name: 'lock-record',
  generate(random) {
    const record = encodeRecord('0123456789abcdef'.repeat(2), 1_700_000_000_000, HOLDER)
    if (random.chance(0.5)) return mutateText(random, record)
    return Buffer.from(JSON.stringify(mutateJson(random, JSON.parse(record.toString()))) ?? '')
  },
  run(input) {
    const record = decodeRecord(input)
    assert.match(record.token, /^[0-9a-f]{32}$/)
    assert.ok(['dead', 'alive', 'unknown'].includes(judge(record, nodeProcessFacts)))
    assert.equal(typeof sharesFlock(record, nodeProcessFacts), 'boolean')
  },
}

const NAMES = [
  '00000000000000000042.log',
  '00000000000000000042.timeindex.deleted',
  '00000000000000000042.log.1000.torn',
  'orders-0',
  'a-b-12',
  'orders-3.0123456789abcdef0123456789abcdef-delete',
  '__cluster_metadata-0',
  'orders-1-stray',
]

const fileNames: FuzzTarget = {
  name: 'file-names',
  generate: (random) => mutateText(random, Buffer.from(random.pick(NAMES))),
  run(input) {
    const name = input.toString('latin1')
    const segment = parseSegmentFileName(name)
    if (segment !== undefined) {
      const { baseOffset, kind, pending = '' } = segment
      assert.equal(segmentFileName(baseOffset, kind) + pending, name)
    }
    const region = parseRegionFileName(name)
    if (region !== undefined) {
      assert.equal(regionFileName(region.baseOffset, region.position, region.kind), name)
    }
    const kind = directoryKind(name)
    const partition = parsePartitionDirectoryName(name)
    if (kind === 'partition') assert.ok(partition)
    if (partition === undefined) return
    assert.equal(partitionDirectoryName(partition.topic, partition.partition), name)
    assert.ok(Number.isSafeInteger(partition.partition) && partition.partition >= 0)
  },
}

export const FILE_TARGETS: readonly FuzzTarget[] = [
  offsetIndex,
  timeIndex,
  abortedIndex,
  snapshot,
  offsetCheckpoint,
  leaderEpochs,
  partitionMetadata,
  topicStore,
  lockRecord,
  fileNames,
]
