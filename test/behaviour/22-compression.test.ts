// Compression: by topic, log and call; what is written, and how it is read.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { suite } from 'node:test'
import { gunzipSync, gzipSync } from 'node:zlib'
import type {
  CompressionCodec,
  CompressionType,
  Log,
  LogError,
  LogOptions,
  LogRecord,
  ProduceOptions,
} from '../../src/index.ts'
import { CorruptLogError } from '../../src/index.ts'
import { batchesIn, line, withBody } from '../support/compressed-batches.ts'
import type { Place } from '../support/on-disk-and-in-memory.ts'
import { onDiskAndInMemory } from '../support/on-disk-and-in-memory.ts'

const CODECS = ['gzip', 'snappy', 'lz4', 'zstd'] as const satisfies CompressionType[]
const LOG_FILE = `${'0'.repeat(20)}.log`
const TOPICS = { t: { value: 'string', durability: 'os' } } as const

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

async function readAll(log: unknown, options: object = {}): Promise<LogRecord[]> {
  const records: LogRecord[] = []
  const stream = (log as Log).read('t', { until: 'end', ...options })
  for await (const record of stream) records.push(record)
  return records
}

async function valuesIn(log: unknown, options: object = {}): Promise<unknown[]> {
  return (await readAll(log, options)).map(({ value }) => value)
}

/** What lies in the one partition, by codec and number of records. */
function written(place: Place, topic = 't'): string[] {
  const batches = batchesIn(place.readFile(`${topic}-0`, LOG_FILE))
  return batches.map(({ compression, count }) => `${compression} ${count}`)
}

/** Does the same with a log, and once it was closed and opened again. */
async function beforeAndAfter(
  place: Place,
  log: unknown,
  options: LogOptions,
  check: (log: Log<{ t: { key: string; value: string } }>) => Promise<void>,
): Promise<void> {
  type Opened = Log<{ t: { key: string; value: string } }>
  await check(log as Opened)
  await check((await place.reopen(log as Opened, options as object)) as unknown as Opened)
}

function lines(count: number, first = 0): { value: string }[] {
  return Array.from({ length: count }, (_, n) => ({ value: line(first + n) }))
}

const valuesOf = (records: readonly { value: string }[]): string[] =>
  records.map(({ value }) => value)

/** gzip, which counts its calls. */
class CountingGzip implements CompressionCodec {
  compressed = 0
  decompressed = 0

  compress(records: Uint8Array): Uint8Array {
    this.compressed += 1
    return gzipSync(records)
  }

  decompress(bytes: Uint8Array): Uint8Array {
    this.decompressed += 1
    return gunzipSync(bytes)
  }
}

/** gzip whose batches are compressed when the test says so. */
class HeldGzip implements CompressionCodec {
  readonly held: { readonly release: () => void; readonly fail: (error: Error) => void }[] = []

  compress(records: Uint8Array): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const release = (): void => resolve(gzipSync(records))
      this.held.push({ release, fail: reject })
    })
  }

  decompress(bytes: Uint8Array): Uint8Array {
    return gunzipSync(bytes)
  }
}

