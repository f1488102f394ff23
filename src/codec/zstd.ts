/**
 * Zstandard: by `node:zlib` where this Node has it (22.15, 23.8), else by the package `@toondepauw/node-zstd`, which is prebuilt,
 * so that neither a compiler nor a download is needed to install it.
 */
import { createRequire } from 'node:module'
import { promisify } from 'node:util'
import zlib from 'node:zlib'
import { errorCode } from '../util/error-code.ts'
import type { BatchCodec } from './batch-codec.ts'
import { BatchFormatError } from './batch-format-error.ts'
import { tooLarge } from './blocks.ts'
import { OptionalPackage } from './optional-package.ts'
import type { ZstdFrame } from './zstd-frame.ts'
import { findZstdFrames } from './zstd-frame.ts'

/** zstd's own, and Kafka's. */
const DEFAULT_LEVEL = 3
/** Up to this size records are compressed in the call, 0.5 ms; so is a batch of 1,000 small ones, which the pool would take half as long again for, */
const COMPRESS_NOW_BYTES = 128 * 1024
/** at levels up to this one, 1.4 ms. */
const HIGHEST_QUICK_LEVEL = 5
/** And up to what comes to this size they are decompressed in it: a block, 0.3 ms. */
const DECOMPRESS_NOW_BYTES = 128 * 1024
/** What zstd itself refuses to go past unless it is told to. */
const LARGEST_WINDOW_BYTES = 128 * 1024 * 1024
/** zlib's last look at a full piece asks for another one. */
const PIECE_SPARE_BYTES = 64

/** One way to do it; each takes one whole frame. */
export interface ZstdEngine {
  compressNow(records: Buffer, level: number): Buffer
  compressInPool(records: Buffer, level: number): Promise<Buffer>
  decompressNow(frame: Buffer, boundBytes: number, maxBytes: number): Buffer
  decompressInPool(frame: Buffer, boundBytes: number, maxBytes: number): Promise<Buffer>
  /** It stops at `maxBytes` by itself. */
  readonly isBounded: boolean
}

/** `engine` throws where there is none. */
export function createZstdCodec(engine: () => ZstdEngine): BatchCodec {
  return {
    check() {
      engine()
    },

    compress(records, level = DEFAULT_LEVEL) {
      const isQuick = records.length <= COMPRESS_NOW_BYTES && level <= HIGHEST_QUICK_LEVEL
      const { compressNow, compressInPool } = engine()
      return isQuick ? compressNow(records, level) : compressInPool(records, level)
    },

    decompress(bytes, maxBytes) {
      const { isBounded, decompressNow, decompressInPool } = engine()
      const frames = findZstdFrames(bytes)
      const boundBytes = checkFrames(frames, maxBytes, isBounded)
      const [first] = frames
      if (first !== undefined && frames.length === 1) {
        const isQuick = boundBytes <= DECOMPRESS_NOW_BYTES
        const decompress = isQuick ? decompressNow : decompressInPool
        return decompress(bytes.subarray(first.start, first.end), boundBytes, maxBytes)
      }
      return decompressAll(bytes, frames, maxBytes, decompressInPool)
    },
  }
}

/** What all frames together can come to. Throws where that, or what they claim, is more than allowed. */
function checkFrames(frames: readonly ZstdFrame[], maxBytes: number, isBounded: boolean): number {
  let claimedBytes = 0
  let boundBytes = 0
  for (const frame of frames) {
    if (frame.windowBytes > Math.max(LARGEST_WINDOW_BYTES, frame.contentBytes ?? 0)) {
      throw new BatchFormatError(`a Zstandard frame needs a window of ${frame.windowBytes} bytes`)
    }
    claimedBytes += frame.contentBytes ?? 0
    boundBytes += frame.boundBytes
  }
  if (claimedBytes > maxBytes) throw tooLarge(maxBytes)
  // An engine without a bound must not be given what may come to much more; a block that is not full counts as one.
  if (!isBounded && boundBytes > 2 * maxBytes + DECOMPRESS_NOW_BYTES) throw tooLarge(maxBytes)
  return boundBytes
}

