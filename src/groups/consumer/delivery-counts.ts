import type { PartitionLog } from '../../storage/partition-log.ts'

/**
 * How often records were handed out that are not finished, for all consumers of a group in this process: a record that is handed out once
 * more, by whom ever, counts on. Empty while nothing comes back unfinished. A new process begins at 1 again.
 */
export class DeliveryCounts {
  readonly #byPartition = new WeakMap<PartitionLog, Map<number, number>>()

  /** The record was handed out so often and is not finished. */
  note(log: PartitionLog, offset: number, count: number): void {
    let counts = this.#byPartition.get(log)
    if (counts === undefined) {
      counts = new Map()
      this.#byPartition.set(log, counts)
    }
    counts.set(offset, Math.max(count, counts.get(offset) ?? 0))
  }

  /** By offset; undefined where all that is to come is handed out for the first time. */
  of(log: PartitionLog): ReadonlyMap<number, number> | undefined {
    return this.#byPartition.get(log)
  }

  /** Everything below `offset` is done. */
  forget(log: PartitionLog, offset: number): void {
    const counts = this.#byPartition.get(log)
    if (counts === undefined) return
    for (const each of counts.keys()) if (each < offset) counts.delete(each)
    if (counts.size === 0) this.#byPartition.delete(log)
  }
}
