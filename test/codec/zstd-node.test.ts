// zstd by `node:zlib`, where this Node has it: no package is asked for. Where it has not, functions that do the same stand in for it.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import zlib from 'node:zlib'
import { CODEC_ZSTD, compress, decompress } from '../../src/codec/compression.ts'
import { zstdCodec } from '../../src/codec/zstd.ts'
import { hidePackage } from '../support/hide-package.ts'

const PACKAGE = '@toondepauw/node-zstd'
const LEVEL = 100
const KIB = 1024

interface Options {
  readonly params?: Readonly<Record<number, number>>
  readonly pledgedSrcSize?: number
  readonly chunkSize?: number
  readonly maxOutputLength?: number
}
type Done = (error: Error | null, bytes?: Buffer) => void

interface NodeZstd {
  constants: { ZSTD_c_compressionLevel?: number }
  zstdCompressSync(bytes: Buffer, options: Options): Buffer
  zstdDecompressSync(bytes: Buffer, options: Options): Buffer
  zstdCompress(bytes: Buffer, options: Options, done: Done): void
  zstdDecompress(bytes: Buffer, options: Options, done: Done): void
}

const node = zlib as unknown as NodeZstd
if (node.zstdCompressSync === undefined) Object.assign(node, standIn())
node.constants.ZSTD_c_compressionLevel ??= LEVEL
hidePackage(PACKAGE)

/** As Node's own, by the package. */
function standIn(): Omit<NodeZstd, 'constants'> {
  const { Encoder, Decoder } = createRequire(import.meta.url)(PACKAGE)
  const compressSync = (bytes: Buffer, { params }: Options): Buffer =>
    new Encoder(params?.[LEVEL]).encodeSync(bytes)
  const decompressSync = (bytes: Buffer, { maxOutputLength }: Options): Buffer => {
    const decompressed: Buffer = new Decoder().decodeSync(bytes)
    if (decompressed.length <= Number(maxOutputLength)) return decompressed
    throw Object.assign(new RangeError('too large'), { code: 'ERR_BUFFER_TOO_LARGE' })
  }
  const later =
    (work: (bytes: Buffer, options: Options) => Buffer) =>
    (bytes: Buffer, options: Options, done: Done): void => {
      setImmediate(() => {
        let result: Buffer | undefined
        try {
          result = work(bytes, options)
        } catch (error) {
          done(error as Error)
          return
        }
        done(null, result)
      })
    }
  return {
    zstdCompressSync: compressSync,
    zstdDecompressSync: decompressSync,
    zstdCompress: later(compressSync),
    zstdDecompress: later(decompressSync),
  }
}

/** What the functions were called with. */
const calls: (readonly [name: string, options: Options])[] = []
for (const name of ['zstdCompressSync', 'zstdDecompressSync'] as const) {
  const work = node[name]
  node[name] = (bytes, options) => {
    calls.push([name, options])
    return work(bytes, options)
  }
}
for (const name of ['zstdCompress', 'zstdDecompress'] as const) {
  const work = node[name]
  node[name] = (bytes, options, done) => {
    calls.push([name, options])
    work(bytes, options, done)
  }
}

function records(bytes: number): Buffer {
  return Buffer.from(Array.from({ length: bytes }, (_, at) => (at * at) % 97))
}

test('nothing else is needed', () => {
  assert.doesNotThrow(() => zstdCodec.check())
})

for (const [size, isNow] of [
  [10 * KIB, true],
  [500 * KIB, false],
] as const) {
  test(`${size} bytes are compressed ${isNow ? 'in the call' : 'in the thread pool'}, and come back`, async () => {
    calls.length = 0
    const content = records(size)
    const compressed = await compress(CODEC_ZSTD, content, 5)
    assert.deepEqual(await decompress(CODEC_ZSTD, compressed, size), content)
    await assert.rejects(
      Promise.resolve().then(() => decompress(CODEC_ZSTD, compressed, size - 1)),
      { name: 'BatchFormatError', message: /more than \d+ bytes/ },
    )
    const names = isNow
      ? ['zstdCompressSync', 'zstdDecompressSync']
      : ['zstdCompress', 'zstdDecompress']
    assert.deepEqual(
      calls.slice(0, 2).map(([name]) => name),
      names,
    )
    const [[, given], [, taken]] = calls as [(typeof calls)[0], (typeof calls)[0]]
    assert.deepEqual(given.params, { [LEVEL]: 5 })
    assert.equal(given.pledgedSrcSize, size)
    assert.equal(taken.maxOutputLength, size)
    // One piece of output is enough, and it is no larger than it may become.
    assert.ok(Number(given.chunkSize) > compressed.length)
    assert.ok(Number(taken.chunkSize) <= size + KIB, `${taken.chunkSize}`)
  })
}

test('bytes that are no frame, or not all of one, are refused', async () => {
  const compressed = await compress(CODEC_ZSTD, records(10 * KIB), undefined)
  const broken = Buffer.from(compressed)
  broken.fill(0xff, 20)
  for (const bytes of [Buffer.from('nothing'), compressed.subarray(0, -1), broken]) {
    await assert.rejects(
      Promise.resolve().then(() => decompress(CODEC_ZSTD, bytes, 1 << 20)),
      { name: 'BatchFormatError' },
    )
  }
})

test('a frame that does not say its size is bounded all the same', async () => {
  // A window of 128 KiB, and one block that is the last: 'x', 100 KiB of it.
  const frame = Buffer.from('28b52ffd0038000000', 'hex')
  frame.writeUIntLE(0b011 | ((100 * KIB) << 3), 6, 3)
  const bytes = Buffer.concat([frame, Buffer.from('x')])
  const content = Buffer.alloc(100 * KIB, 'x')
  assert.deepEqual(await decompress(CODEC_ZSTD, bytes, content.length), content)
  await assert.rejects(
    Promise.resolve().then(() => decompress(CODEC_ZSTD, bytes, content.length - 1)),
    { name: 'BatchFormatError', message: /more than \d+ bytes/ },
  )
})
