// Opening and closing a log.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { suite, test } from 'node:test'
import crc32c from 'crc-32/crc32c.js'
import type { LogRecord } from '../../src/index.ts'
import { DirectoryLockedError, Log, LogError } from '../../src/index.ts'
import { MemoryFileSystem, openMemoryLog } from '../../src/testing/index.ts'
import { runChild } from '../support/children.ts'
import type { ExpectedRecord } from '../support/fixtures.ts'
import { copyFixture, loadExpected } from '../support/fixtures.ts'
import type { Place } from '../support/on-disk-and-in-memory.ts'
import { onDiskAndInMemory } from '../support/on-disk-and-in-memory.ts'
import { systemError } from '../support/scripted-file-system.ts'

const MARKER = '.kafka_cleanshutdown'

async function valuesOf(log: Log, topic = 't'): Promise<unknown[]> {
  const values: unknown[] = []
  for await (const record of log.read(topic, { until: 'end' })) values.push(record.value)
  return values
}

/** Bytes as `expected.json` gives them: base64, or hash and size where they are long. */
function shown(bytes: unknown): unknown {
  if (!Buffer.isBuffer(bytes)) return bytes
  if (bytes.length <= 300) return bytes.toString('base64')
  return [createHash('sha256').update(bytes).digest('hex'), bytes.length]
}

function valueIn({ value, valueSha256, valueSize }: ExpectedRecord): unknown {
  return value === undefined ? [valueSha256, valueSize] : value
}

function keyIn({ key, keySha256, keySize }: ExpectedRecord): unknown {
  return key === undefined ? [keySha256, keySize] : key
}

/** Those of one name together, which is all that a record of headers can tell of their order. */
function headersOf({ headers }: LogRecord): unknown[] {
  return Object.entries(headers).flatMap(([name, value]) => {
    const values = Array.isArray(value) ? (value as readonly (Buffer | null)[]) : [value]
    return values.map((each) => [name, each === null ? null : (each as Buffer).toString('base64')])
  })
}

function byName(headers: ExpectedRecord['headers'] = []): unknown[] {
  const names = new Set(headers.map(([name]) => name))
  return [...names].flatMap((name) => headers.filter((header) => header[0] === name))
}

