/** The log directories in test/fixtures/vectors, which real Kafka brokers wrote, and what Kafka reads in them. */
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const FIXTURE_SETS = [
  'append-time',
  'compacted',
  'compressed',
  'delete-records',
  'flipped-byte',
  'flipped-old',
  'offsets',
  'plain',
  'restarted',
  'segments',
  'torn-tail',
  'transactions',
  'transactions-v1',
  'unclean',
  'zero-tail',
] as const
export type FixtureSet = (typeof FIXTURE_SETS)[number]

export interface ExpectedAbortedTransaction {
  readonly version: number
  readonly producerId: number
  readonly firstOffset: number
  readonly lastOffset: number
  readonly lastStableOffset: number
}

export interface ExpectedSegment {
  readonly baseOffset: number
  readonly logBytes: number
  readonly indexBytes: number
  readonly timeindexBytes: number
  readonly txnindexBytes?: number
  /** [offset, position] */
  readonly offsetIndex: readonly (readonly [number, number])[]
  /** [timestamp, offset] */
  readonly timeIndex: readonly (readonly [number, number])[]
  readonly abortedTransactions?: readonly ExpectedAbortedTransaction[]
  /** How DumpLogSegments stumbled over a damaged file. */
  readonly dumpSays?: unknown
}

export interface ExpectedBatch {
  /** Base offset of the file that the batch lies in. */
  readonly segment: number
  readonly baseOffset: number
  readonly lastOffset: number
  readonly count: number
  /** Left out: -1, as the epoch and the sequences. */
  readonly producerId?: number
  readonly producerEpoch?: number
  readonly baseSequence?: number
  readonly lastSequence?: number
  readonly partitionLeaderEpoch: number
  readonly isTransactional?: boolean
  readonly isControl?: boolean
  readonly controlType?: string
  readonly coordinatorEpoch?: number
  readonly deleteHorizonMs?: number
  readonly position: number
  /** The batch's maxTimestamp. */
  readonly createTime: number
  /** Left out: CreateTime. */
  readonly timestampType?: string
  readonly size: number
  readonly magic: number
  readonly compresscodec: string
  readonly crc: number
  /** Left out: true. */
  readonly isvalid?: boolean
}

export interface ExpectedProducer {
  readonly producerId: number
  readonly producerEpoch: number
  readonly coordinatorEpoch: number
  readonly lastTimestamp: number
  readonly currentTxnFirstOffset?: number
  readonly firstSequence?: number
  readonly lastSequence?: number
  readonly lastOffset?: number
  readonly offsetDelta?: number
  readonly timestamp?: number
}

export interface ExpectedRecord {
  readonly offset: number
  readonly timestamp: number
  /** Left out: CreateTime. */
  readonly timestampType?: string
  /** Base64; above 300 bytes `keySha256` (hex) and `keySize` stand in its place. */
  readonly key?: string | null
  readonly keySha256?: string
  readonly keySize?: number
  readonly value?: string | null
  readonly valueSha256?: string
  readonly valueSize?: number
  /** Name and base64 value. */
  readonly headers?: readonly (readonly [string, string | null])[]
}

interface ExpectedFiles {
  readonly segments: readonly ExpectedSegment[]
  /** By file name. */
  readonly producerSnapshots: Readonly<Record<string, readonly ExpectedProducer[]>>
  /** Sizes in bytes by file name. */
  readonly otherFiles: Readonly<Record<string, number>>
}

export interface ExpectedPartition extends ExpectedFiles {
  readonly partition: number
  readonly logStartOffset: number
  readonly logEndOffset: number
  readonly lastStableOffset: number
  readonly batches: readonly ExpectedBatch[]
  /** The files after a broker recovered a copy and stopped. */
  readonly recovered?: ExpectedFiles
  readonly acknowledgedOffsets?: readonly number[]
  readonly records: readonly ExpectedRecord[]
  readonly readCommittedOffsets: readonly number[]
  readonly offsetsForTimes: readonly {
    readonly timestamp: number
    readonly offset: number | null
    readonly recordTimestamp?: number
  }[]
  readonly latestByMaxTimestamp: { readonly offset: number; readonly timestamp: number }
  /** Base offsets of batches that a consumer cannot read. */
  readonly unreadable?: readonly number[]
  readonly readError?: string
}

export interface ExpectedGroup {
  readonly type: string
  readonly protocolType: string
  readonly state: string
  readonly assignor: string
  readonly simple: boolean
  readonly groupEpoch?: number
  readonly targetAssignmentEpoch?: number
  readonly members: readonly {
    readonly memberId: string
    readonly clientId: string
    readonly host: string
    readonly assignment: readonly string[]
    readonly memberEpoch?: number
    readonly groupInstanceId?: string
  }[]
  /** By topic-partition. */
  readonly offsets: Readonly<
    Record<
      string,
      { readonly offset: number; readonly leaderEpoch?: number; readonly metadata: string }
    >
  >
}

export interface Expected {
  readonly kafkaVersion: string
  readonly set: string
  readonly description: string
  readonly topics: Readonly<
    Record<
      string,
      {
        readonly config: Readonly<Record<string, string>>
        readonly partitions: readonly ExpectedPartition[]
      }
    >
  >
  readonly groups?: Readonly<Record<string, ExpectedGroup>>
  readonly deletedGroups?: readonly string[]
}

/** One partition of a set, with the directory of its files. */
export interface FixturePartition {
  readonly set: FixtureSet
  readonly topic: string
  readonly config: Readonly<Record<string, string>>
  readonly expected: ExpectedPartition
  /** Its files as Kafka left them. Read only. */
  readonly directory: string
}

/** What registers a clean-up: a test's context, or `{ after }` of node:test. */
export interface AfterHook {
  after(cleanUp: () => Promise<void>): void
}

/** A set's log directory. Read only: it is checked in. */
export function fixtureDirectory(set: FixtureSet): string {
  return fileURLToPath(new URL(`../fixtures/vectors/${set}/data`, import.meta.url))
}

export async function loadExpected(set: FixtureSet): Promise<Expected> {
  const file = new URL(`../fixtures/vectors/${set}/expected.json`, import.meta.url)
  return JSON.parse(await readFile(file, 'utf8')) as Expected
}

export async function loadPartitions(set: FixtureSet): Promise<FixturePartition[]> {
  const { topics } = await loadExpected(set)
  return Object.entries(topics).flatMap(([topic, { config, partitions }]) =>
    partitions.map((expected) => {
      const directory = join(fixtureDirectory(set), `${topic}-${expected.partition}`)
      return { set, topic, config, expected, directory }
    }),
  )
}

/** A fresh directory with a copy of a set's `data/`; removed after the test where `t` is given. */
export async function copyFixture(set: FixtureSet, t?: AfterHook): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), `brokerless-${set}-`))
  if (t !== undefined) removeAfter(t, directory)
  await cp(fixtureDirectory(set), directory, { recursive: true })
  return directory
}

/** Removes a directory and all that is in it when the test has ended. */
export function removeAfter(t: AfterHook, directory: string): void {
  t.after(() => rm(directory, { recursive: true, force: true }))
}
