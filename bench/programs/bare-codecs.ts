// The codecs' own functions, called where and how the log calls them: for few bytes in the call, for more in the thread pool.
import { createRequire } from 'node:module'
import { promisify } from 'node:util'
import zlib from 'node:zlib'
import type { CompressionType } from '../../src/index.ts'

type Bytes = Buffer | Promise<Buffer>

export interface BareCodec {
  readonly compress: (bytes: Buffer) => Bytes
  /** @param plainBytes what they decompress to: the room that is made for it. */
  readonly decompress: (bytes: Buffer, plainBytes: number) => Bytes
}

const require = createRequire(import.meta.url)
const KIB = 1024

/** In one piece of output zlib is fastest. */
const pieceOf = (bytes: number): { chunkSize: number } => ({
  chunkSize: bytes + (bytes >> 8) + KIB,
})

function gzip(): BareCodec {
  const [inPool, fromPool] = [promisify(zlib.gzip), promisify(zlib.gunzip)]
  return {
    compress: (bytes) => {
      const [piece, isQuick] = [pieceOf(bytes.length), bytes.length <= 16 * KIB]
      return isQuick ? zlib.gzipSync(bytes, piece) : inPool(bytes, piece)
    },
    decompress: (bytes, plainBytes) => {
      const [piece, isQuick] = [pieceOf(plainBytes), plainBytes <= 64 * KIB]
      return isQuick ? zlib.gunzipSync(bytes, piece) : fromPool(bytes, piece)
    },
  }
}

/** Its own package, or `node:zlib` where this Node has it. */
function zstd(): BareCodec {
  const { compress, compressSync, decompress, decompressSync } = zstdFunctions()
  return {
    compress: (bytes) => (bytes.length <= 128 * KIB ? compressSync(bytes) : compress(bytes)),
    decompress: (bytes, plainBytes) => {
      const isQuick = plainBytes <= 128 * KIB
      return isQuick ? decompressSync(bytes, plainBytes) : decompress(bytes, plainBytes)
    },
  }
}

interface ZstdFunctions {
  compress(bytes: Buffer): Promise<Buffer>
  compressSync(bytes: Buffer): Buffer
  decompress(bytes: Buffer, plainBytes: number): Promise<Buffer>
  decompressSync(bytes: Buffer, plainBytes: number): Buffer
}

function zstdFunctions(): ZstdFunctions {
  if (zlib.zstdCompress === undefined) return zstdPackage()
  const [inPool, fromPool] = [promisify(zlib.zstdCompress), promisify(zlib.zstdDecompress)]
  return {
    compress: (bytes) => inPool(bytes, pieceOf(bytes.length)),
    compressSync: (bytes) => zlib.zstdCompressSync(bytes, pieceOf(bytes.length)),
    decompress: (bytes, plainBytes) => fromPool(bytes, pieceOf(plainBytes)),
    decompressSync: (bytes, plainBytes) => zlib.zstdDecompressSync(bytes, pieceOf(plainBytes)),
  }
}

interface ZstdPackage {
  readonly Encoder: new (
    level: number,
  ) => { encode(bytes: Buffer): Promise<Buffer>; encodeSync(bytes: Buffer): Buffer }
  readonly Decoder: new () => {
    decode(bytes: Buffer): Promise<Buffer>
    decodeSync(bytes: Buffer): Buffer
  }
}

function zstdPackage(): ZstdFunctions {
  const { Encoder, Decoder } = require('@toondepauw/node-zstd') as ZstdPackage
  const [encoder, decoder] = [new Encoder(3), new Decoder()]
  return {
    compress: (bytes) => encoder.encode(bytes),
    compressSync: (bytes) => encoder.encodeSync(bytes),
    decompress: (bytes) => decoder.decode(bytes),
    decompressSync: (bytes) => decoder.decodeSync(bytes),
  }
}

interface BlockPackage {
  compress(bytes: Buffer): Promise<Buffer>
  compressSync(bytes: Buffer): Buffer
  uncompress(bytes: Buffer): Promise<Buffer>
  uncompressSync(bytes: Buffer): Buffer
}

/** A batch as one block, whatever the framing of Kafka makes of it. */
function blocks(name: string): BareCodec {
  const { compress, compressSync, uncompress, uncompressSync } = require(name) as BlockPackage
  return {
    compress: (bytes) => (bytes.length <= 32 * KIB ? compressSync(bytes) : compress(bytes)),
    decompress: (bytes, plainBytes) =>
      plainBytes <= 64 * KIB ? uncompressSync(bytes) : uncompress(bytes),
  }
}

const CODECS: { readonly [type in Exclude<CompressionType, 'none'>]: () => BareCodec } = {
  gzip,
  snappy: () => blocks('snappy'),
  lz4: () => blocks('lz4-napi'),
  zstd,
}

/** Loads it. */
export function bareCodec(type: CompressionType): BareCodec {
  if (type === 'none') throw new Error('none is no codec')
  return CODECS[type]()
}
