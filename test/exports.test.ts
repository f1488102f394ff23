// The public face: what each sub-path exports, by name. A change here is a change for every user.
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'

const ROOT = path.join(import.meta.dirname, '..')

interface Face {
  readonly values: readonly string[]
  readonly types: readonly string[]
}

const FACES: Readonly<Record<string, Face>> = {
  'src/index.ts': {
    values: [
      'CorruptLogError',
      'DEAD_LETTER_HEADERS',
      'DecodeError',
      'DirectoryLockedError',
      'ERROR_CODES',
      'HandlerFailedError',
      'Log',
      'LogError',
      'MessageTooLargeError',
      'OffsetConflictError',
      'OffsetOutOfRangeError',
      'PartialProduceError',
      'ValidationError',
      'bytes',
      'json',
      'msgpack',
      'nodeFileSystem',
      'string',
      'systemClock',
    ],
    types: [
      'Acknowledgement',
      'AnyTopics',
      'Assignment',
      'AssignmentInput',
      'Assignor',
      'AssignorMember',
      'AssignorName',
      'BackgroundFailure',
      'Backoff',
      'BatchAcknowledgement',
      'BatchProcessor',
      'CleanupPolicy',
      'Clock',
      'CommitAcknowledgement',
      'CommitOptions',
      'CommittableRecord',
      'CommittedOffset',
      'CommittedPartition',
      'CommittedSignal',
      'CompactOptions',
      'CompressionCodec',
      'CompressionCodecs',
      'CompressionType',
      'Concurrency',
      'ConsumedBatch',
      'ConsumedOf',
      'ConsumedPage',
      'ConsumedRecord',
      'Consumer',
      'ConsumerCloseOptions',
      'ConsumerFrom',
      'ConsumerLag',
      'ConsumerMetrics',
      'ConsumerOptions',
      'ConsumerPartitionLag',
      'ConsumerSignal',
      'CutTail',
      'DamagedRegion',
      'DeadLetterReplay',
      'DeadLetteredSignal',
      'DescribedPartition',
      'DiagnosticMessages',
      'Durability',
      'EpochEndOffset',
      'FailedPartition',
      'FailedRecordSignal',
      'FailurePolicy',
      'FetchOptions',
      'FetchResult',
      'FileHandle',
      'FileLock',
      'FileLockResult',
      'FileStat',
      'FileSystem',
      'GroupCounts',
      'GroupDescription',
      'GroupLag',
      'GroupMember',
      'GroupMetrics',
      'GroupOffset',
      'GroupSignal',
      'GroupState',
      'HandlerContext',
      'HeaderValue',
      'IdempotentProduceOptions',
      'IsolationLevel',
      'KeyOf',
      'KeyType',
      'LockHolder',
      'LogErrorCode',
      'LogErrorOptions',
      'LogEvents',
      'LogMetrics',
      'LogOptions',
      'LogRecord',
      'LoopBlockedSignal',
      'LostSignal',
      'OffsetCommit',
      'OnCorrupt',
      'OpenMode',
      'OutputFor',
      'PartitionCompaction',
      'PartitionDescription',
      'PartitionLag',
      'PartitionRecovery',
      'Partitioner',
      'PartitionsCallback',
      'PartitionsSignal',
      'ProcessContext',
      'ProcessHandler',
      'ProcessOptions',
      'ProcessOutput',
      'ProcessProduceOptions',
      'ProcessTransaction',
      'ProcessedOf',
      'Processing',
      'ProduceOptions',
      'ProduceRecord',
      'ProducedOf',
      'Producer',
      'ProducerOptions',
      'ReadFrom',
      'ReadHeaders',
      'ReadKeyOf',
      'ReadOptions',
      'RebalancedSignal',
      'RecordBatch',
      'RecordHeaders',
      'RecordProcessor',
      'RecordStream',
      'RecoveryReport',
      'ReplayOptions',
      'ResetOffset',
      'ResetTo',
      'RetriedSignal',
      'RunOptions',
      'SeekTo',
      'Serializer',
      'StableOffset',
      'StandardSchemaV1',
      'SubscribedTo',
      'Timer',
      'TimestampType',
      'TopicAlteration',
      'TopicConfig',
      'TopicDeclaration',
      'TopicDeclarations',
      'TopicDescription',
      'TopicMetrics',
      'TopicName',
      'TopicPartition',
      'TopicPartitions',
      'TopicType',
      'TopicsOf',
      'Transaction',
      'TransactionAcknowledgement',
      'TransactionOptions',
      'TransactionPhase',
      'TransactionProduceOptions',
      'ValueOf',
    ],
  },
  'src/testing/index.ts': {
    values: ['ManualClock', 'MemoryFileSystem', 'openMemoryLog'],
    types: ['MemoryFileSystemOptions'],
  },
}

/** Names in `export type { … }` and those marked `type` in `export { … }`, as a user sees them. */
function exportedTypes(source: string): string[] {
  const names: string[] = []
  for (const [, all, list = ''] of source.matchAll(/\bexport\s+(type\s+)?\{([^}]*)\}/g)) {
    for (const item of list.split(',').map((each) => each.trim())) {
      if (item !== '' && (all !== undefined || item.startsWith('type '))) {
        names.push(item.replace(/^type /, '').replace(/^.* as /, ''))
      }
    }
  }
  return names
}

for (const [file, face] of Object.entries(FACES)) {
  test(`${file} exports these values and no others`, async () => {
    const exported = Object.keys(await import(path.join(ROOT, file)))
    assert.deepEqual(exported.sort(), [...face.values].sort())
  })

  test(`${file} exports these types and no others`, () => {
    const exported = exportedTypes(readFileSync(path.join(ROOT, file), 'utf8'))
    assert.deepEqual(exported.sort(), [...face.types].sort())
  })
}

test('every sub-path of the package stands on a source file', () => {
  const { exports } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8'))
  const sources: string[] = []
  for (const [name, target] of Object.entries<{ types: string; default: string } | string>(
    exports,
  )) {
    if (typeof target === 'string') {
      assert.equal(name, './package.json')
      continue
    }
    assert.equal(target.types, target.default.replace(/\.js$/, '.d.ts'))
    sources.push(target.default.replace(/^\.\/dist\//, 'src/').replace(/\.js$/, '.ts'))
  }
  assert.deepEqual(sources, Object.keys(FACES))
  for (const source of sources) assert.ok(existsSync(path.join(ROOT, source)), source)
})
