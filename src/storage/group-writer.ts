import type { TopicConfig } from '../types.ts'
import type { AppendTarget } from './append-target.ts'
import type { BatchGatherer } from './batch-gatherer.ts'
import type { StorageEnvironment } from './environment.ts'
import type { PartitionProducers } from './partition-producers.ts'
import type { PendingBatch } from './pending-batch.ts'
import type { Tail } from './tail.ts'
import { groupBytes, groupForNow, mustRollBefore } from './write-group.ts'

/** Writes batches that wait to the active segment, the first of them first, and makes it ready for them. */
export class GroupWriter {
  config: TopicConfig
  readonly #target: AppendTarget
  readonly #environment: StorageEnvironment
  readonly #gatherer: BatchGatherer
  readonly #tail: Tail
  readonly #producers: PartitionProducers

  constructor(
    target: AppendTarget,
    environment: StorageEnvironment,
    gatherer: BatchGatherer,
    tail: Tail,
    producers: PartitionProducers,
    config: TopicConfig,
  ) {
    this.#target = target
    this.#environment = environment
    this.#gatherer = gatherer
    this.#tail = tail
    this.#producers = producers
    this.config = config
  }

  /** What can be written at once; undefined where there is nothing, or something has to be waited for. */
  groupForNow(waiting: readonly PendingBatch[]): readonly PendingBatch[] | undefined {
    if (!this.#target.isPrepared || this.#environment.unsynced.isFull()) return undefined
    const first = waiting[0]
    if (first?.packing !== undefined && !this.#gatherer.place(first)) return undefined
    return groupForNow(waiting, this.#target.active, this.config)
  }

  /** One write, made in the call. */
  writeNow(group: readonly PendingBatch[]): void {
    const first = group[0]
    if (first === undefined) return
    const { file, sizeBytes } = this.#target.active
    file.writeSync(first.chunk.buffer, first.start, groupBytes(group), sizeBytes)
  }

  /** One write, made in the thread pool. */
  async writeLater(group: readonly PendingBatch[]): Promise<void> {
    const first = group[0]
    if (first === undefined) return
    const { file, sizeBytes } = this.#target.active
    await file.write(first.chunk.buffer, first.start, groupBytes(group), sizeBytes)
  }

  /** A batch now stands at the end of the active segment. Throws as `PartitionProducers.wrote`. */
  wrote(batch: PendingBatch): void {
    const { active } = this.#target
    const position = active.sizeBytes
    const { producer, sizeBytes, nextOffset, maxTimestamp } = batch
    this.#tail.wrote(batch.chunk, active, position, batch)
    batch.chunk.unwritten -= 1
    if (producer !== undefined) this.#producers.wrote(batch, producer, active)
    else active.appended({ position, sizeBytes, lastOffset: nextOffset - 1, maxTimestamp })
  }

  /** What has to be done before the first batch that waits can be written: its compression, repair, room for a handle, a roll. */
  async makeReady(waiting: () => readonly PendingBatch[]): Promise<void> {
    const { unsynced } = this.#environment
    const target = this.#target
    await this.#placed(waiting)
    // All that waited has failed meanwhile.
    if (waiting().length === 0) return
    if (!target.isPrepared) await target.prepare()
    if (unsynced.isFull()) await unsynced.flushed()
    const { file } = target.active
    while (!file.isReady()) await file.ready()
    const [first] = waiting()
    if (first === undefined || !mustRollBefore(target.active, first, this.config)) return
    await target.roll(first.baseOffset)
  }

  /** Resolves when the first batch that waits is compressed, and placed. */
  async #placed(waiting: () => readonly PendingBatch[]): Promise<void> {
    for (let [first] = waiting(); first !== undefined; [first] = waiting()) {
      if (this.#gatherer.place(first)) return
      await first.packing?.done
    }
  }
}
