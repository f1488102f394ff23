// Every kind of damage that can be named: a sound directory, one thing broken, and just that found.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LogError } from '../../src/errors.ts'
import type { VerifyOptions } from '../../src/inspect/directory-check.ts'
import type { Finding, FindingKind } from '../../src/inspect/finding.ts'
import { DAMAGE, INFORMATION, severityOf, WARNINGS } from '../../src/inspect/finding.ts'
import {
  decodeAbortedTransactions,
  encodeAbortedTransactions,
} from '../../src/storage/aborted-index.ts'
import type { ProducerSnapshotEntry } from '../../src/storage/producer-snapshot.ts'
import { decodeSnapshot, encodeSnapshot } from '../../src/storage/producer-snapshot.ts'
import { ManualClock, MemoryFileSystem } from '../../src/testing/index.ts'
import { FIXTURE_SETS } from '../support/fixtures.ts'
import type { OrdersLog, Verified } from '../support/inspected.ts'
import {
  Inspected,
  inspectedFixture,
  openOrders,
  sealBatch,
  soundLog,
} from '../support/inspected.ts'

const SOUND = await soundLog()
const DIRECTORY = 'orders-0'
const LOGS = (await SOUND.names(DIRECTORY)).filter((name) => name.endsWith('.log'))
const FIRST = `${DIRECTORY}/${LOGS[0]}`
const SECOND = `${DIRECTORY}/${LOGS[1]}`
const ACTIVE = `${DIRECTORY}/${LOGS.at(-1)}`
const MARKER = '.kafka_cleanshutdown'
const RECOVERY_POINTS = 'recovery-point-offset-checkpoint'
const LOG_STARTS = 'log-start-offset-checkpoint'
const REPLICATION = 'replication-offset-checkpoint'
const EPOCHS = `${DIRECTORY}/leader-epoch-checkpoint`

/** The base offset in a segment's name. */
const baseOf = (log: string): number => Number(/(\d{20})\.log$/.exec(log)?.[1])
const END = Number(/ (\d+)\n$/.exec(SOUND.read(RECOVERY_POINTS).toString())?.[1])
const beside = (log: string, suffix: string): string => log.replace(/\.log$/, suffix)
const snapshotAt = (directory: string, offset: number): string =>
  `${directory}/${String(offset).padStart(20, '0')}.snapshot`

/** A batch in the middle of the first segment that no index speaks of, and the next. */
const POSITIONS = SOUND.batches(FIRST)
const [CHOSEN, AFTER] = POSITIONS.slice(6, 8) as [number, number]
const CHOSEN_BYTES = AFTER - CHOSEN
const LAST = SOUND.batches(ACTIVE).at(-1) as number

const offsetsOf = (log: string, at: number) => {
  const bytes = SOUND.read(log)
  const firstOffset = Number(bytes.readBigInt64BE(at))
  return { firstOffset, lastOffset: firstOffset + bytes.readInt32BE(at + 23) }
}
const WHERE = { position: CHOSEN, bytes: CHOSEN_BYTES, ...offsetsOf(FIRST, CHOSEN) }

type Found = readonly [FindingKind, string]

interface Case {
  readonly promise: string
  readonly sound?: () => Promise<Inspected>
  readonly breaks: (inspected: Inspected) => Promise<unknown>
  readonly finds: readonly Found[]
  /** Found as a warning, where the table says damage. */
  readonly warns?: readonly Found[]
  /** Found as information, where the table says otherwise. */
  readonly informs?: readonly Found[]
  readonly options?: Partial<VerifyOptions>
  /** Of the first finding in `finds`. */
  readonly at?: Pick<Finding, 'position' | 'bytes' | 'firstOffset' | 'lastOffset'>
}

const editFirst = (change: (bytes: Buffer) => void) => (log: Inspected) =>
  log.edit(FIRST, (bytes) => change(bytes))
const crashed = (log: Inspected): Promise<void> => log.remove(MARKER)

// ------------------------------------------------------------------------------------------- .log

