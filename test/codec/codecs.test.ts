import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BatchFormatError } from '../../src/codec/batch-decoder.ts'
import { CODEC_GZIP, CODEC_NONE, CODEC_ZSTD } from '../../src/codec/codec-names.ts'
import { Codecs } from '../../src/codec/codecs.ts'
import { compressionOf, NO_COMPRESSION } from '../../src/codec/compression-choice.ts'
import { LogError } from '../../src/errors.ts'

const MIB = 1024 * 1024
const SOME = Buffer.from('some bytes, some bytes')

test('no more than two batches that take long are compressed at once, in their order', async () => {
  let running = 0
  let most = 0
  const begun: number[] = []
  const gzip = {
    compress: async (records: Uint8Array, level: number | undefined) => {
      begun.push(level ?? records.length)
      running += 1
      most = Math.max(most, running)
      for (let turn = 0; turn < 3; turn += 1) await new Promise((go) => setImmediate(go))
      running -= 1
      return records
    },
    decompress: (bytes: Uint8Array) => bytes,
  }
  const codecs = new Codecs({ gzip, zstd: gzip }, MIB)
  const large = [100_000, 200_000, 300_000, 400_000].map((size) => Buffer.alloc(size))
  const slow = [10, 22].map((level) => () => codecs.compress(CODEC_ZSTD, SOME, level))
  const made = [
    ...large.map((records) => codecs.compress(CODEC_GZIP, records, undefined)),
    ...slow.map((make) => make()),
  ]
  await Promise.all(made)
  assert.equal(most, 2)
  assert.deepEqual(begun, [100_000, 200_000, 300_000, 400_000, 10, 22])
  // One that takes long keeps no small one waiting.
  const waiting = codecs.compress(CODEC_GZIP, Buffer.alloc(MIB), undefined)
  const others = Array.from({ length: 5 }, () => codecs.compress(CODEC_GZIP, SOME, 9))
  assert.equal(running, 6)
  await Promise.all([waiting, ...others])
})

test('a codec is brought for one log, the others are its own', async () => {
  const reversed = (bytes: Uint8Array): Uint8Array => Uint8Array.from(bytes).reverse()
  const codecs = new Codecs({ gzip: { compress: reversed, decompress: reversed } }, 100)
  assert.deepEqual(codecs.compress(CODEC_GZIP, Buffer.from('abc'), 1), Buffer.from('cba'))
  assert.deepEqual(codecs.decompress(CODEC_GZIP, Buffer.from('cba')), Buffer.from('abc'))
  assert.equal(codecs.decompress(CODEC_NONE, SOME), SOME)
  assert.equal(codecs.compress(CODEC_NONE, SOME, undefined), SOME)
  assert.throws(() => codecs.decompress(CODEC_GZIP, Buffer.alloc(101)), BatchFormatError)
  const own = new Codecs({}, 100)
  const zipped = await own.compress(CODEC_GZIP, SOME, undefined)
  assert.deepEqual(await own.decompress(CODEC_GZIP, zipped), SOME)
  for (const codec of [CODEC_NONE, CODEC_GZIP, CODEC_ZSTD]) own.check(codec)
  assert.throws(
    () => own.check(7),
    (error: unknown) => {
      return error instanceof LogError && error.code === 'UNSUPPORTED_CODEC'
    },
  )
})

test('there is one object for each choice of codec and level', () => {
  assert.equal(compressionOf('none'), NO_COMPRESSION)
  assert.equal(compressionOf('none', -1), NO_COMPRESSION)
  assert.equal(compressionOf('gzip', 9), compressionOf('gzip', 9))
  assert.notEqual(compressionOf('gzip', 9), compressionOf('gzip'))
  assert.deepEqual(compressionOf('zstd', 19), { codec: CODEC_ZSTD, level: 19 })
  assert.deepEqual(compressionOf('zstd'), { codec: CODEC_ZSTD, level: undefined })
})
