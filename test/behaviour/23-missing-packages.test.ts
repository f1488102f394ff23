// Codecs whose package is not installed: a process in which it cannot be resolved.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import zlib from 'node:zlib'
import type { Log } from '../../src/index.ts'
import { LogError, PartialProduceError } from '../../src/index.ts'
import { copyFixture, loadExpected } from '../support/fixtures.ts'
import { hidePackage } from '../support/hide-package.ts'
import { open } from '../support/kafka-view.ts'
import { onDiskAndInMemory } from '../support/on-disk-and-in-memory.ts'

const PACKAGES = [
  ['snappy', 'snappy'],
  ['lz4', 'lz4-napi'],
  ['zstd', '@toondepauw/node-zstd'],
] as const
for (const [, name] of PACKAGES) hidePackage(name)

/** Node has zstd itself from 22.15 on. */
const missing = PACKAGES.filter(([codec]) => codec !== 'zstd' || !('zstdCompressSync' in zlib))
const TOPICS = { t: { value: 'string', partitions: 2, durability: 'os' } } as const

for (const [compression, name] of missing) {
  const isRefused = (error: unknown): true => {
    assert.ok(error instanceof LogError && !(error instanceof PartialProduceError), `${error}`)
    assert.equal(error.code, 'UNSUPPORTED_CODEC')
    assert.ok(error.message.includes(`the codec ${compression} needs the package ${name}`))
    assert.ok(error.message.endsWith(`npm install ${name}`), error.message)
    assert.match(`${error.cause}`, /Cannot find module/)
    return true
  }

  suite(`without the package for ${compression}`, () => {
    onDiskAndInMemory('a produce is refused before anything is written', async (place) => {
      const log = await place.open({ topics: TOPICS })
      const records = [
        { value: 'a', partition: 0 },
        { value: 'b', partition: 1 },
      ]
      await assert.rejects(log.produce('t', records, { compression }), isRefused)
      await assert.rejects(log.produce('t', { value: 'a' }, { compression }), isRefused)
      await log.alterTopic('t', { compression })
      await assert.rejects(log.produce('t', { value: 'a' }), isRefused)
      for (const partition of [0, 1]) {
        assert.deepEqual(await log.offsets('t', partition), {
          earliest: 0,
          latest: 0,
          lastStable: 0,
        })
      }
      const given = { value: 'c', partition: 0 }
      assert.equal((await log.produce('t', given, { compression: 'gzip' })).offset, 0)
    })

    onDiskAndInMemory('no topic is made for a produce that is refused', async (place) => {
      const log = await place.open({ autoCreateTopics: true, compression })
      await assert.rejects(log.produce('t', { value: 'a' }), isRefused)
      assert.deepEqual(log.topics(), [])
    })

    onDiskAndInMemory('one that is brought will do', async (place) => {
      const codec = {
        compress: (records: Uint8Array) => zlib.deflateSync(records),
        decompress: (bytes: Uint8Array) => zlib.inflateSync(bytes),
      }
      const log = await place.open({
        topics: TOPICS,
        codecs: { [compression]: codec },
        compression,
      })
      const value = 'x'.repeat(1000)
      await log.produce('t', { value, partition: 0 })
      const { records } = await log.fetch('t', { partition: 0, offset: 0 })
      assert.equal(records[0]?.value, value)
    })

    onDiskAndInMemory('a compaction leaves what it cannot read, and says why', async (place) => {
      const codec = {
        compress: (records: Uint8Array) => zlib.deflateSync(records),
        decompress: (bytes: Uint8Array) => zlib.inflateSync(bytes),
      }
      const topics = { t: { ...TOPICS.t, cleanupPolicy: 'compact' } } as const
      const before = await place.open({ topics, codecs: { [compression]: codec } })
      for (const partition of [0, 1]) {
        const records = ['a', 'b', 'a'].map((key) => ({ key, value: 'x'.repeat(500), partition }))
        const options = { compression: partition === 0 ? compression : 'gzip' } as const
        await before.produce('t', records, options)
      }
      const log = await place.reopen(before, { topics })
      await assert.rejects(log.compact('t'), isRefused)
      const file = ['t-0', `${'0'.repeat(20)}.log`] as const
      const bytes = place.readFile(...file)
      await assert.rejects(log.compact('t', { partitions: [0] }), isRefused)
      assert.deepEqual(place.readFile(...file), bytes)
      const { records } = await log.fetch('t', { partition: 1, offset: 0 })
      assert.deepEqual(
        records.map(({ offset }) => offset),
        [1, 2],
      )
    })

    test('a read fails for the batches of the codec alone', async (t) => {
      const expected = await loadExpected('compressed')
      await using log = await open(await copyFixture('compressed', t), expected)
      const [partition] = expected.topics['mixed']?.partitions ?? []
      assert.ok(partition)
      const { batches, records } = partition
      for (const { baseOffset: offset, compresscodec } of batches) {
        const answer = log.fetch('mixed', { partition: 0, offset, maxRecords: 1 })
        const isMissing = missing.some(([codec]) => codec === compresscodec)
        if (!isMissing) assert.equal((await answer).records[0]?.offset, offset)
        else await assert.rejects(answer, { code: 'UNSUPPORTED_CODEC' })
      }
      const isReadable = (offset: number): boolean => {
        const batch = batches.find((each) => each.lastOffset >= offset)
        return !missing.some(([codec]) => codec === batch?.compresscodec)
      }
      const wanted = records.map(({ offset }) => offset).filter(isReadable)
      assert.ok(wanted.length > 0 && wanted.length < records.length)
      assert.deepEqual(await offsetsIn(log, { onCorrupt: 'skip' }), wanted)
      await assert.rejects(offsetsIn(log, {}), { code: 'UNSUPPORTED_CODEC' })
    })

    test('a look-up by time leads to the batch that it cannot look into', async (t) => {
      const expected = await loadExpected('compressed')
      await using log = await open(await copyFixture('compressed', t), expected)
      const [partition] = expected.topics[compression]?.partitions ?? []
      const batch = partition?.batches.find(({ compresscodec }) => compresscodec === compression)
      assert.ok(partition && batch)
      const found = await log.offsetForTimestamp(compression, {
        partition: 0,
        timestamp: batch.createTime,
      })
      assert.ok(found !== undefined && found <= batch.baseOffset)
    })
  })
}

async function offsetsIn(log: Log, options: object): Promise<number[]> {
  const offsets: number[] = []
  for await (const { offset } of log.read('mixed', { until: 'end', ...options }))
    offsets.push(offset)
  return offsets
}