const DATA_CASES: readonly Case[] = [
  {
    promise: 'a flipped bit in a value',
    breaks: editFirst((bytes) => bytes.writeUInt8(bytes.readUInt8(CHOSEN + 80) ^ 4, CHOSEN + 80)),
    finds: [['batch-crc', FIRST]],
    at: WHERE,
  },
  {
    promise: 'a header that makes no sense',
    breaks: editFirst((bytes) => bytes.writeInt32BE(-7, CHOSEN + 8)),
    finds: [['batch-header', FIRST]],
    at: WHERE,
  },
  {
    promise: 'a closed log whose end is cut off',
    breaks: (log) => log.edit(ACTIVE, (bytes) => bytes.subarray(0, -5)),
    finds: [
      ['batch-cut', ACTIVE],
      ['recovery-point-ahead', RECOVERY_POINTS],
      ['snapshot-ahead', snapshotAt(DIRECTORY, END)],
    ],
    at: { position: LAST, firstOffset: offsetsOf(ACTIVE, LAST).firstOffset },
  },
  {
    promise: 'a torn tail past the recovery point',
    breaks: async (log) => {
      await crashed(log)
      await log.write(RECOVERY_POINTS, '0\n1\norders 0 80\n')
      await log.remove(snapshotAt(DIRECTORY, END))
      await log.edit(ACTIVE, (bytes) => bytes.subarray(0, -5))
    },
    finds: [
      ['batch-cut', ACTIVE],
      ['not-closed', '.'],
    ],
  },
  {
    promise: 'a batch of an older segment whose end is missing',
    breaks: (log) => log.edit(FIRST, (bytes) => bytes.subarray(0, -5)),
    finds: [['batch-cut', FIRST]],
    at: { position: POSITIONS.at(-1) as number, firstOffset: 33 },
  },
  {
    promise: 'zeros in place of a batch of a closed log',
    breaks: editFirst((bytes) => bytes.fill(0, CHOSEN, AFTER)),
    finds: [['zeros', FIRST]],
    at: WHERE,
  },
  {
    promise: 'zeros behind the last batch of a closed log, which stop a broker',
    breaks: (log) => log.edit(ACTIVE, (bytes) => Buffer.concat([bytes, Buffer.alloc(100)])),
    finds: [['zeros', ACTIVE]],
  },
  {
    promise: 'zeros behind the last batch of a log that was not closed',
    breaks: async (log) => {
      await crashed(log)
      await log.edit(ACTIVE, (bytes) => Buffer.concat([bytes, Buffer.alloc(100)]))
    },
    finds: [
      ['zero-tail', ACTIVE],
      ['not-closed', '.'],
    ],
  },
  {
    promise: 'zeros past the recovery point with batches behind them',
    breaks: async (log) => {
      await crashed(log)
      await log.write(RECOVERY_POINTS, `0\n1\norders 0 ${baseOf(ACTIVE)}\n`)
      const [, at = 0, end] = log.batches(ACTIVE)
      await log.edit(ACTIVE, (bytes) => void bytes.fill(0, at, end))
    },
    finds: [
      ['lost-write', ACTIVE],
      ['not-closed', '.'],
    ],
  },
  {
    promise: 'a lost write that a recovery has marked, in a closed log',
    breaks: async (log) => {
      await log.edit(FIRST, (bytes) => void bytes.fill(0, CHOSEN, AFTER))
      await log.write(`${FIRST}.${CHOSEN}.lost`, '')
    },
    finds: [['lost-write', FIRST]],
    at: WHERE,
  },
  {
    promise: 'records that do not decode though the CRC holds',
    breaks: editFirst((bytes) => {
      // The length of the first record.
      bytes.writeUInt8(bytes.readUInt8(CHOSEN + 61) + 2, CHOSEN + 61)
      sealBatch(bytes, CHOSEN)
    }),
    finds: [['records', FIRST]],
    at: WHERE,
  },
  {
    promise: 'a batch that begins at an offset before its predecessor ends',
    breaks: editFirst((bytes) => {
      bytes.writeBigInt64BE(BigInt(offsetsOf(FIRST, CHOSEN).firstOffset - 1), CHOSEN)
    }),
    finds: [
      ['offset-order', FIRST],
      ['gap', FIRST],
    ],
    at: { ...WHERE, firstOffset: WHERE.firstOffset - 1, lastOffset: WHERE.lastOffset - 1 },
  },
  {
    promise: 'a batch below the base offset of its segment',
    breaks: (log) =>
      log.edit(SECOND, (bytes) => void bytes.writeBigInt64BE(BigInt(baseOf(SECOND) - 3), 0)),
    finds: [
      ['segment-range', SECOND],
      ['gap', SECOND],
    ],
  },
  {
    promise: 'a batch that reaches into the next segment',
    breaks: (log) =>
      log.edit(FIRST, (bytes) => {
        bytes.writeBigInt64BE(BigInt(baseOf(SECOND)), POSITIONS.at(-1) as number)
      }),
    finds: [
      ['segment-range', FIRST],
      ['gap', FIRST],
      ['index-inexact', beside(FIRST, '.timeindex')],
    ],
  },
  {
    promise: 'a record younger than the maxTimestamp of its batch',
    breaks: editFirst((bytes) => {
      bytes.writeBigInt64BE(bytes.readBigInt64BE(CHOSEN + 35) - 1n, CHOSEN + 35)
      sealBatch(bytes, CHOSEN)
    }),
    finds: [['timestamp-above', FIRST]],
    at: WHERE,
  },
  {
    promise: 'a maxTimestamp that no record has',
    breaks: editFirst((bytes) => {
      bytes.writeBigInt64BE(bytes.readBigInt64BE(CHOSEN + 35) + 1n, CHOSEN + 35)
      sealBatch(bytes, CHOSEN)
    }),
    finds: [['max-timestamp', FIRST]],
    at: WHERE,
  },
  {
    promise: 'a leader epoch that is not the one in the checkpoint',
    breaks: editFirst((bytes) => bytes.writeInt32BE(3, CHOSEN + 12)),
    finds: [['leader-epoch', FIRST]],
    at: WHERE,
  },
  {
    promise: 'a leader epoch that the checkpoint begins too late',
    breaks: (log) => log.write(EPOCHS, '0\n1\n0 1\n'),
    finds: [['leader-epoch', FIRST]],
  },
  {
    promise: 'messages of Kafka before 0.11',
    breaks: async (log) => {
      for (const name of await log.names(DIRECTORY)) await log.remove(`${DIRECTORY}/${name}`)
      await log.write(RECOVERY_POINTS, '')
      // Offset 0, 17 bytes, CRC-32, magic 0, attributes 0, no key, the value "old".
      const message = '0000000000000000 00000011 49a5aa88 00 00 ffffffff 00000003 6f6c64'
      await log.write(FIRST, Buffer.from(message.replaceAll(' ', ''), 'hex'))
    },
    finds: [
      ['old-format', FIRST],
      ['index-missing', beside(FIRST, '.index')],
      ['index-missing', beside(FIRST, '.timeindex')],
    ],
    at: { position: 0, bytes: 29, firstOffset: 0 },
  },
  {
    promise: 'a message of an old format whose CRC does not hold',
    breaks: async (log) => {
      for (const name of await log.names(DIRECTORY)) await log.remove(`${DIRECTORY}/${name}`)
      await log.write(RECOVERY_POINTS, '')
      const message = '0000000000000000 00000011 49a5aa88 00 00 ffffffff 00000003 6f6c65'
      await log.write(FIRST, Buffer.from(message.replaceAll(' ', ''), 'hex'))
    },
    finds: [
      ['batch-header', FIRST],
      ['index-missing', beside(FIRST, '.index')],
      ['index-missing', beside(FIRST, '.timeindex')],
    ],
  },
  {
    promise: 'a batch that is too large for memory, of which the CRC holds',
    breaks: async () => {},
    // In memory until then, a batch is seen whole where the window has it.
    options: { largeBatchBytes: 2 ** 20 },
    sound: largeBatch,
    finds: [['large-batch', FIRST]],
  },
  {
    promise: 'a batch that is too large for memory, of which the CRC does not hold',
    breaks: (log) => log.edit(FIRST, (bytes) => void bytes.writeUInt8(7, 1_500_000)),
    options: { largeBatchBytes: 2 ** 20 },
    sound: largeBatch,
    finds: [
      ['batch-crc', FIRST],
      ['snapshot-ahead', snapshotAt(DIRECTORY, 1)],
      ['recovery-point-ahead', RECOVERY_POINTS],
    ],
  },
  {
    promise: 'offsets that compaction has taken away',
    sound: () => inspectedFixture('compacted'),
    breaks: async () => {},
    finds: [['gap', 'tombstones-gone-0/00000000000000000000.log']],
    options: { topics: ['tombstones-gone'] },
  },
  {
    promise: 'a codec whose package is missing',
    sound: () => inspectedFixture('transactions'),
    breaks: async () => {},
    finds: [
      ...[0, 37, 52, 56, 67].map((base) => ['codec-missing', ledger(base)] as const),
      ...[0, 29, 44, 54].map((base) => ['codec-missing', ledger(base, '.log', 1)] as const),
    ],
    options: {
      topics: ['ledger'],
      decompress: (): Buffer => {
        throw new LogError('UNSUPPORTED_CODEC', 'the codec zstd needs a package')
      },
    },
  },
]