for (const compression of CODECS) {
  suite(`records compressed with ${compression}`, () => {
    onDiskAndInMemory('are read as they were written, also after a restart', async (place) => {
      const topics = { t: { value: 'bytes', compression } } as const
      const log = await place.open({ topics })
      const records = [
        { key: 'k', value: Buffer.from(line(0)), headers: { a: 'x', b: null }, timestamp: 5 },
        { value: null, key: 'gone', timestamp: 3 },
        { value: Buffer.alloc(0), timestamp: 9 },
        ...Array.from({ length: 500 }, (_, n) => ({ key: `k${n}`, value: Buffer.from(line(n)) })),
      ]
      await log.produce('t', records)
      const expected = records.map(({ value }) => value)
      const check = async (opened: unknown): Promise<void> => {
        const read = await readAll(opened)
        assert.deepEqual(
          read.map(({ value }) => value),
          expected,
        )
        const [first, second, third] = read
        assert.deepEqual([first?.key, first?.timestamp], ['k', 5])
        assert.deepEqual(first?.headers, { a: Buffer.from('x'), b: null })
        assert.deepEqual([second?.key, second?.timestamp, third?.key], ['gone', 3, null])
      }
      await check(log)
      assert.deepEqual(written(place), [`${compression} 503`])
      assert.ok(place.readFile('t-0', LOG_FILE).length < 503 * 60)
      // As the files are there, no option is needed to read them.
      const again = await place.reopen(log, { topics: { t: { value: 'bytes' } } })
      await check(again)
      await check(await (await place.killed()).open({ topics: { t: { value: 'bytes' } } }))
    })

    onDiskAndInMemory('are found by offset and by time', async (place) => {
      const log = await place.open({ topics: { t: { ...TOPICS.t, compression } } })
      const records = lines(2000).map((each, n) => ({ ...each, timestamp: 1000 + n }))
      await log.produce('t', records.slice(0, 1500))
      await log.produce('t', records.slice(1500))
      await beforeAndAfter(place, log, { topics: TOPICS }, async (reopened) => {
        for (const offset of [0, 1, 777, 1499, 1500, 1999]) {
          const page = await reopened.fetch('t', { partition: 0, offset, maxRecords: 1 })
          assert.deepEqual([page.records[0]?.offset, page.nextOffset], [offset, offset + 1])
          assert.equal(page.records[0]?.value, line(offset))
          const timestamp = 1000 + offset
          assert.equal(await reopened.offsetForTimestamp('t', { partition: 0, timestamp }), offset)
        }
      })
    })

    onDiskAndInMemory('of many sizes keep the order of their calls', async (place) => {
      const log = await place.open({ topics: { t: { ...TOPICS.t, compression } } })
      const sizes = [10, 400_000, 1, 900_000, 5000, 70_000, 900_000, 3, 20_000, 600_000]
      const acknowledged: number[] = []
      const calls = sizes.map((size, n) =>
        log.produce('t', { value: line(n, size) }).then(({ offset }) => acknowledged.push(offset)),
      )
      await Promise.all(calls)
      const order = sizes.map((_, n) => n)
      assert.deepEqual(acknowledged, order)
      const expected = sizes.map((size, n) => line(n, size))
      assert.deepEqual(await valuesIn(log), expected)
      assert.deepEqual(await valuesIn(await place.reopen(log, { topics: TOPICS })), expected)
    })

    onDiskAndInMemory('that do not shrink are stored as they are', async (place) => {
      const log = await place.open({ topics: { t: { value: 'bytes', compression } } })
      const noise = [randomBytes(100), randomBytes(200_000)]
      for (const value of noise) await log.produce('t', { value })
      assert.deepEqual(written(place), ['none 1', 'none 1'])
      assert.deepEqual(await valuesIn(log), noise)
    })

    onDiskAndInMemory('may carry the time of the log', async (place) => {
      const timestampType = 'LogAppendTime'
      const log = await place.open({ topics: { t: { ...TOPICS.t, compression, timestampType } } })
      const [ack] = await log.produce(
        't',
        lines(50).map((each) => ({ ...each, timestamp: 7 })),
      )
      const now = place.clock.now()
      assert.equal(ack?.timestamp, now)
      assert.deepEqual(
        new Set((await readAll(log)).map(({ timestamp }) => timestamp)),
        new Set([now]),
      )
      assert.deepEqual(written(place), [`${compression} 50`])
    })
  })
}

suite('how records are compressed', () => {
  onDiskAndInMemory('is said by the call, else the topic, else the log', async (place) => {
    const topics = { t: TOPICS.t, own: { ...TOPICS.t, compression: 'lz4' } } as const
    const log = await place.open({ topics, compression: 'zstd', durability: 'os' })
    await log.produce('t', lines(20))
    await log.produce('t', lines(20), { compression: 'gzip' })
    await log.produce('t', lines(20), { compression: 'none' })
    await log.produce('own', lines(20))
    assert.deepEqual(written(place), ['zstd 20', 'gzip 20', 'none 20'])
    assert.deepEqual(written(place, 'own'), ['lz4 20'])
    const { config } = await log.describeTopic('t')
    assert.deepEqual([config.compression, config.compressionLevel], ['zstd', -1])
  })

  onDiskAndInMemory('changes for the calls after a change of the topic', async (place) => {
    const log = await place.open({ topics: TOPICS })
    const before = log.produce('t', lines(20))
    await log.alterTopic('t', { compression: 'gzip', compressionLevel: 9 })
    await log.produce('t', lines(20))
    await before
    assert.deepEqual(written(place), ['none 20', 'gzip 20'])
    await log.alterTopic('t', { compression: 'snappy' })
    const again = await place.reopen(log, { topics: TOPICS })
    const { config } = await again.describeTopic('t')
    assert.deepEqual([config.compression, config.compressionLevel], ['snappy', -1])
    await again.produce('t', lines(20))
    assert.deepEqual(written(place), ['none 20', 'gzip 20', 'snappy 20'])
  })

  onDiskAndInMemory('goes with a level, which trades time for size', async (place) => {
    const log = await place.open({ topics: TOPICS })
    const records = lines(3000)
    const levels: [CompressionType, number][] = [
      ['gzip', 1],
      ['gzip', 9],
      ['zstd', 1],
      ['zstd', 19],
    ]
    for (const [compression, compressionLevel] of levels) {
      await log.produce('t', records, { compression, compressionLevel })
    }
    const [low, high, least, most] = batchesIn(place.readFile('t-0', LOG_FILE)).map(
      ({ sizeBytes }) => sizeBytes,
    ) as [number, number, number, number]
    assert.ok(high < low && most < least, `${[low, high, least, most]}`)
  })

  onDiskAndInMemory('does not concern committed offsets', async (place) => {
    const log = await place.open({ topics: TOPICS, compression: 'gzip', lingerMs: 1000 })
    await log.commitOffset('billing', { topic: 't', partition: 0, offset: 0 })
    assert.deepEqual(written(place, '__consumer_offsets'), ['none 1'])
    const { config } = await log.describeTopic('__consumer_offsets')
    assert.deepEqual([config.compression, config.lingerMs], ['none', 0])
  })

  onDiskAndInMemory('is misused before anything is changed', async (place) => {
    const log = await place.open({ topics: TOPICS })
    const misuse: [object, typeof TypeError][] = [
      [{ compression: 'brotli' }, RangeError],
      [{ compression: 'lz4', compressionLevel: 3 }, RangeError],
      [{ compression: 'zstd', compressionLevel: 23 }, RangeError],
      [{ compressionLevel: 3 }, TypeError],
    ]
    for (const [options, type] of misuse) {
      await assert.rejects(log.produce('t', { value: 'x' }, options as ProduceOptions), type)
      await assert.rejects(log.alterTopic('t', options), type)
      await assert.rejects(log.createTopic('u', options), type)
    }
    assert.deepEqual(log.topics(), ['t'])
    assert.deepEqual(written(place), [])
  })
})