suite('opening', () => {
  onDiskAndInMemory('a directory that is missing is made, with its parents', async (place) => {
    const directory = place.path('a', 'b')
    const { fileSystem, clock } = place
    await using log = await Log.open(directory, { fileSystem, clock })
    await log.createTopic('t')
    assert.ok(await place.exists('a', 'b', 't-0'))
    assert.deepEqual(log.topics(), ['t'])
  })

  onDiskAndInMemory('a new directory has nothing to recover', async (place) => {
    const log = await place.open()
    const { scannedBytes, partitions, metadataRebuilt, finished, resetOffsets } = log.recovery
    assert.deepEqual(
      { scannedBytes, partitions, metadataRebuilt, finished, resetOffsets },
      {
        scannedBytes: 0,
        partitions: [],
        metadataRebuilt: undefined,
        finished: [],
        resetOffsets: [],
      },
    )
  })

  onDiskAndInMemory('a directory has one writer, and a second open names it', async (place) => {
    const log = await place.open()
    await assert.rejects(place.open(), (error: unknown) => {
      assert.ok(error instanceof DirectoryLockedError)
      assert.equal(error.code, 'LOCKED')
      assert.equal(error.holder?.pid, process.pid)
      assert.match(error.message, new RegExp(String(process.pid)))
      assert.equal(typeof error.token, 'string')
      return true
    })
    await log.createTopic('t')
    assert.equal((await log.produce('t', { value: 1 })).offset, 0)
    await log.close()
    const next = await place.open()
    assert.deepEqual(await valuesOf(next), [1])
  })

  onDiskAndInMemory('an open that fails leaves the directory free', async (place) => {
    const log = await place.open({ topics: { t: { value: 'json' } } })
    await log.close()
    await assert.rejects(place.open({ topics: { t: { value: 'string' } } }), {
      code: 'TOPIC_MISMATCH',
    })
    const next = await place.open()
    assert.deepEqual(next.topics(), ['t'])
  })

  onDiskAndInMemory(
    'what was acknowledged is there after a clean close, where it was, and new records follow it',
    async (place) => {
      const topics = { t: { partitions: 2 } } as const
      const log = await place.open({ topics })
      for (let n = 0; n < 5; n += 1) await log.produce('t', { value: n, partition: n % 2 })
      const again = await place.reopen(log, { topics })
      const { records, nextOffset } = await again.fetch('t', { partition: 0, offset: 0 })
      assert.deepEqual(
        records.map(({ offset, value }) => [offset, value]),
        [
          [0, 0],
          [1, 2],
          [2, 4],
        ],
      )
      assert.equal(nextOffset, 3)
      assert.equal((await again.produce('t', { value: 6, partition: 0 })).offset, 3)
    },
  )

  onDiskAndInMemory('after a clean close nothing is scanned', async (place) => {
    const log = await place.open({ topics: { t: {} } })
    await log.produce('t', { value: 'a' })
    await log.close()
    assert.ok(await place.exists(MARKER))
    const again = await place.open()
    assert.equal(again.recovery.clean, true)
    assert.equal(again.recovery.scannedBytes, 0)
    assert.deepEqual(again.recovery.partitions, [])
    assert.equal(await place.exists(MARKER), false, 'the marker is there only while it is closed')
  })

  onDiskAndInMemory(
    'after a kill all is there that was acknowledged, at either level',
    async (place) => {
      const log = await place.open({ topics: { t: {} } })
      await log.produce('t', { value: 'disk' }, { durability: 'disk' })
      await log.produce('t', { value: 'os' }, { durability: 'os' })
      const left = await place.killed()
      const again = await left.open()
      assert.equal(again.recovery.clean, false)
      assert.deepEqual(await valuesOf(again), ['disk', 'os'])
      const [partition] = again.recovery.partitions
      assert.equal(partition?.topic, 't')
      assert.equal(again.recovery.scannedBytes, partition?.scannedBytes)
      assert.ok(again.recovery.scannedBytes > 0)
      assert.equal((await again.produce('t', { value: 'next' })).offset, 2)
    },
  )

  onDiskAndInMemory(
    'after a kill only what lies past the recovery point is scanned',
    async (place) => {
      const log = await place.open({ topics: { t: {} } })
      await log.produce('t', { value: 'x'.repeat(10_000) })
      await log.flush()
      await log.produce('t', { value: 'y' })
      const again = await (await place.killed()).open()
      assert.ok(again.recovery.scannedBytes > 0)
      assert.ok(again.recovery.scannedBytes < 1000, `${again.recovery.scannedBytes} bytes`)
    },
  )

  onDiskAndInMemory(
    'a torn tail is cut, kept aside and told, and no flag is needed',
    async (place) => {
      const log = await place.open({ topics: { t: {} } })
      await log.produce('t', { value: 'whole' })
      const left = await place.killed()
      const whole = left.readFile('t-0', '00000000000000000000.log')
      const torn = Buffer.concat([whole, whole.subarray(0, 40)])
      await left.writeFile(torn, 't-0', '00000000000000000000.log')
      const again = await left.open()
      const [cut] = again.recovery.partitions[0]?.cut ?? []
      assert.equal(cut?.position, whole.length)
      assert.equal(cut?.bytes, 40)
      assert.ok(cut?.keptAs !== undefined)
      assert.deepEqual(await valuesOf(again), ['whole'])
    },
  )
})

