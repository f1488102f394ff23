import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FetchOptions, LogOptions, ReadOptions } from '../src/options.ts'
import {
  checkTopicConfig,
  givenConfig,
  resolveCommitOptions,
  resolveCompactOptions,
  resolveFetchOptions,
  resolveIdempotentOptions,
  resolveLogOptions,
  resolveProduceOptions,
  resolveProducerOptions,
  resolveReadOptions,
  resolveTopicConfig,
  resolveTransactionOptions,
  resolveTransactionProduceOptions,
  TOPIC_CONFIG_DEFAULTS,
} from '../src/options.ts'
import type { Clock, FileSystem } from '../src/types.ts'

/** What a JavaScript caller may hand in. */
const loose = <T>(value: unknown): T => value as T

function refuses(call: () => unknown, type: typeof TypeError, ...parts: string[]): void {
  assert.throws(call, (error: unknown) => {
    assert.ok(error instanceof type, `${error}`)
    assert.equal(error.name, type.name)
    for (const part of parts) assert.ok(error.message.includes(part), error.message)
    return true
  })
}

test('a log without options has the documented defaults', () => {
  const MIB = 1024 * 1024
  assert.deepEqual(resolveLogOptions(), {
    topics: {},
    durability: 'disk',
    compression: 'none',
    compressionLevel: -1,
    lingerMs: 0,
    maxDecompressedBytes: 128 * MIB,
    codecs: undefined,
    autoCreateTopics: false,
    maxPendingBytes: 32 * MIB,
    maxOpenFiles: 256,
    cacheBytes: 64 * MIB,
    maxConcurrentSyncs: 3,
    flushBytes: 16 * MIB,
    flushIntervalMs: 1000,
    readOnly: false,
    readOnlyPollMs: 100,
    raw: false,
    breakLock: undefined,
    retentionCheckIntervalMs: 300_000,
    producerIdExpirationMs: 86_400_000,
    offsetsRetentionMs: -1,
    offsetsRetentionCheckIntervalMs: 600_000,
    compactionCheckIntervalMs: 15_000,
    compactionBytesPerSecond: undefined,
    compactionMapBytes: 32 * MIB,
    maxTransactionBytes: 8 * MIB,
    transactionalIdExpirationMs: 604_800_000,
    fileSystem: undefined,
    clock: undefined,
  })
})

test('what is given to the log is kept, and undefined counts as left out', () => {
  const clock: Clock = { now: () => 0, setTimer: () => ({ cancel() {} }) }
  const given = { maxOpenFiles: 8, readOnly: true, breakLock: 'token', clock, topics: { a: {} } }
  const resolved = resolveLogOptions({ ...given, ...loose<LogOptions>({ flushBytes: undefined }) })
  assert.deepEqual({ ...resolved, ...given }, resolved)
  assert.equal(resolved.flushBytes, 16 * 1024 * 1024)
})

test('an unknown option is refused with the name that was probably meant', () => {
  refuses(
    () => resolveLogOptions(loose({ maxOpenFile: 9 })),
    TypeError,
    'unknown option maxOpenFile; did you mean maxOpenFiles?',
  )
  refuses(
    () => checkTopicConfig(loose({ retentionms: 1 }), 'topic orders'),
    TypeError,
    'topic orders',
    'unknown option retentionms; did you mean retentionMs?',
  )
  refuses(
    () => resolveProduceOptions(loose({ durabilty: 'os' })),
    TypeError,
    'did you mean durability?',
  )
  refuses(
    () => resolveFetchOptions(loose({ partition: 0, offset: 0, maxByte: 1 })),
    TypeError,
    'did you mean maxBytes?',
  )
  refuses(
    () => resolveProducerOptions(loose({ transactionId: 'a' })),
    TypeError,
    'did you mean transactionalId?',
  )
  refuses(
    () => resolveIdempotentOptions(loose({ sequnce: 0, partition: 0 })),
    TypeError,
    'unknown option sequnce',
  )
  refuses(
    () => resolveTransactionOptions(loose({ transactionTimeout: 1 })),
    TypeError,
    'did you mean transactionTimeoutMs?',
  )
  refuses(
    () => resolveTransactionProduceOptions(loose({ expectedOfset: 1 })),
    TypeError,
    'did you mean expectedOffset?',
  )
  refuses(() => resolveReadOptions(loose({ form: 0 })), TypeError, 'did you mean from?')
  refuses(
    () => resolveCommitOptions(loose({ Durability: 'os' })),
    TypeError,
    'did you mean durability?',
  )
})