suite('a compressed batch', () => {
  onDiskAndInMemory('has one codec: a call with another one starts the next', async (place) => {
    const log = await place.open({ topics: TOPICS })
    const kinds: (CompressionType | undefined)[] = [
      'gzip',
      'gzip',
      undefined,
      undefined,
      'zstd',
      'none',
      'gzip',
      'lz4',
      'snappy',
      'snappy',
    ]
    const acks = await Promise.all(
      kinds.map((compression, n) =>
        log.produce('t', lines(10, 10 * n), compression === undefined ? {} : { compression }),
      ),
    )
    assert.deepEqual(
      acks.map(([ack]) => ack?.baseOffset),
      kinds.map((_, n) => 10 * n),
    )
    assert.deepEqual(written(place), [
      'gzip 20',
      'none 20',
      'zstd 10',
      'none 10',
      'gzip 10',
      'lz4 10',
      'snappy 20',
    ])
    assert.deepEqual(await valuesIn(log), valuesOf(lines(100)))
  })

  onDiskAndInMemory('is one also where another level is asked for', async (place) => {
    const log = await place.open({ topics: TOPICS })
    const options = [3, 3, 9, -1].map((compressionLevel) => ({
      compression: 'gzip' as const,
      compressionLevel,
    }))
    await Promise.all(options.map((each) => log.produce('t', lines(10), each)))
    assert.deepEqual(written(place), ['gzip 20', 'gzip 10', 'gzip 10'])
  })

  onDiskAndInMemory('is gathered from the calls that come while one is written', async (place) => {
    const gzip = new HeldGzip()
    const log = await place.open({ topics: TOPICS, codecs: { gzip }, compression: 'gzip' })
    const calls = [log.produce('t', lines(100))]
    while (gzip.held.length === 0) await nextTurn()
    for (let n = 1; n < 50; n += 1) {
      calls.push(log.produce('t', lines(100, 100 * n)))
      if (n % 10 === 0) await nextTurn()
    }
    assert.equal(gzip.held.length, 1)
    gzip.held[0]?.release()
    while (gzip.held.length < 2) await nextTurn()
    gzip.held[1]?.release()
    await Promise.all(calls)
    assert.deepEqual(written(place), ['gzip 100', 'gzip 4900'])
    assert.deepEqual(await valuesIn(log), valuesOf(lines(5000)))
  })

  onDiskAndInMemory(
    'holds up to maxMessageBytes before it is compressed, and no call more',
    async (place) => {
      const maxMessageBytes = 100_000
      const log = await place.open({ topics: { t: { ...TOPICS.t, maxMessageBytes } } })
      const compression = 'gzip'
      const zeros = { value: '0'.repeat(99_900) }
      await log.produce('t', zeros, { compression })
      await assert.rejects(
        log.produce('t', { value: '0'.repeat(100_000) }, { compression }),
        (error: LogError) =>
          error.code === 'MESSAGE_TOO_LARGE' && /100\d\d\d bytes/.test(error.message),
      )
      await Promise.all(
        Array.from({ length: 9 }, () =>
          log.produce('t', { value: '0'.repeat(40_000) }, { compression }),
        ),
      )
      assert.deepEqual(written(place), ['gzip 1', 'gzip 2', 'gzip 2', 'gzip 2', 'gzip 2', 'gzip 1'])
      assert.equal((await readAll(log)).length, 10)
    },
  )

  onDiskAndInMemory('rolls the segment by the bytes that are written', async (place) => {
    const segmentBytes = 4096
    const topics = {
      t: { ...TOPICS.t, compression: 'gzip', segmentBytes, maxMessageBytes: 4000 },
    } as const
    const log = await place.open({ topics })
    for (let n = 0; n < 200; n += 1) await log.produce('t', lines(30, 30 * n))
    const logs = (await place.list('t-0')).filter((name) => name.endsWith('.log'))
    const bytes = logs.map((name) => place.readFile('t-0', name).length)
    assert.ok(logs.length > 5)
    for (const size of bytes.slice(0, -1))
      assert.ok(size > 3000 && size <= segmentBytes, `${bytes}`)
    assert.deepEqual(await valuesIn(log), valuesOf(lines(6000)))
    assert.deepEqual(await valuesIn(await place.reopen(log, { topics })), valuesOf(lines(6000)))
  })
})