/** A log with one batch of 2 MB. */
async function largeBatch(): Promise<Inspected> {
  return await soundLog(async (log) => {
    await log.produce('orders', { value: 'x'.repeat(2_000_000) })
  }, 2 ** 23)
}

// ---------------------------------------------------------------------------------------- indexes

const INDEX = beside(FIRST, '.index')
const TIME_INDEX = beside(FIRST, '.timeindex')

const INDEX_CASES: readonly Case[] = [
  {
    promise: 'an index whose last entry is cut',
    breaks: (log) => log.edit(INDEX, (bytes) => bytes.subarray(0, -3)),
    finds: [['index-size', INDEX]],
    at: { position: 40 },
  },
  {
    promise: 'an index that ends in zeros though it is not in use',
    breaks: (log) => log.edit(INDEX, (bytes) => Buffer.concat([bytes, Buffer.alloc(64)])),
    finds: [['index-zeros', INDEX]],
  },
  {
    promise: 'an index whose entries do not rise',
    breaks: (log) =>
      log.edit(INDEX, (bytes) =>
        Buffer.concat([bytes.subarray(8, 16), bytes.subarray(0, 8), bytes.subarray(16)]),
      ),
    finds: [['index-order', INDEX]],
  },
  {
    promise: 'an index entry that leads into the middle of a batch',
    breaks: (log) => log.edit(INDEX, (bytes) => void bytes.writeInt32BE(402, 4)),
    finds: [['index-entry', INDEX]],
    at: { position: 0, firstOffset: 9, lastOffset: 9 },
  },
  {
    promise: 'an index entry that leads past the end of the segment',
    breaks: (log) =>
      log.edit(INDEX, (bytes) => {
        bytes.writeInt32BE(9999, bytes.length - 4)
      }),
    finds: [['index-entry', INDEX]],
  },
  {
    promise: 'an index entry that leads past the batch with its offset',
    breaks: (log) => log.edit(INDEX, (bytes) => void bytes.writeInt32BE(5, 0)),
    finds: [['index-entry', INDEX]],
  },
  {
    promise: 'an index entry as Kafka does not make it, which leads no look-up astray',
    breaks: (log) => log.edit(INDEX, (bytes) => void bytes.writeInt32BE(8, 0)),
    finds: [['index-inexact', INDEX]],
  },
  {
    promise: 'an index entry past the end of the data of a log that was not closed',
    breaks: async (log) => {
      await crashed(log)
      await log.write(RECOVERY_POINTS, '')
      const index = beside(ACTIVE, '.index')
      const entry = Buffer.from('0000002000007fff', 'hex')
      await log.edit(index, (bytes) => Buffer.concat([bytes, entry, Buffer.alloc(800)]))
    },
    finds: [['not-closed', '.']],
    warns: [['index-entry', beside(ACTIVE, '.index')]],
  },
  {
    promise: 'a time index entry that an earlier batch belies',
    breaks: (log) => log.edit(TIME_INDEX, (bytes) => void bytes.writeInt32BE(11, 8)),
    finds: [['index-entry', TIME_INDEX]],
  },
  {
    promise: 'a time index entry as Kafka does not make it, which leads no look-up astray',
    breaks: (log) =>
      log.edit(TIME_INDEX, (bytes) => {
        bytes.writeBigInt64BE(bytes.readBigInt64BE(0) + 1n, 0)
      }),
    finds: [['index-inexact', TIME_INDEX]],
  },
  {
    promise: 'a time index whose entries do not rise',
    breaks: (log) =>
      log.edit(TIME_INDEX, (bytes) =>
        Buffer.concat([bytes.subarray(12, 24), bytes.subarray(0, 12), bytes.subarray(24)]),
      ),
    finds: [
      ['index-order', TIME_INDEX],
      ['index-incomplete', TIME_INDEX],
    ],
  },
  {
    promise: 'a time index without its last entry',
    breaks: (log) => log.edit(TIME_INDEX, (bytes) => bytes.subarray(0, -12)),
    finds: [['index-incomplete', TIME_INDEX]],
  },
  {
    promise: 'an index that is gone',
    breaks: (log) => log.remove(INDEX),
    finds: [['index-missing', INDEX]],
  },
  {
    promise: 'an index without a .log',
    breaks: (log) => log.write(`${DIRECTORY}/00000000000000009999.index`, ''),
    finds: [['index-orphan', `${DIRECTORY}/00000000000000009999.index`]],
  },
]

