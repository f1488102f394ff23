/**
 * Bounds what is not yet below a recovery point, in bytes and in time: after `flushBytes` over all partitions, or when the oldest
 * of it has waited for its topic's flush interval, every partition that has any is synced, and then a new recovery point is written.
 *
 * Order: sync, then the checkpoint. Killed in between, the old recovery point makes recovery read again what is on the disk already;
 * the other way round it would pass over bytes that are not.
 */
import type { Clock, Timer } from '../types.ts'
import type { Flushable, UnsyncedBytes } from './environment.ts'

export interface FlusherOptions {
  readonly clock: Clock
  readonly flushBytes: number
  /** Writes the recovery points; its failure is the caller's to deal with: it must not reject. */
  readonly checkpoint: () => Promise<void>
}

export class Flusher implements UnsyncedBytes {
  readonly #options: FlusherOptions
  #dirty = new Set<Flushable>()
  #unsyncedBytes = 0
  #timer: Timer | undefined
  #dueMs = Number.POSITIVE_INFINITY
  #running: Promise<void> | undefined
  #isClosed = false

  constructor(options: FlusherOptions) {
    this.#options = options
  }

  /** Bytes appended since they were last covered by a flush. */
  get unsyncedBytes(): number {
    return this.#unsyncedBytes
  }

  appended(partition: Flushable, bytes: number, flushIntervalMs: number): void {
    this.#unsyncedBytes += bytes
    if (!this.#dirty.has(partition)) {
      this.#dirty.add(partition)
      this.#arm(flushIntervalMs)
    }
    if (this.#unsyncedBytes >= this.#options.flushBytes && this.#running === undefined) {
      // Never rejects: a partition tells its own failure.
      void this.flush()
    }
  }

  isFull(): boolean {
    return this.#running !== undefined && this.#unsyncedBytes >= 2 * this.#options.flushBytes
  }

  async flushed(): Promise<void> {
    await this.#running
  }

  /** Syncs what was written before the call, and writes the recovery points. Never rejects. */
  flush(): Promise<void> {
    const next =
      this.#running === undefined ? this.#round() : this.#running.then(() => this.#round())
    const running = next.finally(() => {
      if (this.#running === running) this.#running = undefined
    })
    this.#running = running
    return running
  }

  /** Waits for what is under way; no more timers. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#timer?.cancel()
    while (this.#running !== undefined) await this.#running
  }

  async #round(): Promise<void> {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#dueMs = Number.POSITIVE_INFINITY
    const partitions = this.#dirty
    const covered = this.#unsyncedBytes
    this.#dirty = new Set()
    if (partitions.size === 0) return
    await Promise.allSettled([...partitions].map((partition) => partition.flush()))
    await this.#options.checkpoint()
    this.#unsyncedBytes -= covered
  }

  #arm(flushIntervalMs: number): void {
    const { clock } = this.#options
    const dueMs = clock.now() + flushIntervalMs
    if (dueMs >= this.#dueMs || this.#isClosed) return
    this.#timer?.cancel()
    this.#dueMs = dueMs
    this.#timer = clock.setTimer(() => this.flush(), flushIntervalMs)
  }
}
