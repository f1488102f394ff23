// A log over a file system of the test's choice, and its coordinator, without the public face.
import type { RecordSet } from '../../src/codec/record-set.ts'
import type { LogCore } from '../../src/log/log-core.ts'
import { openLog } from '../../src/log/open-log.ts'
import type { LogOptions } from '../../src/options.ts'
import { resolveFetchOptions } from '../../src/options.ts'
import type { PartitionLog } from '../../src/storage/partition-log.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { MemoryFileSystem } from '../../src/testing/memory-file-system.ts'
import { fetch } from '../../src/topics/fetcher.ts'
import { readTransactionStates } from '../../src/transactions/state-log.ts'
import type { TransactionState } from '../../src/transactions/transaction-state-format.ts'
import type {
  BeginOptions,
  TransactionalProducer,
  TransactionWrite,
} from '../../src/transactions/types.ts'
import type { FileSystem, RecoveryReport } from '../../src/types.ts'
import { recordSet } from './storage-environment.ts'

export const BEGIN: BeginOptions = { timeoutMs: 60_000, durability: undefined }

const TOPICS = { a: { value: 'string', partitions: 3 }, b: { value: 'string' } } as const

export interface Scene {
  readonly core: LogCore
  readonly recovery: RecoveryReport
  readonly clock: ManualClock
  readonly fileSystem: FileSystem
  /** A partition of the topic `a`, or of the one that is named. */
  log(partition: number, topic?: string): PartitionLog
}

export interface SceneOptions {
  readonly fileSystem?: FileSystem
  readonly clock?: ManualClock
  readonly options?: LogOptions
}

/** Opens `/data` with the topics `a` (3 partitions) and `b`. */
export async function openScene(given: SceneOptions = {}): Promise<Scene> {
  const clock = given.clock ?? new ManualClock()
  const fileSystem = given.fileSystem ?? new MemoryFileSystem({ clock })
  const options = { topics: TOPICS, ...given.options, fileSystem, clock }
  const { core, recovery } = await openLog('/data', options as LogOptions)
  const log = (partition: number, topic = 'a'): PartitionLog =>
    core.topics.get(topic).partition(partition)
  return { core, recovery, clock, fileSystem, log }
}

export function writeTo(
  log: PartitionLog,
  value: string,
  more: Partial<TransactionWrite> = {},
): TransactionWrite {
  const set: RecordSet = recordSet(value)
  return { log, set, expectedOffset: -1, compression: undefined, ...more }
}

/** Commits one record for each partition. */
export async function commitAll(
  producer: TransactionalProducer,
  logs: readonly PartitionLog[],
  value: string,
): Promise<void> {
  await producer.begin(BEGIN).commit(logs.map((log) => writeTo(log, value)))
}

/** What `__transaction_state` says of each id. */
export async function storedStates({ core }: Scene): Promise<Map<string, TransactionState>> {
  const topic = core.topics.find('__transaction_state')
  const states = new Map<string, TransactionState>()
  for (const log of topic?.partitions ?? []) {
    for (const [id, state] of await readTransactionStates(log)) states.set(id, state)
  }
  return states
}

/** What a reader of committed records is given, or of all. */
export async function committedValues(
  scene: Scene,
  partition: number,
  topic = 'a',
  isolationLevel: 'read_committed' | 'read_uncommitted' = 'read_committed',
): Promise<unknown[]> {
  const values: unknown[] = []
  const of = scene.core.topics.get(topic)
  for (let offset = of.partition(partition).logStartOffset; ; ) {
    const options = resolveFetchOptions({ partition, offset, isolationLevel })
    const page = await fetch(of, options, scene.clock)
    values.push(...page.records.map(({ value }) => value))
    if (page.nextOffset <= offset) return values
    offset = page.nextOffset
  }
}