suite('while batches are compressed elsewhere', () => {
  const compression = 'gzip'

  onDiskAndInMemory('those behind them wait, whatever codec they have', async (place) => {
    const gzip = new HeldGzip()
    const log = await place.open({ topics: TOPICS, codecs: { gzip } })
    const acknowledged: number[] = []
    const produce = (n: number, options: ProduceOptions = {}): Promise<unknown> =>
      log.produce('t', { value: line(n) }, options).then(({ offset }) => acknowledged.push(offset))
    const calls = [produce(0, { compression }), produce(1), produce(2, { compression: 'zstd' })]
    await nextTurn()
    calls.push(produce(3, { compression }), produce(4))
    while (gzip.held.length < 2) await nextTurn()
    // The second comes to its end first.
    gzip.held[1]?.release()
    for (let turn = 0; turn < 10; turn += 1) await nextTurn()
    assert.deepEqual(acknowledged, [])
    assert.deepEqual(await log.offsets('t', 0), { earliest: 0, latest: 0, lastStable: 0 })
    gzip.held[0]?.release()
    await Promise.all(calls)
    assert.deepEqual(acknowledged, [0, 1, 2, 3, 4])
    assert.deepEqual(
      await valuesIn(log),
      [0, 1, 2, 3, 4].map((n) => line(n)),
    )
  })

  onDiskAndInMemory('a conditional append is judged behind them', async (place) => {
    const gzip = new HeldGzip()
    const log = await place.open({ topics: TOPICS, codecs: { gzip } })
    const first = log.produce('t', { value: 'a' }, { compression })
    const second = log.produce(
      't',
      { value: 'b' },
      { compression, partition: 0, expectedOffset: 1 },
    )
    let isTold = false
    const conflict = assert
      .rejects(log.produce('t', { value: 'c' }, { partition: 0, expectedOffset: 1 }), {
        code: 'OFFSET_CONFLICT',
        expected: 1,
        actual: 2,
      })
      .then(() => {
        isTold = true
      })
    for (let turn = 0; turn < 5; turn += 1) await nextTurn()
    assert.equal(isTold, false)
    for (const each of gzip.held) each.release()
    assert.equal((await first).offset, 0)
    assert.equal((await second).offset, 1)
    await conflict
  })

  for (const [what, wait] of [
    ['a flush', (log: Log) => log.flush()],
    ['a close', (log: Log) => log.close()],
  ] as const) {
    onDiskAndInMemory(`${what} waits for them`, async (place) => {
      const gzip = new HeldGzip()
      const log = await place.open({ topics: TOPICS, codecs: { gzip } })
      const calls = [
        log.produce('t', { value: line(0) }, { compression }),
        log.produce('t', { value: line(1) }),
      ]
      let isDone = false
      const done = wait(log as unknown as Log).then(() => {
        isDone = true
      })
      for (let turn = 0; turn < 20; turn += 1) await nextTurn()
      assert.equal(isDone, false)
      gzip.held[0]?.release()
      await done
      await Promise.all(calls)
      assert.deepEqual(written(place), ['gzip 1', 'none 1'])
    })
  }

  onDiskAndInMemory('a kill leaves nothing of them, and all before', async (place) => {
    const gzip = new HeldGzip()
    const log = await place.open({ topics: TOPICS, codecs: { gzip } })
    await log.produce('t', { value: line(0) })
    const calls = [
      log.produce('t', { value: line(1) }, { compression }),
      log.produce('t', { value: line(2) }),
    ]
    while (gzip.held.length === 0) await nextTurn()
    const killed = await (await place.killed()).open({ topics: TOPICS })
    assert.deepEqual(await valuesIn(killed), [line(0)])
    gzip.held[0]?.release()
    await Promise.all(calls)
  })

  onDiskAndInMemory(
    'one that fails takes along those behind it, and the next call has its offset',
    async (place) => {
      const gzip = new HeldGzip()
      const log = await place.open({ topics: TOPICS, codecs: { gzip } })
      await log.produce('t', { value: line(0) })
      const isRefused = {
        code: 'COMPRESSION_FAILED',
        retryable: true,
        message: /t-0: gzip.*out of order/,
      }
      const kept = log.produce('t', { value: line(1) }, { compression })
      const failed = [
        assert.rejects(
          log.produce('t', { value: 'x' }, { compression: 'gzip', compressionLevel: 2 }),
          isRefused,
        ),
        assert.rejects(log.produce('t', { value: 'x' }), isRefused),
        assert.rejects(log.produce('t', { value: 'x' }, { compression: 'lz4' }), isRefused),
        assert.rejects(
          log.produce('t', { value: 'x' }, { partition: 0, expectedOffset: 7 }),
          isRefused,
        ),
      ]
      while (gzip.held.length < 2) await nextTurn()
      gzip.held[1]?.fail(new Error('out of order'))
      await nextTurn()
      gzip.held[0]?.release()
      assert.equal((await kept).offset, 1)
      await Promise.all(failed)
      assert.equal((await log.produce('t', { value: line(2) })).offset, 2)
      const last = log.produce('t', { value: line(3) }, { compression })
      while (gzip.held.length < 3) await nextTurn()
      gzip.held[2]?.release()
      assert.equal((await last).offset, 3)
      const expected = [0, 1, 2, 3].map((n) => line(n))
      assert.deepEqual(await valuesIn(log), expected)
      assert.deepEqual(await valuesIn(await place.reopen(log, { topics: TOPICS })), expected)
    },
  )

  onDiskAndInMemory(
    'a full disk refuses them, and all behind, and they may be tried again',
    async (place) => {
      const log = await place.open({ topics: TOPICS })
      await log.produce('t', { value: line(0) })
      place.fileSystem.rule = ({ name, path }) =>
        name === 'write' && path.endsWith('.log')
          ? Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })
          : undefined
      const large = { value: line(1, 500_000) }
      const calls = [
        assert.rejects(log.produce('t', large, { compression: 'zstd' }), { code: 'DISK_FULL' }),
        assert.rejects(log.produce('t', large, { compression }), { code: 'DISK_FULL' }),
        assert.rejects(log.produce('t', { value: 'x' }), { code: 'DISK_FULL' }),
      ]
      await Promise.all(calls)
      place.fileSystem.rule = undefined
      assert.equal((await log.produce('t', large, { compression })).offset, 1)
      assert.deepEqual(await valuesIn(log), [line(0), large.value])
    },
  )
})

