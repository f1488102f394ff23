import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { checkBatch, readBatchHeader } from '../../src/codec/batch.ts'
import { BatchFormatError, decodeRecords } from '../../src/codec/batch-decoder.ts'
import { encodeBatch } from '../../src/codec/batch-encoder.ts'
import { CODEC_GZIP, CODEC_NAMES, CODEC_NONE, decompress } from '../../src/codec/compression.ts'
import { LogError } from '../../src/errors.ts'
import { Collector } from './support.ts'

const PLAIN = Buffer.from('some bytes, some bytes, some bytes')

test('codec 0 gives back the same bytes', async () => {
  assert.equal(await decompress(CODEC_NONE, PLAIN, 1), PLAIN)
})

test('a gzip stream is decompressed, up to the bound and not past it', async () => {
  const zipped = gzipSync(PLAIN)
  assert.deepEqual(await decompress(CODEC_GZIP, zipped, PLAIN.length), PLAIN)
  await assert.rejects(decompress(CODEC_GZIP, zipped, PLAIN.length - 1), {
    name: 'BatchFormatError',
    message: /more than 33 bytes/,
  })
})

test('bytes that are no whole gzip stream are refused', async () => {
  const zipped = gzipSync(PLAIN)
  await assert.rejects(decompress(CODEC_GZIP, PLAIN, 1000), BatchFormatError)
  await assert.rejects(decompress(CODEC_GZIP, zipped.subarray(0, -9), 1000), BatchFormatError)
})

for (const codec of [2, 3, 4, 7]) {
  const name = CODEC_NAMES[codec] ?? 'number 7'
  test(`the codec ${name} is named as unsupported`, async () => {
    await assert.rejects(decompress(codec, PLAIN, 1000), (error) => {
      assert.ok(error instanceof LogError)
      assert.equal(error.code, 'UNSUPPORTED_CODEC')
      assert.match(error.message, new RegExp(name))
      return true
    })
  })
}

test('a batch compressed with gzip decodes once it is decompressed', async () => {
  const batch = encodeBatch({
    baseOffset: 8,
    attributes: CODEC_GZIP,
    compress: (bytes) => gzipSync(bytes),
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
