import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { suite, test } from 'node:test'
import { BatchFormatError } from '../../src/codec/batch-decoder.ts'
import { CODEC_SNAPPY, compress, decompress } from '../../src/codec/compression.ts'
import { findSnappyBlocks, frameSnappyBlocks } from '../../src/codec/snappy-frame.ts'

const require = createRequire(import.meta.url)
const raw = require('snappy') as { compressSync(bytes: Buffer): Buffer }

const TEXT = Buffer.from('text that repeats, text that repeats, text that repeats. '.repeat(2000))
const HEADER = Buffer.from('82534e4150505900' + '00000001' + '00000001', 'hex')

/** Told by a throw or a rejection, as the size has it. */
function read(bytes: Buffer, maxBytes = 1 << 20): Promise<Buffer> {
  return Promise.resolve().then(() => decompress(CODEC_SNAPPY, bytes, maxBytes))
}

function block(bytes: Buffer, length = bytes.length): Buffer {
  const head = Buffer.alloc(4)
  head.writeInt32BE(length)
  return Buffer.concat([head, bytes])
}

suite("the framing of snappy's blocks", () => {
  test('is that of snappy-java, with blocks of 32 KiB', async () => {
    const framed = await compress(CODEC_SNAPPY, TEXT, undefined)
    assert.deepEqual(framed.subarray(0, 16), HEADER)
    const claims = findSnappyBlocks(framed).map(({ claimedBytes }) => claimedBytes)
    assert.deepEqual(claims, [32768, 32768, 32768, TEXT.length - 3 * 32768])
    const first = raw.compressSync(TEXT.subarray(0, 32768))
    assert.deepEqual(framed.subarray(16, 20 + first.length), block(first))
  })

  test('may have blocks of any size, may be repeated, and may be missing', async () => {
    const parts = [TEXT.subarray(0, 5), TEXT.subarray(5, 100_000), TEXT.subarray(100_000)]
    const blocks = parts.map((part) => raw.compressSync(part))
    assert.deepEqual(await read(frameSnappyBlocks(blocks)), TEXT)
    const streams = Buffer.concat(blocks.map((each) => frameSnappyBlocks([each])))
    assert.deepEqual(await read(streams), TEXT)
    assert.deepEqual(await read(raw.compressSync(TEXT)), TEXT)
  })

  const whole = raw.compressSync(TEXT)
  for (const [what, bytes] of [
    ['a header that is cut off', HEADER.subarray(0, 12)],
    ['a newer version', Buffer.from('82534e41505059000000000200000002', 'hex')],
    ['a length that is cut off', Buffer.concat([HEADER, Buffer.from([0, 0])])],
    ['a negative length', Buffer.concat([HEADER, block(whole, -5)])],
    ['an empty block', Buffer.concat([HEADER, block(Buffer.alloc(0))])],
    ['a length past the end', Buffer.concat([HEADER, block(whole, whole.length + 1)])],
    ['a size that does not end', Buffer.alloc(20, 0xff)],
    ['a size that its bytes cannot come to', Buffer.from([0x80, 0x80, 0x40, 1, 2, 3])],
    ['a block that is cut off', whole.subarray(0, -1)],
  ] as const) {
    test(`with ${what} is refused`, async () => {
      await assert.rejects(read(bytes), BatchFormatError)
    })
  }

  test('that claims too much in all its blocks is refused before any is decompressed', async () => {
    const blocks = Array.from({ length: 10 }, () => raw.compressSync(Buffer.alloc(100_000)))
    const framed = frameSnappyBlocks(blocks)
    assert.equal((await read(framed, 1_000_000)).length, 1_000_000)
    await assert.rejects(read(framed, 999_999), /more than 999999 bytes/)
  })
})
