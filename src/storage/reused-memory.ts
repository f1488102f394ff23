/**
 * Memory for one buffer after another, of which only the last one is in use. Fresh memory is slow to touch, and what is large goes back no
 * sooner than garbage is collected: a compaction that took it anew for each segment would hold tens of megabytes that it no longer needs.
 */
export class ReusedMemory {
  #buffer: Buffer = Buffer.alloc(0)

  /** What was taken before is not used any more. */
  take(bytes: number): Buffer {
    if (this.#buffer.length < bytes) this.#buffer = Buffer.allocUnsafeSlow(bytes)
    return this.#buffer.subarray(0, bytes)
  }
}