test('an unknown option that resembles none is refused without a hint', () => {
  assert.throws(() => resolveLogOptions(loose({ brokerId: 1 })), {
    name: 'TypeError',
    message: 'the log: unknown option brokerId',
  })
})

for (const [name, below] of [
  ['maxPendingBytes', 0],
  ['lingerMs', -1],
  ['maxDecompressedBytes', 0],
  ['maxOpenFiles', 7],
  ['cacheBytes', -1],
  ['maxConcurrentSyncs', 0],
  ['flushBytes', 0],
  ['flushIntervalMs', 0],
  ['readOnlyPollMs', 0],
  ['retentionCheckIntervalMs', 0],
  ['producerIdExpirationMs', 0],
  ['offsetsRetentionMs', -2],
  ['offsetsRetentionCheckIntervalMs', 0],
  ['compactionCheckIntervalMs', 0],
  ['compactionBytesPerSecond', 0],
  ['compactionMapBytes', 1023],
  ['maxTransactionBytes', 0],
  ['transactionalIdExpirationMs', 0],
] as const) {
  test(`${name} takes ${below + 1}, and nothing below it, no fraction and no other type`, () => {
    const resolve = (value: unknown) => resolveLogOptions(loose({ [name]: value }))
    assert.equal(resolve(below + 1)[name], below + 1)
    refuses(() => resolve(below), RangeError, name, `is ${below};`, String(below + 1))
    refuses(() => resolve(below + 1.5), RangeError, name)
    refuses(() => resolve(Number.NaN), RangeError, name)
    refuses(() => resolve(2 ** 53), RangeError, name)
    refuses(() => resolve('9'), TypeError, name, "'9'")
    refuses(() => resolve(null), TypeError, name, 'null')
  })
}

test('options of the log that are no numbers are held to their types', () => {
  refuses(() => resolveLogOptions(loose('x')), TypeError, 'an object')
  refuses(() => resolveLogOptions(loose({ topics: 1 })), TypeError, 'topics is 1')
  refuses(() => resolveLogOptions(loose({ topics: [{}] })), TypeError, 'topics is an array')
  refuses(() => resolveLogOptions(loose({ topics: new Map() })), TypeError, 'topics is an object')
  refuses(
    () => resolveLogOptions(loose({ durability: 'none' })),
    RangeError,
    "'none'",
    "'disk' or 'os'",
  )
  refuses(() => resolveLogOptions(loose({ durability: 1 })), TypeError, 'durability is 1')
  refuses(() => resolveLogOptions(loose({ readOnly: 1 })), TypeError, 'readOnly is 1')
  refuses(() => resolveLogOptions(loose({ raw: 'yes' })), TypeError, "raw is 'yes'")
  refuses(() => resolveLogOptions(loose({ breakLock: '' })), RangeError, 'breakLock')
  refuses(() => resolveLogOptions(loose({ breakLock: true })), TypeError, 'breakLock')
  refuses(() => resolveLogOptions({ clock: loose<Clock>({}) }), TypeError, 'clock', 'a Clock')
  refuses(
    () => resolveLogOptions({ fileSystem: loose<FileSystem>(null) }),
    TypeError,
    'fileSystem',
    'a FileSystem',
  )
  refuses(() => resolveLogOptions({ maxConcurrentSyncs: 1025 }), RangeError, 'from 1 to 1024')
})

test('a topic takes what it leaves out from the log, then from the defaults', () => {
  const log = {
    compression: 'gzip',
    compressionLevel: 9,
    lingerMs: 5,
    durability: 'os',
    flushIntervalMs: 50,
  } as const
  assert.deepEqual(resolveTopicConfig({}, log), { ...TOPIC_CONFIG_DEFAULTS, ...log })
  assert.deepEqual(resolveTopicConfig({ durability: 'disk', retentionMs: 5 }, log), {
    ...TOPIC_CONFIG_DEFAULTS,
    ...log,
    durability: 'disk',
    retentionMs: 5,
  })
  assert.equal(TOPIC_CONFIG_DEFAULTS.retentionMs, -1)
  assert.equal(TOPIC_CONFIG_DEFAULTS.retentionBytes, -1)
})