suite('opening with misuse', () => {
  onDiskAndInMemory('rejects, and touches nothing', async (place) => {
    const { fileSystem, clock } = place
    const open = (options: object): Promise<Log> =>
      Log.open(place.directory, { fileSystem, clock, ...options })
    await assert.rejects(Log.open('', { fileSystem, clock }), TypeError)
    await assert.rejects(Log.open(7 as unknown as string), TypeError)
    await assert.rejects(open({ durability: 'memory' }), RangeError)
    await assert.rejects(open({ durability: 1 }), TypeError)
    await assert.rejects(open({ maxPendingBytes: 0 }), RangeError)
    await assert.rejects(open({ topics: 'orders' }), TypeError)
    await assert.rejects(open({ topics: { 'a b': {} } }), /a b/)
    await assert.rejects(open({ topics: { t: { partitions: 0 } } }), RangeError)
    await assert.rejects(open({ topics: { t: { value: 'xml' } } }), RangeError)
    await assert.rejects(open({ topics: { t: { partitioner: 1 } } }), TypeError)
    assert.equal(await place.exists(), false)
  })

  onDiskAndInMemory(
    'names the option that it does not know, and the one that was meant',
    async (place) => {
      const open = (options: object): Promise<Log> => place.open(options as { readOnly: boolean })
      await assert.rejects(open({ readonly: true }), (error: unknown) => {
        assert.ok(error instanceof TypeError)
        assert.match(error.message, /readonly.*did you mean readOnly/)
        return true
      })
      await assert.rejects(
        open({ topics: { t: { retentionMS: 1 } } }),
        /topic t: unknown option retentionMS; did you mean retentionMs/,
      )
      assert.equal(await place.exists(), false)
    },
  )
})

suite('brokerless.json', () => {
  const FILE = 'brokerless.json'
  const OTHERS: readonly (readonly [string, (place: Place) => Promise<void>, RegExp])[] = [
    ['is missing', (place) => place.fileSystem.unlink(place.path(FILE)), /missing/],
    ['is damaged', (place) => place.writeFile('{"version":1,', FILE), /damaged/],
    [
      'has another CRC',
      (place) => place.writeFile(place.readFile(FILE).toString().replace('"t"', '"u"'), FILE),
      /damaged/,
    ],
    ['is empty', (place) => place.writeFile('', FILE), /damaged/],
  ]
  for (const [what, spoil, told] of OTHERS) {
    onDiskAndInMemory(
      `where it ${what} it is rebuilt from the directories, and told`,
      async (place) => {
        const log = await place.open({
          topics: { t: { partitions: 3, value: 'string', retentionMs: 1000 } },
        })
        await log.produce('t', { value: 'kept', partition: 2 })
        await log.close()
        await spoil(place)
        const again = await place.open()
        assert.match(again.recovery.metadataRebuilt ?? 'not told', told)
        const { partitions, config, serializer } = await again.describeTopic('t')
        assert.equal(partitions.length, 3)
        assert.equal(config.retentionMs, -1)
        assert.equal(serializer, 'bytes')
        const { records } = await again.fetch('t', { partition: 2, offset: 0 })
        assert.deepEqual(
          records.map(({ value }) => String(value)),
          ['kept'],
        )
        const third = await place.reopen(again, {})
        assert.equal(third.recovery.metadataRebuilt, undefined)
        assert.equal((await third.describeTopic('t')).partitions.length, 3)
      },
    )
  }

  onDiskAndInMemory('keeps the topic id where it is rebuilt', async (place) => {
    const log = await place.open({ topics: { t: {} } })
    const { topicId } = await log.describeTopic('t')
    await log.close()
    await place.fileSystem.unlink(place.path(FILE))
    const again = await place.open()
    assert.equal((await again.describeTopic('t')).topicId, topicId)
  })

  onDiskAndInMemory(
    'a topic that was rebuilt takes the serializer of its first declaration, and no other after that',
    async (place) => {
      const log = await place.open({ topics: { t: { value: 'json' } } })
      await log.produce('t', { value: { a: 1 } })
      await log.close()
      await place.fileSystem.unlink(place.path(FILE))
      const again = await place.open({ topics: { t: { value: 'json' } } })
      assert.deepEqual(await valuesOf(again as unknown as Log), [{ a: 1 }])
      await again.close()
      await assert.rejects(place.open({ topics: { t: { value: 'bytes' } } }), {
        code: 'TOPIC_MISMATCH',
      })
    },
  )

  onDiskAndInMemory('of a newer version is refused as such', async (place) => {
    const log = await place.open({ topics: { t: {} } })
    await log.close()
    const { content } = JSON.parse(place.readFile(FILE).toString()) as { content: object }
    const newer = { ...content, version: 999 }
    const crc = crc32c.str(JSON.stringify(newer)) >>> 0
    await place.writeFile(JSON.stringify({ crc, content: newer }), FILE)
    await assert.rejects(place.open(), (error: unknown) => {
      assert.ok(error instanceof LogError)
      assert.equal(error.code, 'UNSUPPORTED_VERSION')
      return true
    })
    assert.ok(await place.exists(MARKER), 'nothing is changed')
  })
})

