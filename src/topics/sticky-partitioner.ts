/** Bytes after which keyless records move on: Kafka's default `batch.size`. */
export const STICKY_BYTES: number = 16 * 1024

/**
 * Where a topic's keyless records go (KIP-480, KIP-794): they stay with a partition until 16 KiB went there, so that
 * they share batches, then move to another one, chosen at random.
 */
export class StickyPartitioner {
  readonly #random: () => number
  #partition = -1
  #bytes = 0

  /** @param random gives numbers from 0 up to but not including 1, as `Math.random`. */
  constructor(random: () => number) {
    this.#random = random
  }

  /** The partition of the next keyless record, of `sizeBytes`; the partition count may have grown since the last one. */
  choose(partitionCount: number, sizeBytes: number): number {
    if (this.#partition < 0 || this.#bytes >= STICKY_BYTES) this.#move(partitionCount)
    this.#bytes += sizeBytes
    return this.#partition
  }

  #move(partitionCount: number): void {
    this.#bytes = 0
    if (this.#partition < 0 || partitionCount === 1) {
      this.#partition = Math.floor(this.#random() * partitionCount)
      return
    }
    // One of the others, each as likely.
    const step = 1 + Math.floor(this.#random() * (partitionCount - 1))
    this.#partition = (this.#partition + step) % partitionCount
  }
}
