import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { suite, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { checkBatch, readBatchHeader } from '../../src/codec/batch.ts'
import { BatchFormatError, decodeRecords } from '../../src/codec/batch-decoder.ts'
import { encodeBatch } from '../../src/codec/batch-encoder.ts'
import {
  CODEC_GZIP,
  CODEC_LZ4,
  CODEC_NAMES,
  CODEC_NONE,
  CODEC_SNAPPY,
  CODEC_ZSTD,
  compress,
  decompress,
} from '../../src/codec/compression.ts'
import { SNAPPY_BLOCK_BYTES } from '../../src/codec/snappy-frame.ts'
import { xxh32 } from '../../src/codec/xxh32.ts'
import { LogError } from '../../src/errors.ts'
import { randomInteger, seededRandom } from '../support/random.ts'
import { Collector } from './support.ts'

const MIB = 1024 * 1024
const PLAIN = Buffer.from('some bytes, some bytes, some bytes')
const CODECS = [1, 2, 3, 4]

/** Text that compresses as records do. */
function records(bytes: number): Buffer {
  const lines: string[] = []
  let size = 0
  for (let i = 0; size < bytes; i += 1) {
    const line = JSON.stringify({ id: i, city: `city-${i % 97}`, delay: (i * 7919) % 431 })
    lines.push(line)
    size += line.length
  }
  return Buffer.from(lines.join('')).subarray(0, bytes)
}

/** Told by a throw or a rejection, as the size has it. */
function told(work: () => Buffer | Promise<Buffer>): Promise<Buffer> {
  return Promise.resolve().then(work)
}

test('codec 0 gives back the same bytes', () => {
  assert.equal(compress(CODEC_NONE, PLAIN, undefined), PLAIN)
  assert.equal(decompress(CODEC_NONE, PLAIN, 1), PLAIN)
})

for (const codec of CODECS) {
  suite(`the codec ${CODEC_NAMES[codec]}`, () => {
    const contents: readonly (readonly [string, Buffer])[] = [
      ['a byte', Buffer.from('x')],
      ['little', PLAIN],
      ['about a block of snappy', records(32 * 1024 - 1)],
      ['a block of lz4', records(64 * 1024)],
      ['a block of lz4 and a byte', records(64 * 1024 + 1)],
      ['a block of zstd and a byte', records(128 * 1024 + 1)],
      ['a megabyte', records(MIB)],
      ['zeros', Buffer.alloc(300_000)],
      ['noise', randomBytes(100_000)],
    ]
    for (const [what, content] of contents) {
      test(`gives back ${what}, up to the bound and not past it`, async () => {
        const compressed = await compress(codec, content, undefined)
        assert.deepEqual(await decompress(codec, compressed, content.length), content)
        assert.deepEqual(await decompress(codec, compressed, 1 << 27), content)
        await assert.rejects(
          told(() => decompress(codec, compressed, content.length - 1)),
          { name: 'BatchFormatError', message: /more than \d+ bytes/ },
        )
      })
    }

    test('makes records smaller', async () => {
      const content = records(100_000)
      const compressed = await compress(codec, content, undefined)
      assert.ok(compressed.length < content.length / 2, `${compressed.length} bytes`)
    })

    test('does little in the call, and much elsewhere', async () => {
      const little = compress(codec, records(10_000), undefined)
      assert.ok(Buffer.isBuffer(little))
      assert.ok(Buffer.isBuffer(decompress(codec, little, MIB)))
      const much = compress(codec, records(MIB), undefined)
      assert.ok(much instanceof Promise)
      await much
    })

    test('refuses bytes that it did not make', async () => {
      for (const bytes of [Buffer.alloc(0), PLAIN, randomBytes(50), Buffer.alloc(50, 0xff)]) {
        await assert.rejects(
          told(() => decompress(codec, bytes, 1000)),
          BatchFormatError,
          bytes.toString('hex'),
        )
      }
    })

    test('refuses bytes that are cut off anywhere', async () => {
      const content = records(70_000)
      const compressed = await compress(codec, content, undefined)
      for (let length = 1; length < compressed.length; length += 1 + (length >> 4)) {
        const cut = compressed.subarray(0, length)
        const rest = await told(() => decompress(codec, cut, MIB)).catch((error) => error)
        // Where a block of snappy ends nothing tells that another one came; the number of records does.
        if (codec === CODEC_SNAPPY && Buffer.isBuffer(rest)) {
          assert.ok(rest.length < content.length && rest.length % SNAPPY_BLOCK_BYTES === 0)
        } else assert.ok(rest instanceof BatchFormatError, `${length} bytes: ${rest}`)
      }
    })
  })
}

/** As docs/performance.md says it: the largest batch, without compression, that is dealt with in the call. */
const IN_THE_CALL: readonly (readonly [codec: number, compressed: number, decompressed: number])[] =
  [
    [CODEC_GZIP, 16 * 1024, 64 * 1024],
    [CODEC_SNAPPY, 32 * 1024, 64 * 1024],
    [CODEC_LZ4, 64 * 1024, Number.POSITIVE_INFINITY],
    [CODEC_ZSTD, 128 * 1024, 128 * 1024],
  ]

for (const [codec, compressed, decompressed] of IN_THE_CALL) {
  test(`${CODEC_NAMES[codec]} leaves the event loop above ${compressed} bytes, and to decompress above ${decompressed}`, async () => {
    assert.ok(Buffer.isBuffer(compress(codec, records(compressed), undefined)))
    const above = compress(codec, records(compressed + 1), undefined)
    assert.ok(above instanceof Promise)
    await above
    if (decompressed === Number.POSITIVE_INFINITY) return
    const little = await compress(codec, records(decompressed), undefined)
    assert.ok(Buffer.isBuffer(decompress(codec, little, MIB)))
    const much = await compress(codec, records(decompressed + 1), undefined)
    const inflating = decompress(codec, much, MIB)
    assert.ok(inflating instanceof Promise)
    assert.equal((await inflating).length, decompressed + 1)
  })
}

test('lz4 decompresses in slices, and gives others their turn between them', async () => {
  const content = Buffer.concat(new Array<Buffer>(32).fill(records(MIB)))
  const bytes = await compress(CODEC_LZ4, content, undefined)
  let turns = 0
  let isDone = false
  const count = (): void => {
    turns += 1
    if (!isDone) setImmediate(count)
  }
  setImmediate(count)
  const inflating = decompress(CODEC_LZ4, bytes, content.length)
  assert.ok(inflating instanceof Promise)
  assert.equal((await inflating).length, content.length)
  isDone = true
  assert.ok(turns >= 2, `${turns} turns`)
})

test('a level trades time for size', async () => {
  const content = records(MIB)
  for (const [codec, low, high] of [
    [CODEC_GZIP, 1, 9],
    [CODEC_ZSTD, 1, 19],
  ] as const) {
    const large = await compress(codec, content, low)
    const small = await compress(codec, content, high)
    assert.ok(small.length < large.length, `${small.length} and ${large.length}`)
    assert.deepEqual(await decompress(codec, small, MIB), content)
  }
})

test('a high level of zstd is not done in the call, however small the batch', async () => {
  const compressed = compress(CODEC_ZSTD, PLAIN, 19)
  assert.ok(compressed instanceof Promise)
  assert.deepEqual(await decompress(CODEC_ZSTD, await compressed, 1000), PLAIN)
})

test('gzip streams that follow one another are one', async () => {
  const parts = [records(40_000), PLAIN, records(200_000), PLAIN]
  const bytes = Buffer.concat(parts.map((part) => gzipSync(part)))
  const whole = Buffer.concat(parts)
  assert.deepEqual(await decompress(CODEC_GZIP, bytes, whole.length), whole)
  await assert.rejects(
    told(() => decompress(CODEC_GZIP, bytes, whole.length - 1)),
    BatchFormatError,
  )
})

for (const codec of [5, 6, 7]) {
  test(`the number ${codec} is named as unsupported`, () => {
    const isUnsupported = (error: unknown): boolean => {
      assert.ok(error instanceof LogError)
      assert.equal(error.code, 'UNSUPPORTED_CODEC')
      assert.match(error.message, new RegExp(`number ${codec}`))
      return true
    }
    assert.throws(() => decompress(codec, PLAIN, 1000), isUnsupported)
    assert.throws(() => compress(codec, PLAIN, undefined), isUnsupported)
  })
}

for (const codec of CODECS) {
  test(`a batch compressed with ${CODEC_NAMES[codec]} decodes once it is decompressed`, async () => {
    let compressed: Buffer | Promise<Buffer> = Buffer.alloc(0)
    const batch = encodeBatch({
      baseOffset: 8,
      attributes: codec,
      compress: (bytes) => {
        compressed = compress(codec, bytes, undefined)
        assert.ok(Buffer.isBuffer(compressed))
        return compressed
      },
      records: ['a', 'b', 'c'].map((key, i) => ({ key, value: PLAIN, timestamp: 100 - i })),
    })
    assert.equal(checkBatch(batch, 0, batch.length), undefined)
    const header = readBatchHeader(batch, 0)
    const page = await decompress(header.codec, batch.subarray(61), 1 << 20)
    const collector = new Collector()
    decodeRecords(page, 0, page.length, header, 0, Number.POSITIVE_INFINITY, collector)
    assert.deepEqual(
      collector.records.map(({ offset, timestamp, key, value }) => [offset, timestamp, key, value]),
      [
        [8, 100, Buffer.from('a'), PLAIN],
        [9, 99, Buffer.from('b'), PLAIN],
        [10, 98, Buffer.from('c'), PLAIN],
      ],
    )
  })
}

/** A linked LZ4 frame: stored blocks, and between them blocks that copy 24 bytes from `back` bytes before them and add five. */
function linkedFrame(blocks: readonly (Buffer | { readonly back: number })[]): Buffer {
  const header = Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x40, 0x40, 0])
  header[6] = (xxh32(header, 4, 6) >>> 8) & 0xff
  const parts = blocks.flatMap((each) => {
    const length = Buffer.alloc(4)
    if (Buffer.isBuffer(each)) {
      length.writeUInt32LE(0x8000_0000 + each.length)
      return [length, each]
    }
    // A match of 4 + 15 + 5 bytes without literals before it, then five literals.
    const copy = Buffer.from([0x0f, each.back & 0xff, each.back >>> 8, 5, 0x50, ...END_BYTES])
    length.writeUInt32LE(copy.length)
    return [length, copy]
  })
  return Buffer.concat([header, ...parts, Buffer.alloc(4)])
}

const END_BYTES = Buffer.from('fives')

test('linked lz4 blocks refer to the 64 KiB before them, however many blocks those are', async () => {
  const random = seededRandom(1)
  const blocks: (Buffer | { readonly back: number })[] = []
  let expected = Buffer.alloc(0)
  for (let index = 0; index < 600; index += 1) {
    if (index % 7 === 6) {
      const back = 24 + randomInteger(random, Math.min(expected.length, 65_535) - 24)
      const from = expected.length - back
      blocks.push({ back })
      expected = Buffer.concat([expected, expected.subarray(from, from + 24), END_BYTES])
    } else {
      const stored = Buffer.alloc(1 + randomInteger(random, 1500), index)
      blocks.push(stored)
      expected = Buffer.concat([expected, stored])
    }
  }
  const decompressed = await decompress(CODEC_LZ4, linkedFrame(blocks), 1 << 20)
  assert.ok(decompressed.equals(expected))
})
