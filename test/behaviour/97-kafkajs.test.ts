// An independent implementation reads the files of a log.
import assert from 'node:assert/strict'
import { mkdtemp, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { ProduceRecord } from '../../src/index.ts'
import { Log } from '../../src/index.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { removeAfter } from '../support/fixtures.ts'
import { namesEndingWith } from '../support/kafka-files.ts'

interface KafkaJsDecoder {
  readonly buffer: Buffer
  readonly offset: number
}
interface KafkaJsRecord {
  readonly offset: string
  readonly timestamp: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: Readonly<Record<string, unknown>>
}

const require = createRequire(import.meta.url)
const Decoder = require('kafkajs/src/protocol/decoder.js') as new (bytes: Buffer) => KafkaJsDecoder
const decodeBatch = require('kafkajs/src/protocol/recordBatch/v0/decoder.js') as (
  decoder: KafkaJsDecoder,
) => Promise<{ readonly records: readonly KafkaJsRecord[] }>

const NOW_MS = 1_700_000_000_000

/** All records in the files of a partition, which must hold batches and nothing else. */
async function recordsIn(directory: string): Promise<{ files: number; records: KafkaJsRecord[] }> {
  const names = await namesEndingWith(directory, '.log')
  const records: KafkaJsRecord[] = []
  for (const name of names) {
    const decoder = new Decoder(await readFile(join(directory, name)))
    while (decoder.offset < decoder.buffer.length) {
      records.push(...(await decodeBatch(decoder)).records)
    }
  }
  return { files: names.length, records }
}

type Produced = ProduceRecord<string, Uint8Array>

const RECORDS: readonly Produced[] = Array.from({ length: 200 }, (_, n) => ({
  key: [null, '', `key ${n}`, 'größe 🔑'][n % 4] ?? null,
  value: n % 5 === 0 ? null : Buffer.alloc((n * 37) % 300, n),
  headers: n % 3 === 0 ? {} : { trace: `t${n}`, none: null, twice: ['1', Buffer.from([2])] },
  timestamp: NOW_MS - ((n * 7919) % 100_000),
}))

const bytesOf = (content: unknown): unknown =>
  typeof content === 'string' ? Buffer.from(content) : content

for (const timestampType of ['CreateTime', 'LogAppendTime'] as const) {
  test(`kafkajs reads what a log wrote, segment by segment (${timestampType})`, async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'brokerless-kafkajs-'))
    removeAfter(t, directory)
    const topics = { events: { value: 'bytes', segmentBytes: 8192, timestampType } } as const
    const clock = new ManualClock(NOW_MS)
    {
      await using log = await Log.open(directory, { topics, clock, durability: 'os' })
      // Single calls, some of which share a batch, and calls of several records.
      await Promise.all(RECORDS.slice(0, 20).map((record) => log.produce('events', record)))
      for (let n = 20; n < RECORDS.length; n += 10) {
        await log.produce('events', RECORDS.slice(n, n + 10))
      }
    }
    const { files, records } = await recordsIn(join(directory, 'events-0'))
    assert.ok(files > 3)
    assert.equal(records.length, RECORDS.length)
    for (const [n, record] of records.entries()) {
      const { key, value, headers = {}, timestamp } = RECORDS[n] ?? { value: null }
      const wanted = Object.entries(headers).map(([name, each]) => [
        name,
        Array.isArray(each) ? each.map(bytesOf) : bytesOf(each),
      ])
      assert.equal(record.offset, `${n}`)
      assert.equal(record.timestamp, `${timestampType === 'CreateTime' ? timestamp : NOW_MS}`)
      assert.deepEqual([record.key, record.value], [bytesOf(key), value])
      assert.deepEqual(record.headers, Object.fromEntries(wanted))
    }
  })
}
