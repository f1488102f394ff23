/**
 * The compression of a batch that waits to be written.
 *
 * Such a batch is encoded in a buffer of its own. Once it is closed (it is taken to be written, it is full, or a call with another
 * codec follows), it is compressed: a small one at once, a large one elsewhere, while calls are gathered behind it and those before
 * it are written. When its turn comes to be written it is put, smaller, behind the bytes that are in memory, and has its header:
 *
 *   1. encode       its offsets are given, as those of every batch are; so are those of the calls behind it
 *   2. compress     several batches side by side
 *   3. place        in the order of the offsets, whatever order the codec came to an end in
 *   4. write, index, sync and acknowledge, as without compression
 *
 * Nothing of it is on the disk before 4, so a kill at 1 to 3 leaves nothing. Where the codec fails, its calls fail, and with them
 * all behind, whose offsets would leave a hole; the next call gets the first of those offsets, and all may be tried again.
 */
import type { BatchHeaderFields } from '../codec/batch.ts'
import { BATCH_HEADER_BYTES, writeBatchHeader } from '../codec/batch.ts'
import { codecName } from '../codec/codec-names.ts'
import type { Codecs } from '../codec/codecs.ts'
import type { Compression } from '../codec/compression-choice.ts'
import { LogError } from '../errors.ts'
import { asError } from '../util/error-code.ts'

export class Packing {
  /** Resolves when there is a result; undefined where there is one already. Never rejects. */
  readonly done: Promise<void> | undefined
  readonly #where: string
  readonly #compression: Compression
  readonly #records: Buffer
  readonly #fields: BatchHeaderFields
  readonly #trailer: Buffer | undefined
  #packed: Buffer | undefined
  #failure: Error | undefined

  /**
   * `records` must not change before it is done; `fields` are those of the batch without compression. `trailer` is a batch that goes right
   * behind it, as it is.
   */
  constructor(
    where: string,
    codecs: Codecs,
    compression: Compression,
    records: Buffer,
    fields: BatchHeaderFields,
    trailer?: Buffer,
  ) {
    this.#trailer = trailer
    this.#where = where
    this.#compression = compression
    this.#records = records
    this.#fields = fields
    this.done = this.#begin(codecs)
  }

  /** Bytes of the batch once it is compressed, and of its trailer; undefined while it is not. Throws `LogError` `COMPRESSION_FAILED`. */
  get sizeBytes(): number | undefined {
    if (this.#failure !== undefined) throw this.#failed(this.#failure)
    if (this.#packed === undefined) return undefined
    const body = Math.min(this.#packed.length, this.#records.length)
    return BATCH_HEADER_BYTES + body + (this.#trailer?.length ?? 0)
  }

  /** Writes the batch, of `sizeBytes`; where it did not shrink, without compression. */
  writeTo(buffer: Buffer, at: number): void {
    const packed = this.#packed ?? this.#records
    const hasShrunk = packed.length < this.#records.length
    const body = hasShrunk ? packed : this.#records
    body.copy(buffer, at + BATCH_HEADER_BYTES)
    const fields = this.#fields
    const attributes = fields.attributes | (hasShrunk ? this.#compression.codec : 0)
    const sizeBytes = BATCH_HEADER_BYTES + body.length
    writeBatchHeader(buffer, at, { ...fields, attributes, sizeBytes })
    this.#trailer?.copy(buffer, at + sizeBytes)
  }

  #begin(codecs: Codecs): Promise<void> | undefined {
    try {
      const { codec, level } = this.#compression
      const packed = codecs.compress(codec, this.#records, level)
      if (packed instanceof Promise) return this.#settle(packed)
      this.#packed = packed
    } catch (error) {
      this.#failure = asError(error)
    }
    return undefined
  }

  async #settle(packed: Promise<Buffer>): Promise<void> {
    try {
      this.#packed = await packed
    } catch (error) {
      this.#failure = asError(error)
    }
  }

  #failed(cause: Error): LogError {
    const name = codecName(this.#compression.codec)
    const message = `${this.#where}: ${name} could not compress a batch (${cause.message}); nothing was written`
    return new LogError('COMPRESSION_FAILED', message, { cause, retryable: true })
  }
}