test('the configuration of a topic is held to its ranges', () => {
  const MAX = 2 ** 31 - 1
  const ranges = [
    ['segmentBytes', 1024, MAX],
    ['segmentMs', 1, Number.MAX_SAFE_INTEGER],
    ['indexIntervalBytes', 0, Number.MAX_SAFE_INTEGER],
    ['segmentIndexBytes', 24, MAX],
    ['retentionMs', -1, Number.MAX_SAFE_INTEGER],
    ['retentionBytes', -1, Number.MAX_SAFE_INTEGER],
    ['minCompactionLagMs', 0, Number.MAX_SAFE_INTEGER],
    ['maxCompactionLagMs', -1, Number.MAX_SAFE_INTEGER],
    ['deleteRetentionMs', 0, Number.MAX_SAFE_INTEGER],
    ['maxMessageBytes', 61, MAX],
    ['lingerMs', 0, Number.MAX_SAFE_INTEGER],
    ['flushIntervalMs', 1, Number.MAX_SAFE_INTEGER],
  ] as const
  for (const [name, minimum, maximum] of ranges) {
    checkTopicConfig({ [name]: minimum })
    checkTopicConfig({ [name]: maximum })
    refuses(
      () => checkTopicConfig({ [name]: minimum - 1 }, 'topic t'),
      RangeError,
      `topic t: ${name}`,
    )
    refuses(() => checkTopicConfig({ [name]: maximum + 1 }), RangeError, name)
    refuses(() => checkTopicConfig(loose({ [name]: '1' })), TypeError, name)
  }
  refuses(() => checkTopicConfig(loose({ timestampType: 'x' })), RangeError, "'CreateTime'")
  refuses(() => checkTopicConfig(loose({ durability: 'x' })), RangeError, "'disk' or 'os'")
  refuses(() => checkTopicConfig(loose(null)), TypeError, 'an object')
})

test('the options of compaction are held to their ranges, and to one another', () => {
  for (const cleanupPolicy of ['delete', 'compact', 'compact,delete'] as const) {
    checkTopicConfig({ cleanupPolicy })
  }
  refuses(
    () => checkTopicConfig(loose({ cleanupPolicy: 'delete,compact' })),
    RangeError,
    "'delete' or 'compact' or 'compact,delete'",
  )
  for (const ratio of [0, 0.01, 1]) checkTopicConfig({ minCleanableDirtyRatio: ratio })
  for (const ratio of [-0.1, 1.1, Number.NaN]) {
    refuses(() => checkTopicConfig({ minCleanableDirtyRatio: ratio }), RangeError, 'from 0 to 1')
  }
  refuses(() => checkTopicConfig(loose({ minCleanableDirtyRatio: '1' })), TypeError, "'1'")
  refuses(() => checkTopicConfig({ maxCompactionLagMs: 0 }), RangeError, 'maxCompactionLagMs is 0')
  checkTopicConfig({ minCompactionLagMs: 5, maxCompactionLagMs: 5 })
  refuses(
    () => checkTopicConfig({ minCompactionLagMs: 6, maxCompactionLagMs: 5 }),
    RangeError,
    'maxCompactionLagMs is 5',
    'minCompactionLagMs (6)',
  )
})

test('a level goes with the codec beside it, within what the codec has', () => {
  const resolve = {
    'the log': (given: object) => resolveLogOptions(given),
    'a topic': (given: object) => checkTopicConfig(given),
    'a call': (given: object) => resolveProduceOptions(given),
  }
  for (const check of Object.values(resolve)) {
    for (const [compression, highest] of [
      ['gzip', 9],
      ['zstd', 22],
    ] as const) {
      for (const compressionLevel of [1, highest, -1]) check({ compression, compressionLevel })
      for (const compressionLevel of [0, highest + 1, -2, 1.5]) {
        refuses(
          () => check({ compression, compressionLevel }),
          RangeError,
          `compressionLevel is ${compressionLevel};`,
          `from 1 to ${highest}`,
        )
      }
    }
    for (const compression of ['none', 'snappy', 'lz4']) {
      check({ compression, compressionLevel: -1 })
      refuses(
        () => check({ compression, compressionLevel: 1 }),
        RangeError,
        `${compression} has no levels`,
      )
    }
    refuses(() => check({ compressionLevel: 3 }), TypeError, 'it needs compression beside it')
    refuses(() => check({ compressionLevel: '3' }), TypeError, "compressionLevel is '3'")
    refuses(() => check({ compression: 'brotli' }), RangeError, "'none' or 'gzip' or 'snappy'")
    refuses(() => check({ compression: 1 }), TypeError, 'compression is 1')
  }
})