// ------------------------------------------------------------------ transactions and producers

function ledger(base: number, suffix = '.log', partition = 0): string {
  return `ledger-${partition}/${String(base).padStart(20, '0')}${suffix}`
}
const ABORTED = ledger(61, '.txnindex')
const SNAPSHOT = ledger(61, '.snapshot')
const onLedger = { sound: () => inspectedFixture('transactions'), options: { topics: ['ledger'] } }

const editAborted =
  (change: (entries: ReturnType<typeof decodeAbortedTransactions>) => unknown[]) =>
  (log: Inspected) =>
    log.edit(ABORTED, (bytes) =>
      encodeAbortedTransactions(change(decodeAbortedTransactions(bytes, '')) as never),
    )
const editSnapshot =
  (change: (entry: ProducerSnapshotEntry) => ProducerSnapshotEntry | []) => (log: Inspected) =>
    log.edit(SNAPSHOT, (bytes) =>
      encodeSnapshot(decodeSnapshot(bytes, '').flatMap((entry) => change(entry))),
    )

const PRODUCER_CASES: readonly Case[] = [
  {
    promise: 'an aborted transaction that no marker ended',
    breaks: editAborted((entries) => [
      ...entries.slice(0, 1),
      { producerId: 4, firstOffset: 61, lastOffset: 64, lastStableOffset: 65 },
      ...entries.slice(1),
    ]),
    finds: [['aborted-entry', ABORTED]],
    at: { position: 34, firstOffset: 61, lastOffset: 64 },
    ...onLedger,
  },
  {
    promise: 'an aborted transaction of another producer',
    breaks: editAborted(([first, ...rest]) => [{ ...first, producerId: 9 }, ...rest]),
    // What the entry says, and that it is not what the batches say.
    finds: [
      ['aborted-entry', ABORTED],
      ['aborted-entry', ABORTED],
    ],
    ...onLedger,
  },
  {
    promise: 'an aborted transaction that begins elsewhere',
    breaks: editAborted(([first, ...rest]) => [{ ...first, firstOffset: 52 }, ...rest]),
    finds: [['aborted-entry', ABORTED]],
    ...onLedger,
  },
  {
    promise: 'an aborted transaction with another last stable offset',
    breaks: editAborted(([first, ...rest]) => [{ ...first, lastStableOffset: 61 }, ...rest]),
    finds: [['aborted-entry', ABORTED]],
    ...onLedger,
  },
  {
    promise: 'an aborted transaction past the end of its segment',
    breaks: editAborted((entries) => [
      ...entries,
      { producerId: 2, firstOffset: 71, lastOffset: 72, lastStableOffset: 68 },
    ]),
    finds: [['aborted-entry', ABORTED]],
    ...onLedger,
  },
  {
    promise: 'aborted transactions that the index does not have',
    breaks: (log) => log.remove(ABORTED),
    finds: [
      ['aborted-missing', ABORTED],
      ['aborted-missing', ABORTED],
    ],
    ...onLedger,
  },
  {
    promise: 'an index of aborted transactions that is cut',
    breaks: (log) => log.edit(ledger(56, '.txnindex'), (bytes) => bytes.subarray(0, 20)),
    finds: [
      ['aborted-entry', ledger(56, '.txnindex')],
      ['aborted-missing', ledger(56, '.txnindex')],
    ],
    ...onLedger,
  },
  {
    promise: 'a snapshot whose CRC does not hold',
    breaks: (log) => log.edit(SNAPSHOT, (bytes) => void bytes.writeUInt8(99, 20)),
    finds: [['snapshot-damaged', SNAPSHOT]],
    ...onLedger,
  },
  {
    promise: 'a snapshot with another last sequence than the batches have',
    breaks: editSnapshot((entry) =>
      entry.producerId === 2 ? { ...entry, producerEpoch: entry.producerEpoch + 1 } : entry,
    ),
    finds: [['snapshot-contradicts', SNAPSHOT]],
    ...onLedger,
  },
  {
    promise: 'a snapshot that has lost an open transaction',
    breaks: editSnapshot((entry) => (entry.currentTxnFirstOffset === undefined ? entry : [])),
    finds: [
      ['snapshot-contradicts', SNAPSHOT],
      ['snapshot-contradicts', SNAPSHOT],
    ],
    ...onLedger,
  },
  {
    promise: 'a snapshot as of an offset past the log end',
    breaks: (log) =>
      log.write(snapshotAt(DIRECTORY, END + 5), log.read(snapshotAt(DIRECTORY, END))),
    finds: [['snapshot-ahead', snapshotAt(DIRECTORY, END + 5)]],
  },
  {
    promise: 'a closed log without the snapshot of its end',
    breaks: (log) => log.remove(snapshotAt(DIRECTORY, END)),
    finds: [['snapshot-missing', snapshotAt(DIRECTORY, END)]],
  },
]

