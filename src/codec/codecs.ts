import { COMPRESSION_TYPES } from '../options.ts'
import type { CompressionCodec, CompressionCodecs, CompressionType } from '../types.ts'
import { shown } from '../util/check.ts'
import { Semaphore } from '../util/semaphore.ts'
import type { BatchCodec } from './batch-codec.ts'
import { decompressBy } from './batch-codec.ts'
import { builtInCodec } from './built-in-codecs.ts'
import { CODEC_NONE } from './codec-names.ts'

/** Of batches that take long, so that syncs, reads and the caller's own work find a thread of the pool's four. */
const COMPRESSIONS_AT_ONCE = 2
/** At ordinary levels no codec takes long for a batch up to this size. */
const QUICK_BYTES = 64 * 1024
const HIGHEST_QUICK_LEVEL = 9

/** The codecs of one log: those that its opener brought, else those that come with it; and what a batch may decompress to. */
export class Codecs {
  readonly maxDecompressedBytes: number
  /** By number. */
  readonly #brought: readonly (BatchCodec | undefined)[]
  readonly #compressions = new Semaphore(COMPRESSIONS_AT_ONCE)

  /** What is brought is checked already: see `resolveLogOptions`. */
  constructor(brought: CompressionCodecs, maxDecompressedBytes: number) {
    this.maxDecompressedBytes = maxDecompressedBytes
    this.#brought = COMPRESSION_TYPES.map((type) => {
      const codec = type === 'none' ? undefined : brought[type]
      return codec === undefined ? undefined : broughtCodec(type, codec)
    })
  }

  /** Throws `LogError` `UNSUPPORTED_CODEC` where the package for it is missing. */
  check(codec: number): void {
    if (codec !== CODEC_NONE) this.#get(codec).check()
  }

  /** As `compress` of the module `compression`. Throws or rejects with what a codec that was brought throws. */
  compress(codec: number, records: Buffer, level: number = 0): Buffer | Promise<Buffer> {
    if (codec === CODEC_NONE) return records
    const work = (): Buffer | Promise<Buffer> =>
      this.#get(codec).compress(records, level === 0 ? undefined : level)
    const isQuick = records.length <= QUICK_BYTES && level <= HIGHEST_QUICK_LEVEL
    return isQuick ? work() : this.#compressions.run(async () => work())
  }

  /** As `decompress` of the module `compression`, up to `maxDecompressedBytes`. */
  decompress(codec: number, bytes: Buffer): Buffer | Promise<Buffer> {
    if (codec === CODEC_NONE) return bytes
    return decompressBy(this.#get(codec), bytes, this.maxDecompressedBytes)
  }

  #get(codec: number): BatchCodec {
    return this.#brought[codec] ?? builtInCodec(codec)
  }
}

function broughtCodec(type: CompressionType, codec: CompressionCodec): BatchCodec {
  const bytesOf = (what: string, made: unknown): Buffer => {
    if (made instanceof Uint8Array) return Buffer.from(made.buffer, made.byteOffset, made.length)
    throw new TypeError(`${what} of codecs.${type} gave ${shown(made)}; it must give a Uint8Array`)
  }
  const settled = (what: string, made: unknown): Buffer | Promise<Buffer> =>
    isPromiseLike(made)
      ? Promise.resolve(made).then((each) => bytesOf(what, each))
      : bytesOf(what, made)
  return {
    check() {},
    compress: (records, level) => settled('compress', codec.compress(records, level)),
    decompress: (bytes, maxBytes) => settled('decompress', codec.decompress(bytes, maxBytes)),
  }
}

function isPromiseLike(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function'
}