test('compression and level of a topic are given, kept and left to the log together', () => {
  assert.deepEqual(givenConfig({ compression: 'gzip' }), {
    compression: 'gzip',
    compressionLevel: -1,
  })
  assert.deepEqual(givenConfig({ compressionLevel: -1, segmentMs: 5 }), { segmentMs: 5 })
  const log = { ...TOPIC_CONFIG_DEFAULTS, compression: 'gzip', compressionLevel: 9 } as const
  const { compression, compressionLevel } = resolveTopicConfig({ compression: 'lz4' }, log)
  assert.deepEqual([compression, compressionLevel], ['lz4', -1])
})

test('codecs are brought by name, each with both of its functions', () => {
  const codec = { compress: (bytes: Uint8Array) => bytes, decompress: (bytes: Uint8Array) => bytes }
  const { codecs } = resolveLogOptions({
    codecs: { zstd: codec, ...loose<object>({ lz4: undefined }) },
  })
  assert.equal(codecs?.zstd, codec)
  const resolve = (given: unknown) => () => resolveLogOptions(loose({ codecs: given }))
  refuses(resolve({ ztsd: codec }), TypeError, 'codecs: unknown option ztsd; did you mean zstd?')
  refuses(resolve({ none: codec }), TypeError, 'unknown option none')
  refuses(resolve([codec]), TypeError, 'codecs is an array')
  refuses(resolve({ gzip: null }), TypeError, 'codecs.gzip is null')
  refuses(resolve({ gzip: { compress() {} } }), TypeError, 'the functions compress and decompress')
})

test('names without a value are no part of a given configuration', () => {
  assert.deepEqual(givenConfig(loose({ retentionMs: undefined, segmentMs: 5 })), { segmentMs: 5 })
})

test('produce without options allocates nothing', () => {
  assert.equal(resolveProduceOptions(), resolveProduceOptions())
  assert.deepEqual(resolveProduceOptions({}), resolveProduceOptions())
})

test('the options of produce are kept and checked', () => {
  const { signal } = new AbortController()
  const given = {
    durability: 'os',
    compression: 'zstd',
    compressionLevel: 7,
    partition: 2,
    expectedOffset: 0,
    signal,
  } as const
  assert.deepEqual(resolveProduceOptions(given), given)
  refuses(() => resolveProduceOptions({ partition: -1 }), RangeError, 'partition is -1')
  refuses(() => resolveProduceOptions({ expectedOffset: 1.5 }), RangeError, 'expectedOffset is 1.5')
  refuses(() => resolveProduceOptions(loose({ signal: {} })), TypeError, 'an AbortSignal')
  refuses(() => resolveProduceOptions(loose(5)), TypeError, 'produce')
})

test('fetch needs a partition and an offset and has defaults for the rest', () => {
  assert.deepEqual(resolveFetchOptions({ partition: 1, offset: 7 }), {
    partition: 1,
    offset: 7,
    maxBytes: 1024 * 1024,
    maxRecords: Number.POSITIVE_INFINITY,
    minBytes: 1,
    maxWaitMs: 0,
    signal: undefined,
    onCorrupt: 'throw',
    isolationLevel: 'read_committed',
  })
  refuses(() => resolveFetchOptions(loose(undefined)), TypeError, 'partition and offset')
  refuses(() => resolveFetchOptions(loose({ offset: 0 })), TypeError, 'partition is undefined')
  refuses(() => resolveFetchOptions(loose({ partition: 0 })), TypeError, 'offset is undefined')
})

test('the options of fetch are held to their ranges', () => {
  const resolve = (more: Partial<FetchOptions>) =>
    resolveFetchOptions({ partition: 0, offset: 0, ...more })
  assert.equal(resolve({ minBytes: 0 }).minBytes, 0)
  assert.equal(
    resolve({ maxRecords: Number.POSITIVE_INFINITY }).maxRecords,
    Number.POSITIVE_INFINITY,
  )
  assert.equal(resolve({ onCorrupt: 'skip' }).onCorrupt, 'skip')
  refuses(() => resolve({ offset: -1 }), RangeError, 'offset is -1')
  refuses(() => resolve({ maxBytes: 0 }), RangeError, 'maxBytes is 0')
  refuses(() => resolve({ maxRecords: 0 }), RangeError, 'maxRecords is 0')
  refuses(() => resolve({ minBytes: -1 }), RangeError, 'minBytes is -1')
  refuses(() => resolve({ maxWaitMs: -1 }), RangeError, 'maxWaitMs is -1')
  refuses(() => resolve(loose({ onCorrupt: 'ignore' })), RangeError, "'throw' or 'skip'")
})