// ------------------------------------------------------------------------ checkpoints, metadata

const CHECKPOINT_CASES: readonly Case[] = [
  {
    promise: 'a checkpoint that is no text',
    breaks: (log) => log.write(LOG_STARTS, '0\n7\n'),
    finds: [['checkpoint-damaged', LOG_STARTS]],
  },
  {
    promise: 'a recovery point past the log end',
    breaks: (log) => log.write(RECOVERY_POINTS, `0\n1\norders 0 ${END + 3}\n`),
    finds: [['recovery-point-ahead', RECOVERY_POINTS]],
    at: { firstOffset: END, lastOffset: END + 2 },
  },
  {
    promise: 'a closed log with another end than its recovery point',
    breaks: (log) => log.write(RECOVERY_POINTS, `0\n1\norders 0 ${END - 3}\n`),
    finds: [['recovery-point-behind', RECOVERY_POINTS]],
    at: { firstOffset: END - 3, lastOffset: END - 1 },
  },
  {
    promise: 'a log start past the log end',
    breaks: (log) => log.write(LOG_STARTS, `0\n1\norders 0 ${END + 3}\n`),
    finds: [['log-start-ahead', LOG_STARTS]],
  },
  {
    promise: "a cleaner's and a broker's checkpoint past the log end",
    breaks: async (log) => {
      await log.write('cleaner-offset-checkpoint', `0\n1\norders 0 ${END + 1}\n`)
      await log.write(REPLICATION, `0\n1\norders 0 ${END + 1}\n`)
    },
    finds: [
      ['checkpoint-ahead', 'cleaner-offset-checkpoint'],
      ['checkpoint-ahead', REPLICATION],
    ],
  },
  {
    promise: 'a checkpoint of a partition that is not there',
    breaks: (log) => log.write(LOG_STARTS, '0\n1\nother 0 5\n'),
    finds: [['checkpoint-unknown', LOG_STARTS]],
  },
  {
    promise: 'leader epochs that cannot be read',
    breaks: (log) => log.write(EPOCHS, '0\n1\n0\n'),
    finds: [['epochs-damaged', EPOCHS]],
  },
  {
    promise: 'leader epochs that do not rise',
    breaks: (log) => log.write(EPOCHS, `0\n2\n0 0\n0 ${END}\n`),
    finds: [['epochs-damaged', EPOCHS]],
  },
  {
    promise: 'a leader epoch that begins past the log end',
    breaks: (log) => log.write(EPOCHS, `0\n2\n0 0\n1 ${END + 1}\n`),
    finds: [['epoch-ahead', EPOCHS]],
  },
  {
    promise: 'a partition.metadata that cannot be read',
    breaks: (log) => log.write(`${DIRECTORY}/partition.metadata`, 'version: 1'),
    finds: [['metadata-damaged', `${DIRECTORY}/partition.metadata`]],
  },
  {
    promise: 'a partition with the id of another topic',
    breaks: (log) =>
      log.write(`${DIRECTORY}/partition.metadata`, 'version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA'),
    finds: [['topic-id', `${DIRECTORY}/partition.metadata`]],
  },
  {
    promise: 'a brokerless.json whose CRC does not match',
    breaks: (log) =>
      log.edit('brokerless.json', (bytes) => bytes.toString().replace('"orders"', '"others"')),
    finds: [['store-damaged', 'brokerless.json']],
  },
  {
    promise: 'a partition that brokerless.json names and that is gone',
    breaks: (log) => log.rename(DIRECTORY, 'orders-1'),
    finds: [
      ['partition-missing', DIRECTORY],
      ['topic-unknown', 'orders-1'],
      ['checkpoint-unknown', RECOVERY_POINTS],
    ],
  },
  {
    promise: 'a partition that a creation which was killed has not made yet',
    breaks: async (log) => {
      await crashed(log)
      await log.rename(DIRECTORY, 'orders-1')
    },
    finds: [
      ['not-closed', '.'],
      ['topic-unknown', 'orders-1'],
      ['checkpoint-unknown', RECOVERY_POINTS],
    ],
    warns: [['partition-missing', DIRECTORY]],
  },
  {
    promise: 'a file and a directory whose names mean nothing',
    breaks: async (log) => {
      await log.write(`${DIRECTORY}/0.log`, '')
      await log.fileSystem.mkdir(log.path('notes'))
      await log.write('notes.txt', '')
    },
    finds: [
      ['unknown-name', `${DIRECTORY}/0.log`],
      ['unknown-name', 'notes'],
    ],
    informs: [['unknown-name', 'notes.txt']],
  },
  {
    promise: 'operations that are half done',
    breaks: async (log) => {
      await log.write(beside(FIRST, '.snapshot.deleted'), '')
      await log.write('brokerless.json.tmp', '')
      await log.write(`${EPOCHS}.tmp`, '')
      await log.write(beside(FIRST, '.log.cleaned'), '')
      await log.fileSystem.mkdir(log.path(`gone-0.${'0'.repeat(32)}-delete`))
    },
    finds: [
      ['half-done', beside(FIRST, '.snapshot.deleted')],
      ['half-done', 'brokerless.json.tmp'],
      ['half-done', `${EPOCHS}.tmp`],
      ['half-done', beside(FIRST, '.log.cleaned')],
      ['half-done', `gone-0.${'0'.repeat(32)}-delete`],
    ],
  },
  {
    promise: 'compaction output that is to replace two segments, in their place',
    breaks: async (log) => {
      const both = Buffer.concat([log.read(FIRST), log.read(SECOND)])
      await log.write(`${FIRST}.swap`, both)
      // It would fit the old file, and is not looked at.
      await log.edit(SECOND, (bytes) => void bytes.fill(1))
    },
    finds: [
      ['half-done', `${FIRST}.swap`],
      ['index-missing', INDEX],
      ['index-missing', TIME_INDEX],
    ],
  },
  {
    promise: 'compaction output that has its name and lacks those of its indexes',
    breaks: async (log) => {
      for (const name of [INDEX, TIME_INDEX]) await log.rename(name, `${name}.swap`)
      // The old one's.
      await log.write(INDEX, log.read(beside(SECOND, '.index')))
    },
    finds: [
      ['half-done', `${INDEX}.swap`],
      ['half-done', `${TIME_INDEX}.swap`],
    ],
  },
  {
    promise: 'compaction output that was not committed',
    breaks: async (log) => {
      await log.write(`${FIRST}.cleaned`, 'not complete')
      await log.write(`${INDEX}.swap`, 'of the same')
      await log.write(`${SECOND}.swap`, 'of the same')
    },
    finds: [
      ['half-done', `${FIRST}.cleaned`],
      ['half-done', `${INDEX}.swap`],
      ['half-done', `${SECOND}.swap`],
    ],
  },
  {
    promise: 'what a recovery kept aside',
    breaks: (log) => log.write(`${ACTIVE}.1000.torn`, 'torn'),
    finds: [['kept-aside', `${ACTIVE}.1000.torn`]],
  },
]

