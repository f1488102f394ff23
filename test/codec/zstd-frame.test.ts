import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { BatchFormatError } from '../../src/codec/batch-decoder.ts'
import { CODEC_ZSTD, compress, decompress } from '../../src/codec/compression.ts'
import type { ZstdEngine } from '../../src/codec/zstd.ts'
import { createZstdCodec } from '../../src/codec/zstd.ts'
import { findZstdFrames } from '../../src/codec/zstd-frame.ts'

const KIB = 1024
const MAGIC = [0x28, 0xb5, 0x2f, 0xfd]
/** Of 1 KiB, the least. */
const SMALL_WINDOW = 0x00
const MIB_WINDOW = 0x50

/** Told by a throw or a rejection, as the size has it. */
function read(bytes: Buffer, maxBytes = 1 << 20): Promise<Buffer> {
  return Promise.resolve().then(() => decompress(CODEC_ZSTD, bytes, maxBytes))
}

/** A block: 0 raw, 1 a byte repeated, 2 compressed. */
function block(
  type: number,
  size: number,
  bytes: readonly number[] | Buffer,
  isLast = false,
): Buffer {
  const header = (size << 3) | (type << 1) | (isLast ? 1 : 0)
  const head = Buffer.from([header & 0xff, (header >> 8) & 0xff, header >> 16])
  return Buffer.concat([head, Buffer.from(bytes)])
}

function frame(head: readonly number[], ...blocks: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.from([...MAGIC, ...head]), ...blocks])
}

const raw = (text: string, isLast = true): Buffer =>
  block(0, text.length, Buffer.from(text), isLast)

suite('a Zstandard frame', () => {
  test('tells its size, its bound and its window', () => {
    const [plain] = findZstdFrames(frame([0x00, SMALL_WINDOW], raw('hello')))
    assert.deepEqual(plain, {
      start: 0,
      end: 14,
      contentBytes: undefined,
      boundBytes: 5,
      windowBytes: KIB,
    })
    const [single] = findZstdFrames(frame([0x20, 5], raw('hello')))
    assert.deepEqual([single?.contentBytes, single?.windowBytes], [5, 5])
    const two = frame([0x60, 44, 1], raw('x'.repeat(556)))
    assert.equal(findZstdFrames(two)[0]?.contentBytes, 556)
    const wide = frame([0xc4, 0x7f, 1, 0, 0, 0, 1, 0, 0, 0], raw('', true), Buffer.alloc(4))
    const [eight] = findZstdFrames(wide)
    assert.deepEqual([eight?.contentBytes, eight?.end], [2 ** 32 + 1, wide.length])
    assert.equal(eight?.windowBytes, 2 ** 25 + 7 * 2 ** 22)
  })

  test('is bounded by its blocks: raw and repeated ones exactly, others by 128 KiB or the window', () => {
    const bound = (head: readonly number[], ...blocks: readonly Buffer[]): number | undefined =>
      findZstdFrames(frame(head, ...blocks))[0]?.boundBytes
    const repeated = block(1, 100_000, [65])
    const compressed = block(2, 4, [1, 2, 3, 4], true)
    assert.equal(
      bound([0, MIB_WINDOW], raw('abc', false), repeated, compressed),
      100_003 + 128 * KIB,
    )
    assert.equal(bound([0, SMALL_WINDOW], compressed), KIB)
  })

  test('may be followed by others, and by skippable ones', async () => {
    const text = Buffer.from('several frames '.repeat(100))
    const parts = [text.subarray(0, 500), text.subarray(500)]
    const frames = await Promise.all(parts.map((part) => compress(CODEC_ZSTD, part, undefined)))
    const skippable = Buffer.from('502a4d18' + '03000000' + '616263', 'hex')
    const bytes = Buffer.concat([skippable, ...frames, skippable])
    assert.deepEqual(await read(bytes), text)
    await assert.rejects(read(bytes, text.length - 1), /more than 1499 bytes/)
  })

  test('of raw and repeated blocks is read', async () => {
    const bytes = frame([0, SMALL_WINDOW], raw('abc', false), block(1, 50, [0x78], true))
    assert.equal((await read(bytes)).toString(), `abc${'x'.repeat(50)}`)
  })

  const refused: readonly (readonly [string, Buffer])[] = [
    ['no bytes', Buffer.alloc(0)],
    ['another magic', Buffer.from([0x28, 0xb5, 0x2f, 0xfc, 0, 0, 1, 0, 0])],
    ['a header that is cut off', frame([0xc0, 0, 1])],
    ['a block that is cut off', frame([0, SMALL_WINDOW], raw('hello').subarray(0, -1))],
    ['no last block', frame([0, SMALL_WINDOW], raw('hello', false))],
    ['a reserved block', frame([0, SMALL_WINDOW], block(3, 1, [1], true))],
    ['a block above 128 KiB', frame([0, MIB_WINDOW], block(1, 128 * KIB + 1, [1], true))],
    ['a checksum that is missing', frame([0x04, SMALL_WINDOW], raw('hello'))],
    ['a size beyond the bound', frame([0xa0, 0, 0, 0, 0x7f], raw('hello'))],
    ['a size that is not its own', frame([0x20, 6], raw('hello'))],
    ['a window above 128 MiB', frame([0, 0x89], raw('hello'))],
    ['blocks that come to too much', frame([0, MIB_WINDOW], ...bombBlocks(100))],
    [
      'something behind it',
      Buffer.concat([frame([0, SMALL_WINDOW], raw('hello')), Buffer.from('x')]),
    ],
  ]
  function bombBlocks(count: number): Buffer[] {
    return Array.from({ length: count }, (_, n) => block(1, 128 * KIB, [0], n === count - 1))
  }
  for (const [what, bytes] of refused) {
    test(`with ${what} is refused`, async () => {
      await assert.rejects(read(bytes), BatchFormatError)
    })
  }
})

suite('an engine that knows a bound', () => {
  const asked: [string, number, number][] = []
  const answer = Buffer.from('an answer')
  const engine: ZstdEngine = {
    isBounded: true,
    compressNow: () => answer,
    compressInPool: async () => answer,
    decompressNow: (_, boundBytes, maxBytes) => {
      asked.push(['now', boundBytes, maxBytes])
      return answer
    },
    decompressInPool: async (_, boundBytes, maxBytes) => {
      asked.push(['in the pool', boundBytes, maxBytes])
      return answer
    },
  }
  const codec = createZstdCodec(() => engine)

  test('is asked also where the blocks could come to more', async () => {
    const many = Array.from({ length: 30 }, (_, n) => block(2, 4, [1, 2, 3, 4], n === 29))
    assert.equal(await codec.decompress(frame([0, MIB_WINDOW], ...many), 1000), answer)
    assert.equal(codec.decompress(frame([0, SMALL_WINDOW], raw('hello')), 1000), answer)
    assert.deepEqual(asked, [
      ['in the pool', 30 * 128 * KIB, 1000],
      ['now', 5, 1000],
    ])
    assert.throws(() => codec.decompress(frame([0x20, 5], raw('hello')), 4), /more than 4 bytes/)
  })
})
