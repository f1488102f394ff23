/** CRC-32C (Castagnoli), the checksum of record batches and producer snapshots. */
import { createRequire } from 'node:module'
import portable from 'crc-32/crc32c.js'
import createDebug from 'debug'
import { asError } from '../util/error-code.ts'

/** The unsigned CRC-32C of `buffer` from `start` up to but not including `end`. */
export type Crc32c = (buffer: Uint8Array, start: number, end: number) => number

/** `crc32c` of `@node-rs/crc32`: unsigned, over the whole array. */
export type NativeCrc32c = (bytes: Uint8Array) => number

/** Below this the call into native code costs more than it saves. */
const NATIVE_FROM_BYTES = 512

/** Builds the function; without `native` every size is done by `crc-32`. */
export function createCrc32c(native?: NativeCrc32c): Crc32c {
  const nativeFrom = native === undefined ? Number.POSITIVE_INFINITY : NATIVE_FROM_BYTES
  return (buffer, start, end) => {
    const bytes = start === 0 && end === buffer.length ? buffer : buffer.subarray(start, end)
    if (native !== undefined && bytes.length >= nativeFrom) return native(bytes)
    return portable.buf(bytes, 0) >>> 0
  }
}

/** `@node-rs/crc32` is optional: it may be absent, or have no binary for this system. */
function loadNative(): NativeCrc32c | undefined {
  try {
    const require = createRequire(import.meta.url)
    return (require('@node-rs/crc32') as { crc32c: NativeCrc32c }).crc32c
  } catch (error) {
    createDebug('brokerless:codec')(
      '@node-rs/crc32 could not be loaded, CRC-32C is computed by crc-32: %s',
      asError(error).message,
    )
    return undefined
  }
}

export const crc32c: Crc32c = createCrc32c(loadNative())
