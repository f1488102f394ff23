import assert from 'node:assert/strict'
import { test } from 'node:test'
import { flightRecords } from '../../bench/data/flights.ts'
import { bareCodec } from '../../bench/programs/bare-codecs.ts'

const events = Buffer.concat(flightRecords().map(({ value }) => value))

for (const type of ['gzip', 'snappy', 'lz4', 'zstd'] as const) {
  test(`${type} alone gives back few bytes and many`, async () => {
    const codec = bareCodec(type)
    for (const length of [1000, 300_000]) {
      const plain = events.subarray(0, length)
      const packed = await codec.compress(plain)
      assert.ok(packed.length < length / 2, `${packed.length} of ${length}`)
      assert.deepEqual(await codec.decompress(packed, length), plain)
    }
  })
}
