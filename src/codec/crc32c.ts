/** CRC-32C (Castagnoli), the checksum of record batches and producer snapshots. */
import { createRequire } from 'node:module'
import portable from 'crc-32/crc32c.js'
import createDebug from 'debug'
import { asError } from '../util/error-code.ts'

/** The unsigned CRC-32C of `buffer` from `start` up to but not including `end`. */
export type Crc32c = (buffer: Uint8Array, start: number, end: number) => number

/** `crc32c` of `@node-rs/crc32`: unsigned, over the whole array; goes on from `initial`, the CRC of what stands before. */
export type NativeCrc32c = (bytes: Uint8Array, initial?: number) => number

/** Below this what others ask for, a view on the bytes, costs more than they save. */
const LONG_BYTES = 512

/** Builds the function; without `native` long ranges are done by `crc-32`. */
export function createCrc32c(native?: NativeCrc32c): Crc32c {
  return (buffer, start, end) => {
    if (end - start < LONG_BYTES) return shortCrc32c(buffer, start, end)
    const bytes = start === 0 && end === buffer.length ? buffer : buffer.subarray(start, end)
    return native === undefined ? portable.buf(bytes, 0) >>> 0 : native(bytes)
  }
}

/** The polynomial, its bits reversed. */
const POLYNOMIAL = 0x82f63b78
/** Bytes that are taken in one step. */
const STEP = 8
/** At `256 * k + byte`: what a byte with `k` more behind it in its step does to the CRC. */
const table = new Int32Array(256 * STEP)

for (let byte = 0; byte < 256; byte += 1) {
  let crc = byte
  for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? POLYNOMIAL : 0)
  table[byte] = crc
}
for (let at = 256; at < table.length; at += 1) {
  const before = table[at - 256] as number
  table[at] = (before >>> 8) ^ (table[before & 0xff] as number)
}

/**
 * Over the bytes where they lie, by slicing (Kounavis and Berry, "Novel table lookup-based algorithms for high-performance CRC
 * generation"): 0.1 us for the batch of a small record, where `crc-32` and the view that it needs take 0.2.
 */
function shortCrc32c(bytes: Uint8Array, start: number, end: number): number {
  const lastStep = end - STEP
  let crc = -1
  let at = start
  for (; at <= lastStep; at += STEP) {
    const first = crc ^ wordAt(bytes, at)
    crc =
      effect(7, first & 0xff) ^
      effect(6, (first >>> 8) & 0xff) ^
      effect(5, (first >>> 16) & 0xff) ^
      effect(4, first >>> 24) ^
      effect(3, bytes[at + 4]) ^
      effect(2, bytes[at + 5]) ^
      effect(1, bytes[at + 6]) ^
      effect(0, bytes[at + 7])
  }
  for (; at < end; at += 1) crc = (crc >>> 8) ^ effect(0, (crc ^ (bytes[at] as number)) & 0xff)
  return ~crc >>> 0
}

function effect(behind: number, byte: number | undefined): number {
  return table[(behind << 8) | (byte as number)] as number
}

function wordAt(bytes: Uint8Array, at: number): number {
  const low = (bytes[at] as number) | ((bytes[at + 1] as number) << 8)
  return low | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24)
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

const native = loadNative()

export const crc32c: Crc32c = createCrc32c(native)

/** The CRC-32C of bytes that follow others, whose own is `crc` (0: none). */
export function extendCrc32c(crc: number, buffer: Uint8Array, start: number, end: number): number {
  const bytes = buffer.subarray(start, end)
  return native === undefined ? portable.buf(bytes, crc) >>> 0 : native(bytes, crc)
}
