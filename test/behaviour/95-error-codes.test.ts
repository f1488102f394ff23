// Every code of `LogError`, and what brings it about.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { LogErrorCode, StandardSchemaV1 } from '../../src/index.ts'
import { ERROR_CODES, LogError } from '../../src/index.ts'
import { openLog as openParts } from '../../src/log/open-log.ts'
import { ManualClock, MemoryFileSystem } from '../../src/testing/index.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import { copyFixture } from '../support/fixtures.ts'
import { hidePackage } from '../support/hide-package.ts'
import type { Place } from '../support/log-places.ts'
import { fileOf, memoryPlace, openAt, placeAt, readFile, writeFile } from '../support/log-places.ts'
import { openLog, recordSet, TestCall } from '../support/storage-environment.ts'

interface Scenario {
  readonly retryable?: boolean
  /** Does what is refused with the code. */
  run(t: { after(cleanUp: () => Promise<void>): void }): Promise<unknown>
}

const FIRST_LOG = '00000000000000000000.log'
const CRC_32 = 0xedb88320
const CRC_32C = 0x82f63b78
const clock = new ManualClock()

function place(): Place {
  return memoryPlace(new MemoryFileSystem())
}

function faulty(fileSystem: FaultFileSystem): Place {
  return { directory: '/data', fileSystem, killed: () => assert.fail('not here') }
}

const open: typeof openAt = (at, options) => openAt(at, { clock, ...options })

const REFUSING: StandardSchemaV1<string, string> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: () => ({ issues: [{ message: 'never good enough' }] }),
  },
}

/** Fetches from a log of two batches, closed, where the first was then replaced. */
async function withFirstBatch(replace: (batch: Buffer) => Buffer): Promise<unknown> {
  const at = place()
  const topics = { events: { value: 'string' } } as const
  const log = await open(at, { topics })
  await log.produce('events', { value: 'a' })
  await log.produce('events', { value: 'b' })
  await log.close()
  const file = fileOf(at, 'events-0', FIRST_LOG)
  const bytes = readFile(at.fileSystem, file)
  const middle = bytes.length / 2
  const first = replace(Buffer.from(bytes.subarray(0, middle)))
  await writeFile(at.fileSystem, file, Buffer.concat([first, bytes.subarray(middle)]))
  await using again = await open(at, { topics })
  return await again.fetch('events', { partition: 0, offset: 0 })
}

function withLastByteChanged(batch: Buffer): Buffer {
  batch[batch.length - 1] = (batch.at(-1) ?? 0) ^ 1
  return batch
}

/** A message as Kafka wrote it before 0.11: offset, size, CRC-32, magic 1, attributes, timestamp, no key, value. */
function oldMessage(): Buffer {
  const value = Buffer.from('old')
  const message = Buffer.alloc(12 + 4 + 2 + 8 + 4 + 4 + value.length)
  message.writeInt32BE(message.length - 12, 8)
  message[16] = 1
  message.writeBigInt64BE(BigInt(clock.now()), 18)
  message.writeInt32BE(-1, 26)
  message.writeInt32BE(value.length, 30)
  value.copy(message, 34)
  message.writeUInt32BE(crc(message.subarray(16), CRC_32), 12)
  return message
}

/** Appends records of one producer to a partition: [epoch, sequence] of each. */
async function withProducer(
  ...batches: readonly (readonly [producerEpoch: number, baseSequence: number])[]
): Promise<void> {
  const log = await openLog(new MemoryFileSystem())
  try {
    for (const [producerEpoch, baseSequence] of batches) {
      const call = new TestCall()
      call.producer = {
        producerId: 2 ** 40,
        producerEpoch,
        baseSequence,
        isTransactional: false,
      }
      log.append(recordSet('value'), call)
      await call.done
    }
  } finally {
    await log.close()
  }
}

