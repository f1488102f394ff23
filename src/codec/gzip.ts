/** gzip, as RFC 1952 describes it. */
import { promisify } from 'node:util'
import { gunzip, gunzipSync, gzip, gzipSync } from 'node:zlib'
import { errorCode } from '../util/error-code.ts'
import type { BatchCodec } from './batch-codec.ts'
import { tooLarge } from './blocks.ts'

/** Up to this size records are compressed in the call: 0.2 ms. A way through the thread pool costs 0.03 ms. */
const COMPRESS_NOW_BYTES = 16 * 1024
/** And up to this size they are decompressed in it: 0.1 ms. */
const DECOMPRESS_NOW_BYTES = 64 * 1024
/** Each piece of output is one more way through the thread pool, and all are copied together: one piece is best. */
const SMALLEST_PIECE_BYTES = 1024
/** zlib's last look at a full piece asks for another one. */
const PIECE_SPARE_BYTES = 64
/** Deflate makes at most 1,032 bytes of one. */
const LARGEST_RATIO = 1032

const gzipInPool = promisify(gzip)
const gunzipInPool = promisify(gunzip)

export const gzipCodec: BatchCodec = {
  check() {},

  compress(records, level) {
    // Incompressible bytes grow by 5 in 16 KiB, and by header and trailer.
    const chunkSize = records.length + (records.length >>> 10) + PIECE_SPARE_BYTES
    const options = level === undefined ? { chunkSize } : { chunkSize, level }
    const isQuick = records.length <= COMPRESS_NOW_BYTES
    return isQuick ? gzipSync(records, options) : gzipInPool(records, options)
  },

  decompress(bytes, maxBytes) {
    const claimed = claimedBytes(bytes)
    if (claimed > maxBytes) throw tooLarge(maxBytes)
    if (claimed > DECOMPRESS_NOW_BYTES || bytes.length > DECOMPRESS_NOW_BYTES) {
      return decompressInPool(bytes, claimed, maxBytes)
    }
    const limit = Math.min(maxBytes, 2 * DECOMPRESS_NOW_BYTES)
    try {
      return gunzipSync(bytes, optionsFor(claimed, limit))
    } catch (error) {
      if (!isTooLarge(error)) throw error
      if (limit === maxBytes) throw tooLarge(maxBytes)
      return decompressInPool(bytes, claimed, maxBytes)
    }
  },
}

/** What the trailer says (the size modulo 2^32, of the last member alone), as far as the bytes can come to it. */
function claimedBytes(bytes: Buffer): number {
  if (bytes.length < 4) return 0
  return Math.min(bytes.readUInt32LE(bytes.length - 4), bytes.length * LARGEST_RATIO)
}

async function decompressInPool(bytes: Buffer, claimed: number, maxBytes: number): Promise<Buffer> {
  try {
    return await gunzipInPool(bytes, optionsFor(claimed, maxBytes))
  } catch (error) {
    throw isTooLarge(error) ? tooLarge(maxBytes) : error
  }
}

function optionsFor(
  claimed: number,
  maxOutputLength: number,
): { chunkSize: number; maxOutputLength: number } {
  return {
    chunkSize: Math.max(claimed, SMALLEST_PIECE_BYTES) + PIECE_SPARE_BYTES,
    maxOutputLength,
  }
}

function isTooLarge(error: unknown): boolean {
  return errorCode(error) === 'ERR_BUFFER_TOO_LARGE'
}
