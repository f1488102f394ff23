import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { suite, test } from 'node:test'
import { BatchFormatError } from '../../src/codec/batch-decoder.ts'
import { CODEC_LZ4, compress, decompress } from '../../src/codec/compression.ts'
import { findLz4Frames } from '../../src/codec/lz4-frame.ts'
import { xxh32 } from '../../src/codec/xxh32.ts'

interface Lz4 {
  compressSync(bytes: Buffer, dictionary?: Buffer): Buffer
  compressFrameSync(
    bytes: Buffer,
    options?: { contentChecksum?: boolean; blockChecksums?: boolean },
  ): Buffer
  decompressFrameSync(bytes: Buffer): Buffer
}
const lz4 = createRequire(import.meta.url)('lz4-napi') as Lz4

const TEXT = Buffer.from(
  Array.from({ length: 6000 }, (_, n) => `line ${n} of ${(n * 7919) % 431}, `).join(''),
)
const KIB = 1024

/** Told by a throw or a rejection, as the size has it. */
function read(bytes: Buffer, maxBytes = 1 << 20): Promise<Buffer> {
  return Promise.resolve().then(() => decompress(CODEC_LZ4, bytes, maxBytes))
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value >>> 0)
  return bytes
}

interface FrameParts {
  readonly flg?: number
  readonly bd?: number
  readonly contentSize?: number
  readonly headerChecksum?: number
  readonly blocks: readonly Buffer[]
  readonly end?: Buffer
}

/** A frame with whatever is asked for, right or not. */
function frame(parts: FrameParts): Buffer {
  const { flg = 0x60, bd = 0x40, contentSize, blocks, end = word(0) } = parts
  const size = contentSize === undefined ? [] : [word(contentSize), word(contentSize / 2 ** 32)]
  const descriptor = Buffer.concat([Buffer.from([flg, bd]), ...size])
  const checksum = parts.headerChecksum ?? (xxh32(descriptor) >>> 8) & 0xff
  return Buffer.concat([word(0x184d2204), descriptor, Buffer.from([checksum]), ...blocks, end])
}

const packed = (bytes: Buffer, before?: Buffer): Buffer => {
  const block = lz4.compressSync(bytes, before).subarray(4)
  return Buffer.concat([word(block.length), block])
}
const stored = (bytes: Buffer): Buffer => Buffer.concat([word(bytes.length + 2 ** 31), bytes])