suite('half-done creations and deletions', () => {
  onDiskAndInMemory(
    'the directories that a creation did not come to make are made',
    async (place) => {
      const log = await place.open({ topics: { other: {} } })
      place.fileSystem.rule = ({ name, path }) =>
        name === 'mkdir' && path.endsWith('t-1') ? systemError('EIO') : undefined
      await assert.rejects(log.createTopic('t', { partitions: 3 }), { code: 'STORAGE_FAILED' })
      place.fileSystem.rule = undefined
      const left = await place.killed()
      assert.equal(await left.exists('t-1'), false)
      const again = await left.open()
      assert.deepEqual(again.topics(), ['other', 't'])
      assert.deepEqual(again.recovery.finished, ['t'])
      assert.equal((await again.produce('t', { value: 1, partition: 2 })).offset, 0)
      assert.ok(await left.exists('t-1'))
    },
  )

  onDiskAndInMemory('a creation that came to no directory at all is finished', async (place) => {
    const log = await place.open()
    place.fileSystem.rule = ({ name, path }) =>
      name === 'mkdir' && path.endsWith('t-0') ? systemError('EIO') : undefined
    await assert.rejects(log.createTopic('t', { partitions: 2 }), { code: 'STORAGE_FAILED' })
    place.fileSystem.rule = undefined
    const left = await place.killed()
    const again = await left.open()
    assert.deepEqual(again.topics(), ['t'])
    assert.deepEqual(again.recovery.finished, ['t'])
    assert.equal((await again.describeTopic('t')).partitions.length, 2)
  })

  onDiskAndInMemory(
    'what a declaration creates or adds is no half-done creation',
    async (place) => {
      const log = await place.open({ topics: { t: {} } })
      assert.deepEqual(log.recovery.finished, [])
      const again = await place.reopen(log, { topics: { t: { partitions: 3 }, u: {} } })
      assert.deepEqual(again.recovery.finished, [])
      assert.deepEqual(again.recovery.partitions, [])
    },
  )

  onDiskAndInMemory('a creation can be tried again in the same process', async (place) => {
    const log = await place.open()
    place.fileSystem.rule = ({ name, path }) =>
      name === 'mkdir' && path.endsWith('t-0') ? systemError('ENOSPC') : undefined
    await assert.rejects(log.createTopic('t'), { code: 'DISK_FULL', retryable: true })
    place.fileSystem.rule = undefined
    await log.createTopic('t')
    assert.equal((await log.produce('t', { value: 1 })).offset, 0)
  })

  const STEPS: readonly (readonly [string, string])[] = [
    ['before the first directory is renamed', 'rename'],
    ['before the first file is unlinked', 'unlink'],
    ['before a directory is removed', 'rmdir'],
  ]
  for (const [when, operation] of STEPS) {
    onDiskAndInMemory(`a deletion that was killed ${when} is finished`, async (place) => {
      const log = await place.open({ topics: { t: { partitions: 2 }, kept: {} } })
      await log.produce('t', { value: 'gone' })
      place.fileSystem.rule = ({ name, path, dest }) => {
        const concerns = /t-[01]/.test(dest ?? path) && !/tmp$/.test(path)
        return name === operation && concerns ? systemError('EIO') : undefined
      }
      await assert.rejects(log.deleteTopic('t'))
      place.fileSystem.rule = undefined
      const left = await place.killed()
      const again = await left.open()
      assert.deepEqual(again.topics(), ['kept'])
      assert.ok(again.recovery.finished.includes('t'), String(again.recovery.finished))
      assert.deepEqual(
        (await left.list()).filter((name) => /^t-|delete/.test(name)),
        [],
      )
      await again.createTopic('t')
      assert.deepEqual(await valuesOf(again), [])
    })
  }

  onDiskAndInMemory(
    'a topic may be declared again while its deletion is still to be finished',
    async (place) => {
      const log = await place.open({ topics: { t: {} } })
      await log.produce('t', { value: 'gone' })
      place.fileSystem.rule = ({ name }) =>
        name === 'rename' ? undefined : name === 'unlink' ? systemError('EIO') : undefined
      await assert.rejects(log.deleteTopic('t'))
      place.fileSystem.rule = undefined
      const again = await (await place.killed()).open({ topics: { t: { value: 'string' } } })
      assert.deepEqual(await valuesOf(again as unknown as Log), [])
      assert.equal((await again.produce('t', { value: 'new' })).offset, 0)
    },
  )
})