const CASES = [...DATA_CASES, ...INDEX_CASES, ...PRODUCER_CASES, ...CHECKPOINT_CASES]

/** `severity kind file`, in order. */
function lines(found: readonly Found[] = [], severity?: Finding['severity']): string[] {
  return found.map(([kind, file]) => `${severity ?? severityOf(kind)} ${kind} ${file}`)
}

/** Without the transaction that the brokers' sets hold open on purpose. */
function shown({ findings }: Verified): string[] {
  const others = findings.filter(({ kind }) => kind !== 'transaction-hanging')
  return others.map(({ severity, kind, file }) => `${severity} ${kind} ${file}`).sort()
}

for (const { promise, sound, breaks, finds, warns, informs, options, at } of CASES) {
  test(`verify finds ${promise}, and nothing else`, async () => {
    const log = sound === undefined ? SOUND.copy() : await sound()
    await breaks(log)
    const verified = await log.verify(options)
    const expected = [lines(finds), lines(warns, 'warning'), lines(informs, 'information')]
    assert.deepEqual(shown(verified), expected.flat().sort())
    const { damage } = verified.report.findings
    assert.equal(damage, finds.filter(([kind]) => severityOf(kind) === 'damage').length)
    if (at === undefined) return
    const [kind, file] = finds[0] as Found
    const first = verified.findings.find((each) => each.kind === kind && each.file === file)
    assert.deepEqual({ ...first, ...at }, first)
  })
}