suite('a codec that the opener brings', () => {
  onDiskAndInMemory('compresses and decompresses, by promise or at once', async (place) => {
    const levels: (number | undefined)[] = []
    const reversed = (bytes: Uint8Array): Uint8Array => Uint8Array.from(bytes).reverse()
    const zstd: CompressionCodec = {
      compress: async (records, level) => {
        levels.push(level)
        return reversed(gzipSync(records))
      },
      decompress: (bytes) => gunzipSync(reversed(bytes)),
    }
    const lz4: CompressionCodec = {
      compress: (records) => gzipSync(records),
      decompress: async (bytes) => gunzipSync(bytes),
    }
    const log = await place.open({ topics: TOPICS, codecs: { zstd, lz4 } })
    await log.produce('t', lines(30), { compression: 'zstd', compressionLevel: 7 })
    await log.produce('t', lines(30, 30), { compression: 'zstd' })
    await log.produce('t', lines(30, 60), { compression: 'lz4' })
    assert.deepEqual(levels, [7, undefined])
    assert.deepEqual(written(place), ['zstd 30', 'zstd 30', 'lz4 30'])
    assert.deepEqual(await valuesIn(log), valuesOf(lines(90)))
    assert.equal(await log.offsetForTimestamp('t', { partition: 0, timestamp: 1 }), 0)
  })

  onDiskAndInMemory('fails the calls of a batch for which it gives no bytes', async (place) => {
    const gzip = {
      compress: () => 'text' as unknown as Uint8Array,
      decompress: () => new Uint8Array(),
    }
    const log = await place.open({ topics: TOPICS, codecs: { gzip } })
    const call = log.produce('t', { value: 'x' }, { compression: 'gzip' })
    await assert.rejects(call, (error: LogError) => {
      assert.equal(error.code, 'COMPRESSION_FAILED')
      assert.match(`${error.cause}`, /TypeError: compress of codecs.gzip gave 'text'/)
      return true
    })
    assert.equal((await log.produce('t', { value: 'y' })).offset, 0)
  })

  onDiskAndInMemory(
    'is told as damage where it does not decompress, or yields too much',
    async (place) => {
      const answers: (() => unknown)[] = [
        () => {
          throw new Error('never seen such bytes')
        },
        () => Promise.reject(new Error('never seen such bytes')),
        () => 5,
        () => new Uint8Array(1001),
      ]
      const gzip: CompressionCodec = {
        compress: (records) => gzipSync(records),
        decompress: () => answers[0]?.() as Uint8Array,
      }
      const log = await place.open({ topics: TOPICS, codecs: { gzip }, maxDecompressedBytes: 1000 })
      await log.produce('t', { value: 'x'.repeat(50) }, { compression: 'gzip' })
      await log.produce('t', { value: 'behind' })
      for (; answers.length > 0; answers.shift()) {
        await assert.rejects(log.fetch('t', { partition: 0, offset: 0 }), CorruptLogError)
        assert.deepEqual(await valuesIn(log, { onCorrupt: 'skip' }), ['behind'])
      }
    },
  )
})

