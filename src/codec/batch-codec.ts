import { LogError } from '../errors.ts'
import { asError } from '../util/error-code.ts'
import { BatchFormatError } from './batch-format-error.ts'
import { tooLarge } from './blocks.ts'

/** One compression. What does not take long is done in the call; the rest leaves the event loop, or is done in slices. */
export interface BatchCodec {
  /** Throws `LogError` `UNSUPPORTED_CODEC` where the package for it is missing. */
  check(): void
  /** Throws or rejects as `check`, and with what the package says where it fails. */
  compress(records: Buffer, level: number | undefined): Buffer | Promise<Buffer>
  /**
   * Throws or rejects as `check`, with `BatchFormatError` for more than `maxBytes`, claimed or yielded, and with that or
   * what the package says for bytes that do not decompress.
   */
  decompress(bytes: Buffer, maxBytes: number): Buffer | Promise<Buffer>
}

/** Throws or rejects with `LogError` `UNSUPPORTED_CODEC`, else always with `BatchFormatError`. */
export function decompressBy(
  codec: BatchCodec,
  bytes: Buffer,
  maxBytes: number,
): Buffer | Promise<Buffer> {
  const bounded = (records: Buffer): Buffer => {
    if (records.length > maxBytes) throw tooLarge(maxBytes)
    return records
  }
  try {
    const records = codec.decompress(bytes, maxBytes)
    return records instanceof Promise ? records.then(bounded).catch(told) : bounded(records)
  } catch (error) {
    return told(error)
  }
}

/** What a package says of bytes that it cannot decompress is told as damage. */
function told(error: unknown): never {
  if (error instanceof BatchFormatError || error instanceof LogError) throw error
  const reason = `the records do not decompress: ${asError(error).message}`
  throw new BatchFormatError(reason, { cause: error })
}