test('every kind of finding is shown by a test', () => {
  const found = [...CASES.flatMap(({ finds }) => finds.map(([kind]) => kind)), ...ELSEWHERE]
  const all = Object.keys({ ...DAMAGE, ...WARNINGS, ...INFORMATION })
  assert.deepEqual([...new Set(found)].sort(), all.sort())
})

/** Shown by the tests below, and by those of transactions. */
const ELSEWHERE: readonly FindingKind[] = [
  ...(['growing-tail', 'live', 'changed', 'more'] as const),
  ...(['producer-epoch', 'coordinator-epoch', 'transaction-mixed', 'transaction-open'] as const),
  ...(['sequence', 'state-record', 'marker-alone', 'transaction-hanging'] as const),
]

// ------------------------------------------------------------------------------- what is sound

test('a log that was written and closed here is sound, to the last byte', async () => {
  const { findings, report } = await SOUND.verify()
  assert.deepEqual(findings, [])
  assert.equal(report.state, 'closed')
  const sizes = LOGS.map((name) => SOUND.read(`${DIRECTORY}/${name}`).length)
  assert.equal(
    report.looked.logBytes,
    sizes.reduce((sum, each) => sum + each),
  )
  assert.equal(report.looked.records, END)
  assert.equal(report.looked.batches, 40)
  assert.equal(report.looked.segments, LOGS.length)
})

const SOUND_SETS = FIXTURE_SETS.filter((set) => !/^(?:torn|zero|flipped)-/.test(set))

for (const set of SOUND_SETS) {
  test(`the set ${set}, which a broker wrote, is sound`, async () => {
    const log = await inspectedFixture(set)
    const { findings, report } = await log.verify()
    assert.deepEqual(
      findings.filter(({ severity }) => severity !== 'information'),
      [],
    )
    assert.equal(report.state, set === 'unclean' ? 'crashed' : 'closed')
    assert.ok(report.looked.records > 0)
  })
}

const DAMAGED_SETS: Record<string, readonly object[]> = {
  'torn-tail': [
    { kind: 'batch-cut', file: 'journal-0/00000000000000000087.log', position: 6993, bytes: 234 },
    { kind: 'recovery-point-ahead', firstOffset: 134, lastOffset: 137 },
    { kind: 'checkpoint-ahead', file: REPLICATION },
    { kind: 'snapshot-ahead', file: 'journal-0/00000000000000000138.snapshot' },
  ],
  'zero-tail': [
    { kind: 'zero-tail', file: 'journal-0/00000000000000000087.log', position: 7459, bytes: 777 },
  ],
  'flipped-byte': [
    {
      kind: 'batch-crc',
      file: 'journal-0/00000000000000000087.log',
      position: 3512,
      bytes: 755,
      firstOffset: 111,
      lastOffset: 116,
    },
  ],
  'flipped-old': [
    {
      kind: 'batch-crc',
      file: 'journal-0/00000000000000000000.log',
      position: 2525,
      bytes: 232,
      firstOffset: 17,
      lastOffset: 19,
    },
  ],
}

for (const [set, expected] of Object.entries(DAMAGED_SETS)) {
  test(`the set ${set} is damaged where its description says so, and nowhere else`, async () => {
    const { findings } = await (await inspectedFixture(set as 'torn-tail')).verify()
    const worse = findings.filter(({ severity }) => severity !== 'information')
    assert.equal(worse.length, expected.length)
    for (const each of expected) {
      const { kind } = each as { kind: string }
      assert.partialDeepStrictEqual?.(
        worse.find((finding) => finding.kind === kind),
        each,
      )
      const found = worse.find((finding) => finding.kind === kind) ?? {}
      assert.deepEqual({ ...found, ...each }, found)
    }
  })
}

// ------------------------------------------------------------------------------ a live writer