suite('reading compressed batches', () => {
  for (const cacheBytes of [64 * 1024 * 1024, 0]) {
    onDiskAndInMemory(
      `record by record, page by page or as a whole gives the same with ${cacheBytes} bytes of memory`,
      async (place) => {
        const log = await place.open({ topics: { t: { ...TOPICS.t, compression: 'gzip' } } })
        for (let n = 0; n < 6; n += 1) {
          const options = n % 3 === 2 ? ({ compression: 'none' } as const) : {}
          await log.produce('t', lines(400, 400 * n), options)
        }
        const again = await place.reopen(log, { topics: TOPICS, cacheBytes })
        const expected = valuesOf(lines(2400))
        for (const request of [
          { maxRecords: 1 },
          { maxRecords: 7 },
          { maxRecords: 900 },
          { maxBytes: 1 },
          { maxBytes: 3000, maxRecords: 55 },
          {},
        ]) {
          const values: unknown[] = []
          for (let offset = 0; offset < 2400; ) {
            const page = await again.fetch('t', { partition: 0, offset, ...request })
            assert.equal(page.records[0]?.offset, offset)
            values.push(...page.records.map(({ value }) => value))
            assert.equal(page.nextOffset, offset + page.records.length)
            offset = page.nextOffset
          }
          assert.deepEqual(values, expected)
        }
        assert.deepEqual(await valuesIn(again, { maxBytes: 2000 }), expected)
      },
    )
  }

  onDiskAndInMemory('decompresses a batch once for all its pages and look-ups', async (place) => {
    const gzip = new CountingGzip()
    const codecs = { gzip }
    const log = await place.open({ topics: TOPICS, codecs, compression: 'gzip' })
    await log.produce('t', lines(3000))
    await log.produce('t', lines(3000, 3000))
    await beforeAndAfter(place, log, { topics: TOPICS, codecs }, async (opened) => {
      gzip.decompressed = 0
      for (let offset = 0; offset < 6000; offset += 10) {
        await opened.fetch('t', { partition: 0, offset, maxRecords: 10 })
      }
      assert.equal(gzip.decompressed, 2)
      for (let n = 0; n < 1000; n += 1) {
        const offset = (n * 4973) % 6000
        const { records } = await opened.fetch('t', { partition: 0, offset, maxRecords: 1 })
        assert.equal(records[0]?.value, line(offset))
      }
      assert.equal(gzip.decompressed, 2)
    })
  })

  onDiskAndInMemory(
    'decompresses a batch once for those who come to it together',
    async (place) => {
      let decompressed = 0
      const gzip: CompressionCodec = {
        compress: (records) => gzipSync(records),
        decompress: async (bytes) => {
          decompressed += 1
          // A long turn puts off those who come to it.
          for (let turns = 20; turns > 0; turns -= 1) await nextTurn()
          return gunzipSync(bytes)
        },
      }
      const log = await place.open({ topics: TOPICS, codecs: { gzip }, compression: 'gzip' })
      await log.produce('t', lines(500))
      const fetches = [0, 100, 499, 0].map((offset) => log.fetch('t', { partition: 0, offset }))
      const pages = await Promise.all(fetches)
      assert.deepEqual(
        pages.map(({ records }) => records.length),
        [500, 400, 1, 500],
      )
      assert.equal(decompressed, 1)
    },
  )

  onDiskAndInMemory(
    'has the next batch that is wanted decompressed while one is decoded',
    async (place) => {
      const begun: string[] = []
      const gzip: CompressionCodec = {
        compress: (records) => gzipSync(records),
        decompress: async (bytes) => {
          const records = gunzipSync(bytes)
          begun.push(/batch \d/.exec(records.toString('latin1'))?.[0] ?? '')
          await nextTurn()
          // The first one has no record that can be decoded.
          return begun.length === 1 ? records.fill(0) : records
        },
      }
      const log = await place.open({ topics: TOPICS, codecs: { gzip }, compression: 'gzip' })
      for (let n = 0; n < 4; n += 1) await log.produce('t', { value: `batch ${n} ${line(n)}` })
      const whole = { partition: 0, offset: 0 }
      await assert.rejects(log.fetch('t', whole), CorruptLogError)
      assert.deepEqual(begun, ['batch 0', 'batch 1'])
      begun.splice(0, 4, '')
      assert.equal((await log.fetch('t', { ...whole, maxRecords: 2 })).records.length, 2)
      assert.equal((await log.fetch('t', { ...whole, maxBytes: 1 })).records.length, 1)
      assert.deepEqual(begun.slice(1), ['batch 0', 'batch 1', 'batch 0'])
      assert.equal((await log.fetch('t', whole)).records.length, 4)
    },
  )

  onDiskAndInMemory('gives what stands before a batch that does not decompress', async (place) => {
    const gzip: CompressionCodec = {
      compress: (records) => gzipSync(records),
      decompress: async (bytes) => {
        const records = gunzipSync(bytes)
        if (records.includes('batch 1')) throw new Error('out of order')
        await nextTurn()
        return records
      },
    }
    const log = await place.open({ topics: TOPICS, codecs: { gzip }, compression: 'gzip' })
    for (let n = 0; n < 3; n += 1) await log.produce('t', { value: `batch ${n} ${line(n)}` })
    assert.equal((await log.fetch('t', { partition: 0, offset: 0 })).nextOffset, 1)
    await assert.rejects(log.fetch('t', { partition: 0, offset: 1 }), /out of order/)
    const rest = await valuesIn(log, { onCorrupt: 'skip' })
    assert.deepEqual(rest, [`batch 0 ${line(0)}`, `batch 2 ${line(2)}`])
  })

  onDiskAndInMemory('counts what they decompress to towards maxBytes', async (place) => {
    const log = await place.open({ topics: TOPICS, compression: 'zstd' })
    for (let n = 0; n < 40; n += 1) await log.produce('t', { value: line(n, 100_000) })
    assert.ok(place.readFile('t-0', LOG_FILE).length < 100_000)
    const again = await place.reopen(log, { topics: TOPICS })
    const sizes: number[] = []
    for (let offset = 0; offset < 40; ) {
      const page = await again.fetch('t', { partition: 0, offset, maxBytes: 450_000 })
      sizes.push(page.records.length)
      offset = page.nextOffset
    }
    assert.deepEqual(
      sizes,
      Array.from({ length: 8 }, () => 5),
    )
    // What was waited for comes in one piece.
    const all = { partition: 0, offset: 0, minBytes: 2000, maxWaitMs: 1000 }
    assert.equal((await again.fetch('t', all)).records.length, 40)
    assert.equal((await readAll(again)).length, 40)
  })

  onDiskAndInMemory('gives a batch that is very large in pieces', async (place) => {
    const gzip = new CountingGzip()
    const topics = { t: { ...TOPICS.t, maxMessageBytes: 20_000_000 } } as const
    const codecs = { gzip }
    const log = await place.open({ topics, codecs, compression: 'gzip' })
    await log.produce(
      't',
      Array.from({ length: 1000 }, (_, n) => ({ value: line(n, 10_000) })),
    )
    await log.produce('t', { value: 'behind' })
    await beforeAndAfter(place, log, { topics, codecs }, async (opened) => {
      gzip.decompressed = 0
      const sizes: number[] = []
      for (let offset = 0; offset < 1001; ) {
        const page = await opened.fetch('t', { partition: 0, offset })
        sizes.push(page.records.length)
        offset = page.nextOffset
      }
      assert.ok(sizes.length > 8 && Math.max(...sizes) < 110, `${sizes}`)
      assert.equal(gzip.decompressed, 1)
      assert.equal((await readAll(opened)).length, 1001)
    })
  })

  onDiskAndInMemory('is done by who only reads, beside the writer', async (place) => {
    const log = await place.open({ topics: TOPICS, compression: 'lz4' })
    await log.produce('t', lines(100))
    const reader = await place.open<{ t: { value: string } }>({
      readOnly: true,
      readOnlyPollMs: 10,
    })
    assert.equal((await readAll(reader)).length, 100)
    await log.produce('t', lines(100, 100), { compression: 'snappy' })
    const waiting = reader.fetch('t', { partition: 0, offset: 100, maxWaitMs: 1000 })
    await place.clock.advance(20)
    assert.equal((await waiting).records.length, 100)
  })
})