const SCENARIOS: Record<LogErrorCode, Scenario> = {
  CLOSED: {
    run: async () => {
      const log = await open(place(), { topics: { events: {} } })
      await log.close()
      await log.produce('events', { value: 1 })
    },
  },
  READ_ONLY: {
    run: async () => {
      const at = place()
      await using _writer = await open(at, { topics: { events: {} } })
      await using log = await open(at, { readOnly: true })
      await log.produce('events', { value: 1 })
    },
  },
  LOCKED: {
    run: async () => {
      const at = place()
      await using _owner = await open(at)
      await open(at)
    },
  },
  UNSUPPORTED_VERSION: {
    run: async () => {
      const at = place()
      await (await open(at, { topics: { events: {} } })).close()
      const file = fileOf(at, 'brokerless.json')
      const { content } = JSON.parse(readFile(at.fileSystem, file).toString())
      const newer = { ...content, version: 99 }
      const newFile = { crc: crc(Buffer.from(JSON.stringify(newer)), CRC_32C), content: newer }
      await writeFile(at.fileSystem, file, Buffer.from(JSON.stringify(newFile)))
      await open(at)
    },
  },
  UNKNOWN_TOPIC: {
    run: async () => {
      await using log = await open(place())
      await log.produce('events', { value: 1 })
    },
  },
  UNKNOWN_PARTITION: {
    run: async () => {
      await using log = await open(place(), { topics: { events: {} } })
      await log.fetch('events', { partition: 1, offset: 0 })
    },
  },
  TOPIC_EXISTS: {
    run: async () => {
      await using log = await open(place(), { topics: { events: {} } })
      await log.createTopic('events', { partitions: 2 })
    },
  },
  TOPIC_MISMATCH: {
    run: async () => {
      const at = place()
      await (await open(at, { topics: { events: { partitions: 2 } } })).close()
      await open(at, { topics: { events: { partitions: 1 } } })
    },
  },
  UNKNOWN_GROUP: {
    run: async () => {
      await using log = await open(place())
      await log.describeGroup('nobody')
    },
  },
  GROUP_NOT_EMPTY: {
    run: async () => {
      await using log = await open(place(), { topics: { events: {} } })
      await log.produce('events', { value: 1 })
      for await (const _ of log.consumer({ group: 'g', topics: ['events'] })) {
        await log.deleteGroup('g')
      }
    },
  },
  FENCED: {
    run: async () => {
      await using log = await open(place(), { topics: { events: {} } })
      await log.produce('events', { value: 1 })
      for await (const { offset } of log.consumer({ group: 'g', topics: ['events'] })) {
        await log.commitOffset('g', { topic: 'events', partition: 0, offset })
      }
    },
  },
  NO_OFFSET: {
    run: async () => {
      await using log = await open(place(), { topics: { events: {} } })
      const consumer = log.consumer({ group: 'g', topics: ['events'], from: 'none' })
      await consumer[Symbol.asyncIterator]().next()
    },
  },
  HANDLER_FAILED: {
    run: async () => {
      await using log = await open(place(), { topics: { events: {} } })
      await log.produce('events', { value: 1 })
      const eachRecord = (): never => {
        throw new Error('no')
      }
      const failurePolicy = { retries: 0, giveUp: 'stop' } as const
      await log.consumer({ group: 'g', topics: ['events'] }).run({ eachRecord, failurePolicy })
    },
  },
  VALIDATION_FAILED: {
    run: async () => {
      await using log = await open(place(), { topics: { events: { value: REFUSING } } })
      await log.produce('events', { value: 'x' })
    },
  },
  KEY_REQUIRED: {
    run: async () => {
      await using log = await open(place(), { topics: { events: { cleanupPolicy: 'compact' } } })
      await log.produce('events', { value: 1 })
    },
  },
  MESSAGE_TOO_LARGE: {
    run: async () => {
      await using log = await open(place(), { topics: { events: { maxMessageBytes: 100 } } })
      await log.produce('events', { value: 'x'.repeat(200) })
    },
  },
  PRODUCER_FENCED: { run: () => withProducer([1, 0], [0, 0]) },
  OUT_OF_ORDER_SEQUENCE: { run: () => withProducer([0, 0], [0, 2]) },
  TRANSACTION_ABORTED: {
    run: async () => {
      const own = new ManualClock()
      const { directory, fileSystem } = place()
      const { core } = await openParts(directory, { fileSystem, clock: own })
      const producer = await core.transactions.take()
      const transaction = producer.begin({ timeoutMs: 1000, durability: undefined })
      await own.advance(1000)
      await core.close()
      return await transaction.commit([])
    },
  },
  DUPLICATE_SEQUENCE: {
    run: () => withProducer([0, 0], [0, 1], [0, 2], [0, 3], [0, 4], [0, 5], [0, 0]),
  },
  OFFSET_CONFLICT: {
    run: async () => {
      await using log = await open(place(), { topics: { events: {} } })
      await log.produce('events', { value: 1 }, { partition: 0, expectedOffset: 7 })
    },
  },
  OFFSET_OUT_OF_RANGE: {
    run: async () => {
      await using log = await open(place(), { topics: { events: {} } })
      await log.fetch('events', { partition: 0, offset: 1 })
    },
  },
  PARTIAL_PRODUCE: {
    run: async () => {
      await using log = await open(place(), {
        topics: { events: { partitions: 2, maxMessageBytes: 100 } },
      })
      const records = [
        { value: 'x', partition: 0 },
        { value: 'x'.repeat(200), partition: 1 },
      ]
      await log.produce('events', records)
    },
  },
  CORRUPT_LOG: { run: () => withFirstBatch(withLastByteChanged) },
  UNSUPPORTED_CODEC: {
    run: async (t) => {
      hidePackage('snappy')
      await using log = await open(placeAt(await copyFixture('compressed', t)))
      for await (const _ of log.read('snappy', { until: 'end' }));
    },
  },
  UNSUPPORTED_MAGIC: { run: () => withFirstBatch(oldMessage) },
  DECODE_FAILED: {
    run: async () => {
      const at = place()
      const log = await open(at, { topics: { events: { value: 'bytes' } } })
      await log.produce('events', { value: Buffer.from('no JSON') })
      await log.close()
      // Without its entry the topic is one that anybody may declare.
      await at.fileSystem.unlink(fileOf(at, 'brokerless.json'))
      await using again = await open(at, { topics: { events: { value: 'json' } } })
      const { records } = await again.fetch('events', { partition: 0, offset: 0 })
      return records[0]?.value
    },
  },
  COMPRESSION_FAILED: {
    retryable: true,
    run: async () => {
      const compress = (): never => {
        throw new Error('no compression today')
      }
      const gzip = { compress, decompress: (bytes: Uint8Array) => bytes }
      await using log = await open(place(), { topics: { events: {} }, codecs: { gzip } })
      await log.produce('events', { value: 1 }, { compression: 'gzip' })
    },
  },
  COMPACTION_FAILED: {
    run: async () => {
      const fileSystem = new FaultFileSystem()
      const topics = { events: { cleanupPolicy: 'compact' } } as const
      await using log = await open(faulty(fileSystem), { topics })
      for (const value of [1, 2]) await log.produce('events', { key: 'k', value })
      fileSystem.failWhen(({ path }) => (path.endsWith('.cleaned') ? 'EIO' : undefined))
      await log.compact('events')
    },
  },
  DISK_FULL: {
    retryable: true,
    run: async () => {
      const fileSystem = new FaultFileSystem()
      const log = await open(faulty(fileSystem), { topics: { events: {} } })
      await log.produce('events', { value: 1 })
      fileSystem.capacityBytes = fileSystem.usedBytes
      try {
        await log.produce('events', { value: 'x'.repeat(1000) })
      } finally {
        fileSystem.capacityBytes = Number.POSITIVE_INFINITY
        await log.close()
      }
    },
  },
  STORAGE_FAILED: {
    run: async () => {
      const fileSystem = new FaultFileSystem()
      const log = await open(faulty(fileSystem), { topics: { events: {} } })
      fileSystem.refuseSync((path) => path.endsWith('.log'))
      try {
        await log.produce('events', { value: 1 })
      } finally {
        await assert.rejects(log.close())
      }
    },
  },
}

/** A CRC of 32 bits, bit by bit. */
function crc(bytes: Buffer, polynomial: number): number {
  let value = 0xffffffff
  for (const byte of bytes) {
    value ^= byte
    for (let bit = 0; bit < 8; bit += 1) value = (value >>> 1) ^ (value & 1 ? polynomial : 0)
  }
  return (value ^ 0xffffffff) >>> 0
}

describe('the codes of LogError', () => {
  test('have a scenario each, and no other is there', () => {
    assert.deepEqual(Object.keys(SCENARIOS).sort(), Object.keys(ERROR_CODES).sort())
  })

  for (const [code, { run, retryable = false }] of Object.entries(SCENARIOS)) {
    test(`${code}: ${ERROR_CODES[code as LogErrorCode]}`, async (t) => {
      await assert.rejects(
        () => run(t),
        (error) => {
          assert.ok(error instanceof LogError, String(error))
          assert.equal(error.code, code)
          assert.equal(error.retryable, retryable)
          assert.match(error.name, /Error$/)
          assert.notEqual(error.message, '')
          return true
        },
      )
    })
  }
})
