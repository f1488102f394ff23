// Data directories written batch by batch, with producers, markers and states of transactions, as a process that was killed would leave them.
import { CONTROL_ABORT, CONTROL_COMMIT, TRANSACTIONAL_BIT } from '../../src/codec/batch.ts'
import { encodeBatch, encodeControlBatch } from '../../src/codec/batch-encoder.ts'
import { MemoryFileSystem } from '../../src/testing/index.ts'
import type { TransactionStatus } from '../../src/transactions/transaction-state-format.ts'
import {
  encodeTransactionKey,
  encodeTransactionValue,
} from '../../src/transactions/transaction-state-format.ts'
import type { Clock } from '../../src/types.ts'
import { Inspected } from './inspected.ts'

export interface WrittenBy {
  readonly producerId: number
  readonly producerEpoch?: number
  readonly timestamp?: number
}

export interface StateRecord {
  readonly transactionalId: string
  readonly status: TransactionStatus
  readonly producerId: number
  readonly producerEpoch?: number
  readonly timeoutMs?: number
  readonly partitions?: readonly (readonly [topic: string, ...partitions: number[]])[]
  /** Of its partitions, in their order. */
  readonly firstOffsets?: readonly number[]
  readonly startTimestamp?: number
  readonly timestamp?: number
}

/** The batches of one partition, one behind the other. */
export class WrittenPartition {
  readonly #batches: Buffer[] = []
  readonly #sequences = new Map<string, number>()
  /** The offset behind the last batch. */
  endOffset = 0

  /** Records of nobody. */
  plain(count = 1, timestamp = 0): this {
    return this.#add(count, { timestamp }, {})
  }

  idempotent(by: WrittenBy, count = 1, baseSequence?: number): this {
    return this.#add(count, by, { baseSequence: this.#sequence(by, count, baseSequence) })
  }

  transactional(by: WrittenBy, count = 1, baseSequence?: number): this {
    const sequence = this.#sequence(by, count, baseSequence)
    return this.#add(count, by, { baseSequence: sequence, attributes: TRANSACTIONAL_BIT })
  }

  commit(by: WrittenBy, coordinatorEpoch = 0): this {
    return this.#marker(by, CONTROL_COMMIT, coordinatorEpoch)
  }

  abort(by: WrittenBy, coordinatorEpoch = 0): this {
    return this.#marker(by, CONTROL_ABORT, coordinatorEpoch)
  }

  /** As `__transaction_state` holds them. */
  state(record: StateRecord): this {
    const { transactionalId, timestamp = 0 } = record
    const records = [
      { key: encodeTransactionKey(transactionalId), value: stateValue(record), timestamp },
    ]
    this.#batches.push(encodeBatch({ baseOffset: this.endOffset, records }))
    this.endOffset += 1
    return this
  }

  bytes(): Buffer {
    return Buffer.concat(this.#batches)
  }

  #sequence(by: WrittenBy, count: number, given: number | undefined): number {
    const producer = `${by.producerId} ${by.producerEpoch ?? 0}`
    const sequence = given ?? this.#sequences.get(producer) ?? 0
    this.#sequences.set(producer, sequence + count)
    return sequence
  }

  #add(
    count: number,
    by: Partial<WrittenBy>,
    fields: { readonly baseSequence?: number; readonly attributes?: number },
  ): this {
    const { producerId, producerEpoch = 0, timestamp = 0 } = by
    const producer = producerId === undefined ? {} : { producerId, producerEpoch }
    const records = Array.from({ length: count }, (_, index) => ({
      key: null,
      value: Buffer.from(`value ${this.endOffset + index}`),
      timestamp,
    }))
    this.#batches.push(encodeBatch({ baseOffset: this.endOffset, records, ...producer, ...fields }))
    this.endOffset += count
    return this
  }

  #marker(by: WrittenBy, type: number, coordinatorEpoch: number): this {
    const { producerId, producerEpoch = 0, timestamp = 0 } = by
    const baseOffset = this.endOffset
    const marker = { baseOffset, type, producerId, producerEpoch, coordinatorEpoch, timestamp }
    this.#batches.push(encodeControlBatch(marker))
    this.endOffset += 1
    return this
  }
}

function stateValue(record: StateRecord): Buffer {
  const { status, producerId, producerEpoch = 0, timeoutMs = 60_000 } = record
  const { partitions = [], firstOffsets, timestamp = 0, startTimestamp = -1 } = record
  return encodeTransactionValue({
    producerId,
    previousProducerId: -1,
    nextProducerId: -1,
    producerEpoch,
    transactionTimeoutMs: timeoutMs,
    status,
    partitions: partitions.map(([topic, ...numbers]) => ({ topic, partitions: numbers })),
    lastUpdateTimestamp: timestamp,
    startTimestamp,
    clientTransactionVersion: 0,
    ...(firstOffsets === undefined ? {} : { firstOffsets }),
  })
}

/** A directory with these partitions, as a kill leaves it: no snapshots, no indexes, no marker of a clean close. */
export async function writtenDirectory(
  partitions: Readonly<Record<string, WrittenPartition>>,
  clock?: Clock,
): Promise<Inspected> {
  const fileSystem = new MemoryFileSystem(clock === undefined ? {} : { clock })
  const inspected = new Inspected(fileSystem)
  await fileSystem.mkdir(inspected.directory)
  for (const [name, partition] of Object.entries(partitions)) {
    await fileSystem.mkdir(inspected.path(name))
    await inspected.write(`${name}/${'0'.repeat(20)}.log`, partition.bytes())
  }
  return inspected
}