suite('a compressed batch that cannot be read', () => {
  onDiskAndInMemory('as it comes to more than maxDecompressedBytes is damage', async (place) => {
    const log = await place.open({ topics: TOPICS })
    for (const compression of CODECS) {
      await log.produce('t', { value: line(0, 300_000) }, { compression })
      await log.produce('t', { value: compression })
    }
    const maxDecompressedBytes = 300_000
    const again = await place.reopen(log, { topics: TOPICS, maxDecompressedBytes })
    const batches = batchesIn(place.readFile('t-0', LOG_FILE))
    for (const { compression, baseOffset: offset, position } of batches) {
      const answer = again.fetch('t', { partition: 0, offset, maxRecords: 1 })
      if (compression === 'none') await answer
      else {
        await assert.rejects(answer, (error: CorruptLogError) => {
          assert.ok(error instanceof CorruptLogError)
          assert.equal(error.position, position)
          assert.match(error.message, /more than 300000 bytes/)
          return true
        })
      }
    }
    assert.deepEqual(await valuesIn(again, { onCorrupt: 'skip' }), [...CODECS])
    const wide = await place.reopen(again, { topics: TOPICS })
    assert.equal((await readAll(wide)).length, 8)
  })

  for (const [codec, compression] of CODECS.entries()) {
    onDiskAndInMemory(`of ${compression} is told wherever its bytes are changed`, async (place) => {
      const log = await place.open({ topics: TOPICS, compression })
      const values = lines(300)
      await log.produce('t', values)
      await log.produce('t', { value: 'behind' }, { compression: 'none' })
      await log.close()
      const file = place.readFile('t-0', LOG_FILE)
      const [first] = batchesIn(file)
      assert.ok(first)
      const body = file.subarray(61, first.sizeBytes)
      const damaged: Buffer[] = [Buffer.from('not compressed at all'), body.subarray(0, 1)]
      for (let at = 0; at < body.length; at += 1 + (at >> 3)) {
        const flipped = Buffer.from(body)
        flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8))
        damaged.push(flipped, body.subarray(0, at + 1))
      }
      for (const bytes of damaged) {
        await place.writeFile(withBody(file, 0, bytes, codec + 1), 't-0', LOG_FILE)
        const again = await place.open()
        await checkDamaged(again, values.length)
        await again.close()
      }
    })
  }

  /** A reader is told, or is given records: a codec without a checksum cannot know that a byte is another one. */
  async function checkDamaged(log: unknown, count: number): Promise<void> {
    const read = (log as Log).fetch('t', { partition: 0, offset: 0, maxRecords: 300 })
    const page = await read.catch((error: unknown) => {
      assert.ok(error instanceof CorruptLogError, `${error}`)
      assert.equal(error.position, 0)
      return undefined
    })
    if (page !== undefined) assert.equal(page.records.length, count)
    const rest = await readAll(log, { onCorrupt: 'skip' })
    assert.equal(rest.at(-1)?.offset, count)
    assert.ok(rest.length === 1 || rest.length === count + 1)
  }
})