/** A log that is open, with records that no one has synced. */
async function liveLog(): Promise<{ log: OrdersLog; inspected: Inspected }> {
  const clock = new ManualClock()
  const fileSystem = new MemoryFileSystem({ clock })
  const log = await openOrders(fileSystem, clock)
  await log.produce('orders', [{ value: 'one' }, { value: 'two' }])
  return { log, inspected: new Inspected(fileSystem) }
}

test('beside a live writer a partial last batch is no damage, and it is said who writes', async () => {
  const { log, inspected } = await liveLog()
  const whole = inspected.read(FIRST)
  await inspected.edit(FIRST, (bytes) => Buffer.concat([bytes, bytes.subarray(0, 70)]))
  const { findings, report } = await inspected.verify()
  assert.deepEqual(shown({ findings, report }), [
    `information growing-tail ${FIRST}`,
    'information live .',
  ])
  const tail = findings.find(({ kind }) => kind === 'growing-tail')
  assert.deepEqual([tail?.position, tail?.bytes, tail?.firstOffset], [whole.length, 70, 2])
  assert.match(findings[0]?.message ?? '', new RegExp(`process ${process.pid} on `))
  assert.equal(report.state, 'live')
  assert.equal(report.looked.records, 2)
  await log.close()
})

test('beside a live writer damage with sound batches behind it is damage', async () => {
  const { log, inspected } = await liveLog()
  await log.produce('orders', { value: 'three' })
  await inspected.edit(FIRST, (bytes) => void bytes.writeUInt8(9, 70))
  const { findings, report } = await inspected.verify()
  assert.deepEqual(shown({ findings, report }), [`damage batch-crc ${FIRST}`, 'information live .'])
  assert.equal(report.looked.batches, 1, 'what was looked at several times counts once')
  await log.close()
})

test('a live segment that seems damaged is looked at again: a change under way is none', async () => {
  const { log, inspected } = await liveLog()
  await log.produce('orders', { value: 'three' })
  const sound = inspected.read(FIRST)
  const handle = inspected.fileSystem.openSync(inspected.path(FIRST), 'write')
  handle.writeSync(Buffer.from([9]), 0, 1, 70)
  let looks = 0
  const { findings } = await inspected.verify({
    onProgress: () => {
      looks += 1
      handle.writeSync(sound, 70, 1, 70)
    },
  })
  assert.deepEqual(
    findings.map(({ kind }) => kind),
    ['live'],
  )
  assert.ok(looks > 1)
  handle.closeSync()
  await log.close()
})

test('a file that goes while it is looked at is told and is no damage', async () => {
  const { log, inspected } = await liveLog()
  const inner = inspected.fileSystem
  const fileSystem = Object.create(inner) as typeof inner
  fileSystem.openSync = (file, mode) => {
    if (file.endsWith('.log')) throw Object.assign(new Error('gone'), { code: 'ENOENT' })
    return inner.openSync(file, mode)
  }
  for (const name of ['readdir', 'stat'] as const) {
    fileSystem[name] = inner[name].bind(inner) as never
  }
  const { findings } = await inspected.verify({ fileSystem })
  assert.deepEqual(shown({ findings } as Verified), [
    `information changed ${FIRST}`,
    'information live .',
  ])
  await log.close()
})

// ------------------------------------------------------------------------------------- limits

test('of many findings of a kind in a file the first are told, the others counted', async () => {
  const log = SOUND.copy()
  await log.edit(FIRST, (bytes) => {
    for (const at of POSITIONS) bytes.writeInt32BE(5, at + 12)
  })
  const { findings, report } = await log.verify({ findingsPerKind: 4 })
  assert.deepEqual(shown({ findings, report }), [
    ...Array.from({ length: 4 }, () => `warning leader-epoch ${FIRST}`),
    `warning more ${FIRST}`,
  ])
  assert.equal(findings.at(-1)?.message, `${POSITIONS.length - 4} more of leader-epoch`)
  assert.equal(report.findings.warning, POSITIONS.length)
})

test('verify tells how many bytes there are, and how far it is', async () => {
  let total = 0
  let done = 0
  const { report } = await SOUND.verify({
    onTotal: (bytes) => {
      total += bytes
    },
    onProgress: (bytes) => {
      done += bytes
    },
  })
  assert.equal(total, report.looked.logBytes)
  assert.equal(done, total)
})

test('verify ends when it is told to', async () => {
  const controller = new AbortController()
  const reason = new Error('enough')
  const verifying = SOUND.verify({
    signal: controller.signal,
    onProgress: () => controller.abort(reason),
  })
  await assert.rejects(verifying, reason)
})

test('only the topics that are asked for are looked at, and one that is not there is refused', async () => {
  const log = await inspectedFixture('flipped-old')
  await assert.rejects(log.verify({ topics: ['journals'] }), { code: 'UNKNOWN_TOPIC' })
  const { report } = await log.verify({ topics: ['journal'] })
  assert.equal(report.looked.partitions, 2)
})