suite('an LZ4 frame', () => {
  test("is written as Kafka's own, with independent blocks of 64 KiB", async () => {
    const framed = await compress(CODEC_LZ4, TEXT, undefined)
    assert.equal(framed.subarray(0, 7).toString('hex'), '04224d18604082')
    const [found, ...others] = findLz4Frames(framed)
    assert.deepEqual(others, [])
    assert.equal(found?.isLinked, false)
    assert.equal(found?.maxBlockBytes, 64 * KIB)
    assert.equal(found?.blocks.length, Math.ceil(TEXT.length / (64 * KIB)))
    assert.equal(framed.readUInt32LE(framed.length - 4), 0)
    assert.deepEqual(lz4.decompressFrameSync(framed), TEXT)
  })

  test('has blocks that did not shrink as they are', async () => {
    const noise = Buffer.from(
      Array.from({ length: 70_000 }, (_, n) => (n * n * 31 + (n >> 3)) % 251),
    )
    const mixed = Buffer.concat([TEXT.subarray(0, 64 * KIB), noise])
    const framed = await compress(CODEC_LZ4, mixed, undefined)
    assert.deepEqual(await read(framed), mixed)
    assert.deepEqual(lz4.decompressFrameSync(framed), mixed)
  })

  test('is read as another implementation writes it, with all its checksums', async () => {
    for (const options of [
      {},
      { contentChecksum: true },
      { blockChecksums: true },
      { contentChecksum: true, blockChecksums: true },
    ]) {
      assert.deepEqual(await read(lz4.compressFrameSync(TEXT, options)), TEXT)
    }
  })

  test('is read with blocks that refer to those before them', async () => {
    const starts = [0, 1000, 40_000, 90_000]
    const blocks = starts.map((start, n) => {
      const before = TEXT.subarray(Math.max(0, start - 64 * KIB), start)
      const plain = TEXT.subarray(start, starts[n + 1] ?? TEXT.length)
      return n === 1 ? stored(plain) : packed(plain, n === 0 ? undefined : before)
    })
    const linked = frame({ flg: 0x40, bd: 0x50, blocks })
    assert.deepEqual(await read(linked), TEXT)
    await assert.rejects(read(frame({ flg: 0x60, bd: 0x50, blocks })), BatchFormatError)
  })

  test('is read with its size, with large blocks, and behind others', async () => {
    const sized = frame({ flg: 0x68, bd: 0x70, contentSize: TEXT.length, blocks: [packed(TEXT)] })
    assert.deepEqual(await read(sized), TEXT)
    const skippable = Buffer.concat([word(0x184d2a57), word(3), Buffer.from('abc')])
    const empty = frame({ blocks: [] })
    const several = Buffer.concat([skippable, sized, empty, sized])
    assert.deepEqual(await read(several), Buffer.concat([TEXT, TEXT]))
  })

  const small = Buffer.from('small')
  const block = stored(small)
  const refused: readonly (readonly [string, Buffer])[] = [
    ['another magic', Buffer.from('04224d19604082', 'hex')],
    ['another version', frame({ flg: 0xa0, blocks: [block] })],
    ['a reserved bit', frame({ flg: 0x62, blocks: [block] })],
    ['blocks of 32 KiB', frame({ bd: 0x30, blocks: [block] })],
    ['a reserved bit of its blocks', frame({ bd: 0xc0, blocks: [block] })],
    ['a dictionary', frame({ flg: 0x61, blocks: [block] })],
    ['a wrong checksum of its header', frame({ headerChecksum: 0, blocks: [block] })],
    ['a block above its own bound', frame({ blocks: [stored(Buffer.alloc(64 * KIB + 1))] })],
    ['a block that decompresses to more', frame({ blocks: [packed(TEXT)] })],
    ['a size that is too small', frame({ flg: 0x68, contentSize: 4, blocks: [block] })],
    ['a size that is too large', frame({ flg: 0x68, contentSize: 6, blocks: [block] })],
    ['a size beyond the bound', frame({ flg: 0x68, contentSize: 2 ** 40, blocks: [block] })],
    ['no end', frame({ blocks: [block], end: Buffer.alloc(0) })],
    ['no checksum at its end', frame({ flg: 0x64, blocks: [block] })],
    [
      'a wrong checksum at its end',
      frame({ flg: 0x64, blocks: [block], end: Buffer.concat([word(0), word(1)]) }),
    ],
    [
      'a wrong checksum of a block',
      frame({ flg: 0x70, blocks: [Buffer.concat([block, word(xxh32(small) + 1)])] }),
    ],
    ['something behind it', Buffer.concat([frame({ blocks: [block] }), Buffer.from('x')])],
    ['a skippable frame that is cut off', Buffer.concat([word(0x184d2a50), word(9), small])],
    ['nothing but a skippable frame', Buffer.concat([word(0x184d2a50), word(5), small])],
  ]
  for (const [what, bytes] of refused) {
    test(`with ${what} is refused`, async () => {
      await assert.rejects(read(bytes), BatchFormatError)
    })
  }

  test('that yields too much is refused with the block that does, whatever it claims', async () => {
    const bomb = frame({
      blocks: Array.from({ length: 1000 }, () => packed(Buffer.alloc(64 * KIB))),
    })
    assert.ok(bomb.length < 300_000)
    await assert.rejects(read(bomb, 1 << 20), /more than 1048576 bytes/)
  })
})