suite('lingerMs', () => {
  const lingerMs = 20

  onDiskAndInMemory('gathers the calls of that time in one batch', async (place) => {
    const log = await place.open({ topics: { t: { ...TOPICS.t, lingerMs } } })
    const calls: Promise<unknown>[] = []
    for (let n = 0; n < 5; n += 1) {
      calls.push(log.produce('t', { value: `${n}` }))
      await nextTurn()
      await place.clock.advance(3)
    }
    assert.deepEqual(written(place), [])
    await place.clock.advance(10)
    await Promise.all(calls)
    assert.deepEqual(written(place), ['none 5'])
  })

  onDiskAndInMemory('ends where a batch is full', async (place) => {
    const topics = {
      t: { ...TOPICS.t, lingerMs, maxMessageBytes: 10_000, compression: 'gzip' },
    } as const
    const log = await place.open({ topics })
    const calls = Array.from({ length: 10 }, (_, n) => log.produce('t', { value: line(n, 3000) }))
    await Promise.all(calls)
    assert.deepEqual(written(place), ['gzip 3', 'gzip 3', 'gzip 3', 'gzip 1'])
  })

  for (const [what, end] of [
    ['flushed', (log: Log) => log.flush()],
    ['closed', (log: Log) => log.close()],
  ] as const) {
    onDiskAndInMemory(`ends where the log is ${what}`, async (place) => {
      const log = await place.open({ topics: TOPICS, lingerMs })
      const call = log.produce('t', { value: 'a' })
      await nextTurn()
      assert.deepEqual(written(place), [])
      await end(log as unknown as Log)
      assert.equal((await call).offset, 0)
    })
  }

  onDiskAndInMemory('ends where others wait for the room that is held', async (place) => {
    const log = await place.open({ topics: TOPICS, lingerMs, maxPendingBytes: 1000 })
    const calls = Array.from({ length: 5 }, (_, n) => log.produce('t', { value: line(n, 400) }))
    await Promise.all(calls.slice(0, 4))
    await place.clock.advance(lingerMs)
    assert.equal((await calls[4])?.offset, 4)
  })

  onDiskAndInMemory("is waited for by calls at 'disk' too, also behind a sync", async (place) => {
    const log = await place.open({ topics: { t: { value: 'string', lingerMs } } })
    place.fileSystem.holdSyncs()
    const first = log.produce('t', { value: 'a' })
    // It waits for the sync.
    const advanced = place.clock.advance(lingerMs)
    while (written(place).length === 0) await nextTurn()
    const second = log.produce('t', { value: 'b' })
    await nextTurn()
    place.fileSystem.releaseSyncs()
    await advanced
    await first
    for (let turn = 0; turn < 10; turn += 1) await nextTurn()
    assert.deepEqual(written(place), ['none 1'])
    await place.clock.advance(lingerMs)
    assert.equal((await second).offset, 1)
  })
})
