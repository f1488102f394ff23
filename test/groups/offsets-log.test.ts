// What a log does at its open about batches of __consumer_offsets that cannot be read.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32c } from '../../src/codec/crc32c.ts'
import { MemoryFileSystem, openMemoryLog } from '../../src/testing/index.ts'

const OFFSETS_FILE = '/log/__consumer_offsets-0/00000000000000000000.log'
const BATCH_LENGTH_AT = 8
const CRC_AT = 17
const ATTRIBUTES_AT = 21
const CODEC_GZIP = 1

/** Says of the first batch that it is compressed; its CRC is right. */
function callFirstBatchCompressed(fileSystem: MemoryFileSystem, codec: number): void {
  const file = fileSystem.openSync(OFFSETS_FILE, 'write')
  const bytes = Buffer.alloc(file.sizeSync())
  file.readSync(bytes, 0, bytes.length, 0)
  bytes.writeInt16BE(codec, ATTRIBUTES_AT)
  const end = BATCH_LENGTH_AT + 4 + bytes.readInt32BE(BATCH_LENGTH_AT)
  bytes.writeUInt32BE(crc32c(bytes, ATTRIBUTES_AT, end) >>> 0, CRC_AT)
  file.writeSync(bytes, 0, bytes.length, 0)
  file.closeSync()
}

test('a batch of commits whose records cannot be decoded is passed: the log opens, with the others', async () => {
  const fileSystem = new MemoryFileSystem()
  const log = await openMemoryLog({ fileSystem, topics: { orders: {} } })
  await log.commitOffset('first', { topic: 'orders', partition: 0, offset: 0 })
  await log.commitOffset('second', { topic: 'orders', partition: 0, offset: 0 })
  await log.close()
  callFirstBatchCompressed(fileSystem, CODEC_GZIP)
  await using again = await openMemoryLog({ fileSystem })
  assert.deepEqual(await again.groups(), ['second'])
})