suite('a directory that a Kafka broker wrote', () => {
  onDiskAndInMemory(
    'opens as it is, with the partitions and records that Kafka reads in it',
    async (place, t) => {
      await place.copyFrom(await copyFixture('plain', t))
      const { topics } = await loadExpected('plain')
      const log = await place.open()
      assert.match(log.recovery.metadataRebuilt ?? 'not told', /missing/)
      assert.equal(log.recovery.clean, true)
      assert.deepEqual(log.topics(), Object.keys(topics).sort())
      for (const [topic, { partitions }] of Object.entries(topics)) {
        for (const expected of partitions) {
          const { partition, records } = expected
          assert.deepEqual(await log.offsets(topic, partition), {
            earliest: expected.logStartOffset,
            lastStable: expected.lastStableOffset,
            latest: expected.logEndOffset,
          })
          const read: LogRecord[] = []
          for await (const record of log.read(topic, { partition, until: 'end' })) read.push(record)
          assert.equal(read.length, records.length)
          for (const [index, record] of read.entries()) {
            const wanted = records[index]
            assert.ok(wanted !== undefined)
            assert.equal(record.offset, wanted.offset)
            assert.equal(record.timestamp, wanted.timestamp)
            assert.deepEqual(shown(record.value), valueIn(wanted), `value at ${record.offset}`)
            assert.deepEqual(
              headersOf(record),
              byName(wanted.headers),
              `headers at ${record.offset}`,
            )
          }
        }
      }
    },
  )

  onDiskAndInMemory('gives keys as bytes where it is declared so', async (place, t) => {
    await place.copyFrom(await copyFixture('plain', t))
    const { topics } = await loadExpected('plain')
    const log = await place.open({ topics: { orders: { key: 'bytes' } } })
    for (const { partition, records } of topics['orders']?.partitions ?? []) {
      const page = await log.fetch('orders', { partition, offset: 0, maxBytes: 1 << 26 })
      assert.deepEqual(
        page.records.map(({ key }) => shown(key)),
        records.map(keyIn),
      )
    }
  })

  onDiskAndInMemory('takes records behind those of the broker', async (place, t) => {
    await place.copyFrom(await copyFixture('plain', t))
    const { topics } = await loadExpected('plain')
    const end = topics['orders']?.partitions[1]?.logEndOffset
    const log = await place.open({ topics: { orders: { value: 'bytes' } } })
    assert.equal(
      (await log.produce('orders', { value: Buffer.from('ours'), partition: 1 })).offset,
      end,
    )
    const again = await place.reopen(log, {})
    const { records } = await again.fetch('orders', { partition: 1, offset: end ?? 0 })
    assert.deepEqual(
      records.map(({ value }) => String(value)),
      ['ours'],
    )
    assert.equal(again.recovery.metadataRebuilt, undefined)
  })
})