test('read starts at the beginning of all partitions and goes on, unless it is told otherwise', () => {
  assert.deepEqual(resolveReadOptions(), {
    partitions: undefined,
    from: { kind: 'earliest' },
    until: undefined,
    maxBytes: 1024 * 1024,
    signal: undefined,
    onCorrupt: 'throw',
    isolationLevel: 'read_committed',
  })
})

test('read starts at an offset, a time or an end', () => {
  const from = (given: ReadOptions['from']) => resolveReadOptions(loose({ from: given })).from
  assert.deepEqual(from(5), { kind: 'offset', offset: 5 })
  const offsets = new Map([[1, 7]])
  assert.deepEqual(from(offsets), { kind: 'offsets', offsets })
  assert.deepEqual(from(new Date(9)), { kind: 'timestamp', timestamp: 9 })
  assert.deepEqual(from({ timestamp: 9 }), { kind: 'timestamp', timestamp: 9 })
  assert.deepEqual(from('earliest'), { kind: 'earliest' })
  assert.deepEqual(from('latest'), { kind: 'latest' })
  refuses(() => from(-1), RangeError, 'from is -1')
  refuses(() => from(loose('first')), RangeError, "from is 'first'", "'earliest' or 'latest'")
  refuses(() => from(new Map([[-1, 7]])), RangeError, 'partition is -1')
  refuses(() => from(loose(new Map([['0', 7]]))), TypeError, "partition is '0'")
  refuses(() => from(new Map([[1, -7]])), RangeError, 'an offset of from is -7')
  refuses(() => from(loose(null)), TypeError, 'from is null')
  refuses(() => from(new Date(Number.NaN)), RangeError, 'from is NaN')
  refuses(() => from(loose({ timestamp: 'x' })), TypeError, "from.timestamp is 'x'")
})

test('read takes one partition or several, each once', () => {
  assert.deepEqual(resolveReadOptions({ partition: 3 }).partitions, [3])
  assert.deepEqual(resolveReadOptions({ partitions: [2, 0] }).partitions, [2, 0])
  refuses(() => resolveReadOptions({ partition: 0, partitions: [0] }), TypeError, 'both')
  refuses(() => resolveReadOptions({ partitions: [] }), RangeError, 'at least one')
  refuses(() => resolveReadOptions({ partitions: [1, 1] }), RangeError, '[1,1]')
  refuses(() => resolveReadOptions({ partitions: loose(1) }), TypeError, 'an array')
  refuses(() => resolveReadOptions({ partitions: [-1] }), RangeError, 'partition is -1')
})

test('an offset to read from needs a single partition', () => {
  refuses(() => resolveReadOptions({ partitions: [0, 1], from: 5 }), TypeError, 'single partition')
  assert.equal(resolveReadOptions({ partitions: [1], from: 5 }).from.kind, 'offset')
  const from = new Map([[1, 7]])
  assert.equal(resolveReadOptions({ partitions: [0, 1], from }).from.kind, 'offsets')
  refuses(() => resolveReadOptions({ partition: 0, from }), RangeError, 'partition 1')
})

test('read ends at the end or not at all', () => {
  assert.equal(resolveReadOptions({ until: 'end' }).until, 'end')
  refuses(() => resolveReadOptions(loose({ until: 5 })), TypeError, "'end'")
})

test('compact takes all partitions and rolls their segments, unless it is told otherwise', () => {
  assert.deepEqual(resolveCompactOptions(), {
    partitions: undefined,
    roll: true,
    signal: undefined,
  })
  const { signal } = new AbortController()
  const given = { partitions: [1, 0, 1], roll: false, signal }
  assert.deepEqual(resolveCompactOptions(given), { ...given, partitions: [1, 0] })
  refuses(() => resolveCompactOptions(loose({ rol: true })), TypeError, 'did you mean roll?')
  refuses(() => resolveCompactOptions({ partitions: [-1] }), RangeError, 'partition is -1')
  refuses(() => resolveCompactOptions(loose({ partitions: 1 })), TypeError, 'an array')
  refuses(() => resolveCompactOptions(loose({ roll: 1 })), TypeError, 'roll is 1')
  refuses(() => resolveCompactOptions(loose({ signal: 1 })), TypeError, 'an AbortSignal')
  refuses(() => resolveCompactOptions(loose(1)), TypeError, 'the options of compact')
})