async function decompressAll(
  bytes: Buffer,
  frames: readonly ZstdFrame[],
  maxBytes: number,
  decompress: ZstdEngine['decompressInPool'],
): Promise<Buffer> {
  const parts: Buffer[] = []
  let size = 0
  for (const { start, end, boundBytes } of frames) {
    const part = await decompress(bytes.subarray(start, end), boundBytes, maxBytes)
    size += part.length
    if (size > maxBytes) throw tooLarge(maxBytes)
    parts.push(part)
  }
  return Buffer.concat(parts)
}

// ------------------------------------------------------------------------------------- node:zlib

/** What `node:zlib` has from 22.15 on. */
interface NodeZstd {
  readonly constants: { readonly ZSTD_c_compressionLevel: number }
  zstdCompressSync(bytes: Buffer, options: object): Buffer
  zstdDecompressSync(bytes: Buffer, options: object): Buffer
  readonly zstdCompress: Parameters<typeof promisify>[0]
  readonly zstdDecompress: Parameters<typeof promisify>[0]
}

function nodeEngine(node: NodeZstd): ZstdEngine {
  type InPool = (bytes: Buffer, options: object) => Promise<Buffer>
  const compressInPool = promisify(node.zstdCompress) as InPool
  const decompressInPool = promisify(node.zstdDecompress) as InPool
  const forCompression = (records: Buffer, level: number): object => ({
    params: { [node.constants.ZSTD_c_compressionLevel]: level },
    // With it zstd sizes its tables for these records; at level 22 they would take 700 MB.
    pledgedSrcSize: records.length,
    chunkSize: records.length + (records.length >>> 8) + 2 * PIECE_SPARE_BYTES,
  })
  const forDecompression = (boundBytes: number, maxBytes: number): object => ({
    chunkSize: Math.min(boundBytes, maxBytes) + PIECE_SPARE_BYTES,
    maxOutputLength: maxBytes,
  })
  const failed = (error: unknown, maxBytes: number): unknown =>
    errorCode(error) === 'ERR_BUFFER_TOO_LARGE' ? tooLarge(maxBytes) : error
  return {
    isBounded: true,
    compressNow: (records, level) => node.zstdCompressSync(records, forCompression(records, level)),
    compressInPool: (records, level) => compressInPool(records, forCompression(records, level)),
    decompressNow(frame, boundBytes, maxBytes) {
      try {
        return node.zstdDecompressSync(frame, forDecompression(boundBytes, maxBytes))
      } catch (error) {
        throw failed(error, maxBytes)
      }
    },
    async decompressInPool(frame, boundBytes, maxBytes) {
      try {
        return await decompressInPool(frame, forDecompression(boundBytes, maxBytes))
      } catch (error) {
        throw failed(error, maxBytes)
      }
    },
  }
}

// ------------------------------------------------------------------------------------ the package

interface ZstdPackage {
  readonly Encoder: new (
    level: number,
  ) => { encode(bytes: Buffer): Promise<Buffer>; encodeSync(bytes: Buffer): Buffer }
  readonly Decoder: new () => {
    decode(bytes: Buffer): Promise<Buffer>
    decodeSync(bytes: Buffer): Buffer
  }
}

const PACKAGE = '@toondepauw/node-zstd'
const require = createRequire(import.meta.url)
const zstd = new OptionalPackage<ZstdPackage>('zstd', PACKAGE, () =>
  require('@toondepauw/node-zstd'),
)

function packageEngine({ Encoder, Decoder }: ZstdPackage): ZstdEngine {
  return {
    isBounded: false,
    compressNow: (records, level) => new Encoder(level).encodeSync(records),
    compressInPool: (records, level) => new Encoder(level).encode(records),
    decompressNow: (frame, _, maxBytes) => within(new Decoder().decodeSync(frame), maxBytes),
    decompressInPool: async (frame, _, maxBytes) =>
      within(await new Decoder().decode(frame), maxBytes),
  }
}

function within(records: Buffer, maxBytes: number): Buffer {
  if (records.length > maxBytes) throw tooLarge(maxBytes)
  return records
}

let known: ZstdEngine | undefined

function engine(): ZstdEngine {
  if (known !== undefined) return known
  // Older ones lack what its types say is there.
  const node = zlib as unknown as Partial<NodeZstd> & NodeZstd
  known = node.zstdCompressSync === undefined ? packageEngine(zstd.get()) : nodeEngine(node)
  return known
}

export const zstdCodec: BatchCodec = createZstdCodec(engine)