suite('closing', () => {
  onDiskAndInMemory('waits for what is under way', async (place) => {
    const log = await place.open({ topics: { t: {} } })
    place.fileSystem.holdSyncs()
    const acknowledged: number[] = []
    const calls = Array.from({ length: 10 }, (_, n) =>
      log.produce('t', { value: n }).then(({ offset }) => acknowledged.push(offset)),
    )
    const closing = log.close().then(() => acknowledged.length)
    place.fileSystem.releaseSyncs()
    assert.equal(await closing, 10)
    await Promise.all(calls)
    assert.deepEqual(await valuesOf(await place.open()), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  })

  onDiskAndInMemory('waits for calls that wait for room', async (place) => {
    const log = await place.open({ topics: { t: {} }, maxPendingBytes: 1000 })
    const value = 'x'.repeat(400)
    const calls = Array.from({ length: 10 }, () => log.produce('t', { value }))
    const closing = log.close()
    const offsets = (await Promise.all(calls)).map(({ offset }) => offset)
    assert.deepEqual(offsets, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    await closing
  })

  onDiskAndInMemory('syncs what was acknowledged at the os level alone', async (place) => {
    const log = await place.open({ topics: { t: {} }, durability: 'os' })
    await log.produce('t', { value: 1 })
    const before = place.fileSystem.syncs
    await log.close()
    assert.ok(place.fileSystem.syncs > before)
  })

  onDiskAndInMemory('twice is as once', async (place) => {
    const log = await place.open({ topics: { t: {} } })
    await Promise.all([log.close(), log.close()])
    await log.close()
    assert.deepEqual((await place.open()).topics(), ['t'])
  })

  onDiskAndInMemory('is what await using does', async (place) => {
    let outside: Log
    {
      await using log = await place.open()
      await log.createTopic('t')
      outside = log
    }
    await assert.rejects(outside.describeTopic('t'), { code: 'CLOSED' })
    assert.equal((await place.open()).recovery.clean, true)
  })

  onDiskAndInMemory('every call after it rejects with CLOSED', async (place) => {
    const log = await place.open({ topics: { t: {} } })
    const closing = log.close()
    const calls: Record<string, () => Promise<unknown>> = {
      produce: () => log.produce('t', { value: 1 }),
      fetch: () => log.fetch('t', { partition: 0, offset: 0 }),
      offsetForTimestamp: () => log.offsetForTimestamp('t', { partition: 0, timestamp: 0 }),
      offsets: () => log.offsets('t', 0),
      deleteRecords: () => log.deleteRecords('t', { partition: 0, before: 0 }),
      createTopic: () => log.createTopic('u'),
      describeTopic: () => log.describeTopic('t'),
      alterTopic: () => log.alterTopic('t', { retentionMs: 1 }),
      addPartitions: () => log.addPartitions('t', 2),
      deleteTopic: () => log.deleteTopic('t'),
      commitOffset: () => log.commitOffset('g', { topic: 't', partition: 0, offset: 0 }),
      committedOffsets: () => log.committedOffsets('g'),
      lag: () => log.lag('g'),
      groups: () => log.groups(),
      describeGroup: () => log.describeGroup('g'),
      deleteGroup: () => log.deleteGroup('g'),
      deleteOffsets: () => log.deleteOffsets('g', []),
      resetOffsets: () => log.resetOffsets('g', 't', 'earliest'),
      flush: () => log.flush(),
      applyRetention: () => log.applyRetention(),
    }
    const refused = async (when: string): Promise<void> => {
      for (const [name, call] of Object.entries(calls)) {
        await assert.rejects(call(), { name: 'LogError', code: 'CLOSED' }, `${name} ${when}`)
      }
      assert.throws(() => log.topics(), { code: 'CLOSED' })
    }
    await refused('while it closes')
    await closing
    await refused('when it is closed')
  })

  onDiskAndInMemory('a waiting fetch rejects with CLOSED', async (place) => {
    const log = await place.open({ topics: { t: {} } })
    const waiting = log.fetch('t', { partition: 0, offset: 0, maxWaitMs: 60_000 })
    const outcome = assert.rejects(waiting, { name: 'LogError', code: 'CLOSED' })
    await log.close()
    await outcome
  })

  onDiskAndInMemory('iterators end, having given what was there', async (place) => {
    const log = await place.open({ topics: { t: { partitions: 2 } } })
    await log.produce('t', [
      { value: 'a', partition: 0 },
      { value: 'b', partition: 1 },
    ])
    const seen: unknown[] = []
    let told = (): void => undefined
    const both = new Promise<void>((resolve) => {
      told = resolve
    })
    const reading = (async () => {
      for await (const { value } of log.read('t')) {
        seen.push(value)
        if (seen.length === 2) told()
      }
      return 'ended'
    })()
    await both
    await log.close()
    assert.equal(await reading, 'ended')
    assert.deepEqual(seen.sort(), ['a', 'b'])
  })

  onDiskAndInMemory(
    'rejects where a partition had failed, and leaves no clean marker',
    async (place) => {
      const log = await place.open({ topics: { t: {} } })
      await log.produce('t', { value: 'kept' })
      const failures: unknown[] = []
      log.on('failure', (failure) => failures.push([failure.topic, failure.partition]))
      place.fileSystem.rule = ({ name, path }) =>
        name === 'sync' && path.endsWith('.log') ? systemError('EIO') : undefined
      await assert.rejects(log.produce('t', { value: 'lost' }), {
        code: 'STORAGE_FAILED',
        retryable: false,
      })
      place.fileSystem.rule = undefined
      assert.deepEqual(failures, [['t', 0]])
      await assert.rejects(log.close(), { code: 'STORAGE_FAILED' })
      await assert.rejects(log.close(), { code: 'STORAGE_FAILED' })
      assert.equal(await place.exists(MARKER), false)
      const again = await place.open()
      assert.equal(again.recovery.clean, false)
      assert.equal((await valuesOf(again))[0], 'kept')
    },
  )
})

suite('what keeps the process alive', () => {
  const CASES: readonly (readonly [string, string, string])[] = [
    ['an open log that nobody waits on does not', 'idle', 'opened\n'],
    ['a fetch that waits does', 'fetch', 'opened\nanswered 0\n'],
    ['a live read that waits does', 'read', 'opened\nended\n'],
    ['a log whose waiting fetch was answered does not', 'answered', 'opened\nanswered 1\n'],
    ['a compaction that sleeps for its bytes does', 'compact', 'opened\ncompacted 1\n'],
    ['a log whose live read was left does not', 'left', 'opened\nleft\n'],
  ]
  for (const [promise, what, output] of CASES) {
    onDiskAndInMemory(promise, async (place) => {
      if (place.kind === 'on disk') await place.fileSystem.mkdir(place.directory)
      const directory = place.kind === 'on disk' ? place.directory : 'memory'
      const { stdout, stderr, code } = await runChild('keep-alive-child.ts', [what, directory])
      assert.equal(stdout, output, stderr)
      assert.equal(code, 0)
    })
  }
})

suite('openMemoryLog', () => {
  test('opens a log of its own each time', async () => {
    const [one, other] = await Promise.all([openMemoryLog(), openMemoryLog()])
    await one.createTopic('t')
    assert.deepEqual([one.topics(), other.topics()], [['t'], []])
    await Promise.all([one.close(), other.close()])
  })

  test('can be opened again with the file system that it was given', async () => {
    const fileSystem = new MemoryFileSystem()
    const log = await openMemoryLog({ fileSystem, topics: { t: {} } })
    await log.produce('t', { value: 1 })
    await log.close()
    const again = await openMemoryLog({ fileSystem })
    assert.deepEqual(await valuesOf(again), [1])
    await again.close()
  })
})