test('commitOffset takes a durability', () => {
  assert.equal(resolveCommitOptions(), resolveCommitOptions())
  assert.deepEqual(resolveCommitOptions({ durability: 'disk' }), { durability: 'disk' })
  refuses(() => resolveCommitOptions(loose({ durability: 'x' })), RangeError, "'disk' or 'os'")
})

test('a producer is idempotent, or named', () => {
  const fresh = { transactionalId: undefined, resumed: undefined }
  assert.deepEqual(resolveProducerOptions(), fresh)
  assert.deepEqual(resolveProducerOptions({ idempotent: true }), fresh)
  assert.deepEqual(resolveProducerOptions({ producerId: 7, producerEpoch: 0 }), {
    transactionalId: undefined,
    resumed: { producerId: 7, producerEpoch: 0 },
  })
  assert.deepEqual(resolveProducerOptions({ transactionalId: 'payments' }), {
    transactionalId: 'payments',
    transactionTimeoutMs: 60_000,
    resumed: undefined,
  })
  refuses(() => resolveProducerOptions(loose({ idempotent: false })), TypeError, 'log.produce')
  refuses(() => resolveProducerOptions(loose({ idempotent: 1 })), TypeError, 'idempotent is 1')
  refuses(() => resolveProducerOptions({ producerId: 7 }), TypeError, 'one is missing')
  refuses(() => resolveProducerOptions({ producerEpoch: 7 }), TypeError, 'one is missing')
  refuses(
    () => resolveProducerOptions({ producerId: -1, producerEpoch: 0 }),
    RangeError,
    'producerId is -1',
  )
  refuses(
    () => resolveProducerOptions({ producerId: 1, producerEpoch: 32_768 }),
    RangeError,
    'from 0 to 32767',
  )
  refuses(
    () => resolveProducerOptions({ transactionalId: 'a', producerId: 1, producerEpoch: 0 }),
    TypeError,
    'none can be given',
  )
  refuses(() => resolveProducerOptions({ transactionTimeoutMs: 1 }), TypeError, 'transactionalId')
})

test('a transactional id is a string of 1 to 249 characters that is not one of the log itself', () => {
  const resolve = (id: unknown) => resolveProducerOptions(loose({ transactionalId: id }))
  assert.equal(resolve('x'.repeat(249)).transactionalId?.length, 249)
  refuses(() => resolve(''), RangeError, '1 to 249')
  refuses(() => resolve('x'.repeat(250)), RangeError, '250 characters')
  refuses(() => resolve(1), TypeError, 'transactionalId is 1')
  refuses(() => resolve('\ud800'), TypeError, 'well-formed')
  refuses(() => resolve('brokerless-12'), RangeError, 'log.transaction')
  assert.equal(resolve('brokerless-twelve').transactionalId, 'brokerless-twelve')
})

test('a transaction has a time-out and a level, its records what those of produce have', () => {
  assert.deepEqual(resolveTransactionOptions(undefined), {
    durability: undefined,
    transactionTimeoutMs: 60_000,
  })
  assert.equal(resolveTransactionOptions({}, 5).transactionTimeoutMs, 5)
  refuses(() => resolveTransactionOptions({ transactionTimeoutMs: 0 }), RangeError, '1 to')
  refuses(() => resolveTransactionOptions(loose({ durability: 'ram' })), RangeError, "'ram'")
  const options = { partition: 1, expectedOffset: 0, compression: 'gzip', compressionLevel: 3 }
  const resolved = resolveTransactionProduceOptions(loose(options))
  assert.deepEqual(resolved, { ...options, durability: undefined, signal: undefined })
  refuses(
    () => resolveTransactionProduceOptions(loose({ durability: 'os' })),
    TypeError,
    'unknown option durability',
  )
  refuses(
    () => resolveTransactionProduceOptions(loose({ expectedOffset: -1 })),
    RangeError,
    'expectedOffset is -1',
  )
})

test('a sequence is an int32 of at least 0', () => {
  assert.equal(resolveIdempotentOptions().sequence, undefined)
  assert.equal(resolveIdempotentOptions({ sequence: 2 ** 31 - 1 }).sequence, 2 ** 31 - 1)
  refuses(() => resolveIdempotentOptions({ sequence: 2 ** 31 }), RangeError, 'sequence')
  refuses(() => resolveIdempotentOptions({ sequence: -1 }), RangeError, 'sequence')
})
