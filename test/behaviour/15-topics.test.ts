// Topics: created, declared, listed, described, altered, given more partitions, deleted.
import assert from 'node:assert/strict'
import { suite } from 'node:test'
import type {
  Log,
  LogError,
  Serializer,
  StandardSchemaV1,
  TopicAlteration,
  TopicDeclaration,
} from '../../src/index.ts'
import type { Place } from '../support/on-disk-and-in-memory.ts'
import { onDiskAndInMemory } from '../support/on-disk-and-in-memory.ts'
import { systemError } from '../support/scripted-file-system.ts'

const MARKER = '.kafka_cleanshutdown'
const DEFAULTS = {
  segmentBytes: 1024 ** 3,
  segmentMs: 7 * 24 * 60 * 60 * 1000,
  indexIntervalBytes: 4096,
  segmentIndexBytes: 10 * 1024 ** 2,
  cleanupPolicy: 'delete',
  retentionMs: -1,
  retentionBytes: -1,
  minCleanableDirtyRatio: 0.5,
  minCompactionLagMs: 0,
  maxCompactionLagMs: -1,
  deleteRetentionMs: 24 * 60 * 60 * 1000,
  maxMessageBytes: 1_048_588,
  compression: 'none',
  compressionLevel: -1,
  lingerMs: 0,
  timestampType: 'CreateTime',
  durability: 'disk',
  flushIntervalMs: 1000,
} as const

/** What `open` tells in the turn after it has resolved. */
async function alterationsOf(log: Log<never> | Log): Promise<TopicAlteration[]> {
  const told: TopicAlteration[] = []
  log.on('topicAltered', (alteration) => told.push(alteration))
  await new Promise((resolve) => setImmediate(resolve))
  await new Promise((resolve) => setImmediate(resolve))
  return told
}

async function codeOf(call: Promise<unknown>): Promise<{ code: string; message: string }> {
  try {
    await call
  } catch (error) {
    const { code, message } = error as LogError
    return { code, message }
  }
  throw new assert.AssertionError({ message: 'the call did not reject' })
}

suite('creating a topic', () => {
  onDiskAndInMemory(
    'gives it one partition, string keys, MessagePack values and the defaults',
    async (place) => {
      const log = await place.open()
      await log.createTopic('t')
      assert.deepEqual(log.topics(), ['t'])
      const { name, topicId, internal, key, serializer, config, partitions } =
        await log.describeTopic('t')
      assert.match(topicId, /^[A-Za-z0-9_-]{22}$/)
      assert.deepEqual(
        { name, internal, key, serializer },
        { name: 't', internal: false, key: 'string', serializer: 'msgpack' },
      )
      assert.deepEqual(config, DEFAULTS)
      assert.deepEqual(partitions, [
        {
          partition: 0,
          logStartOffset: 0,
          highWatermark: 0,
          logEndOffset: 0,
          leaderEpoch: 0,
          segments: 1,
          sizeBytes: 0,
          writable: true,
        },
      ])
    },
  )

  onDiskAndInMemory(
    'takes all of its configuration, and keeps it over a restart',
    async (place) => {
      const config = {
        segmentBytes: 2048,
        segmentMs: 5000,
        indexIntervalBytes: 100,
        segmentIndexBytes: 240,
        cleanupPolicy: 'compact,delete',
        retentionMs: 60_000,
        retentionBytes: 1_000_000,
        minCleanableDirtyRatio: 0.25,
        minCompactionLagMs: 1000,
        maxCompactionLagMs: 4000,
        deleteRetentionMs: 9000,
        maxMessageBytes: 1000,
        compression: 'zstd',
        compressionLevel: 19,
        lingerMs: 5,
        timestampType: 'LogAppendTime',
        durability: 'os',
        flushIntervalMs: 50,
      } as const
      const log = await place.open()
      await log.createTopic('t', { ...config, partitions: 4, key: 'bytes', value: 'json' })
      const before = await log.describeTopic('t')
      const again = await place.reopen(log, {})
      const after = await again.describeTopic('t')
      for (const described of [before, after]) {
        assert.deepEqual(described.config, config)
        assert.equal(described.key, 'bytes')
        assert.equal(described.serializer, 'json')
        assert.equal(described.partitions.length, 4)
        assert.equal(described.topicId, before.topicId)
      }
    },
  )

  onDiskAndInMemory(
    'leaves its durability and flush interval to the log where it gives none',
    async (place) => {
      const log = await place.open({ durability: 'os', flushIntervalMs: 7 })
      await log.createTopic('t')
      const first = (await log.describeTopic('t')).config
      assert.deepEqual([first.durability, first.flushIntervalMs], ['os', 7])
      const again = await place.reopen(log, {})
      const second = (await again.describeTopic('t')).config
      assert.deepEqual([second.durability, second.flushIntervalMs], ['disk', 1000])
    },
  )

  onDiskAndInMemory(
    'twice with the same configuration agrees, also at the same time',
    async (place) => {
      const log = await place.open()
      const declaration = { partitions: 2, retentionMs: 1000 } as const
      await Promise.all([log.createTopic('t', declaration), log.createTopic('t', declaration)])
      await log.createTopic('t', { ...declaration, retentionBytes: -1, value: 'msgpack' })
      assert.deepEqual(log.topics(), ['t'])
      assert.equal((await log.describeTopic('t')).partitions.length, 2)
    },
  )

  onDiskAndInMemory(
    'twice keeps the schema and the partitioner that the first creator brought',
    async (place) => {
      const schema: StandardSchemaV1 = {
        '~standard': {
          version: 1,
          vendor: 'test',
          validate: (value) => (value === 'good' ? { value } : { issues: [{ message: 'bad' }] }),
        },
      }
      const log = await place.open()
      await log.createTopic('t', { partitions: 3, value: schema, partitioner: () => 2 })
      await log.createTopic('t', { partitions: 3 })
      await assert.rejects(log.produce('t', { value: 'bad' }), { code: 'VALIDATION_FAILED' })
      assert.equal((await log.produce('t', { value: 'good' })).partition, 2)
      await log.createTopic('t', { partitions: 3, partitioner: () => 1 })
      assert.equal((await log.produce('t', { value: 'good' })).partition, 1)
    },
  )

  const DIFFERENT: readonly (readonly [string, TopicDeclaration, RegExp])[] = [
    ['partitions', { partitions: 3 }, /partitions is 2, not 3/],
    ['a setting', { partitions: 2, retentionMs: 1 }, /retentionMs is -1, not 1/],
    ['the serializer', { partitions: 2, value: 'json' }, /serializer is msgpack, not json/],
    ['the key type', { partitions: 2, key: 'bytes' }, /key is string, not bytes/],
    ['two things', { segmentMs: 5 }, /partitions is 2, not 1; segmentMs is \d+, not 5/],
  ]
  for (const [what, declaration, message] of DIFFERENT) {
    onDiskAndInMemory(
      `with another value of ${what} than it has is TOPIC_EXISTS, which names the difference`,
      async (place) => {
        const log = await place.open()
        await log.createTopic('t', { partitions: 2 })
        const refused = await codeOf(log.createTopic('t', declaration))
        assert.equal(refused.code, 'TOPIC_EXISTS')
        assert.match(refused.message, message)
        const { partitions, config } = await log.describeTopic('t')
        assert.equal(partitions.length, 2)
        assert.deepEqual(config, DEFAULTS)
      },
    )
  }

  onDiskAndInMemory('follows Kafka in what is a name', async (place) => {
    const log = await place.open()
    for (const name of ['a', 'A.b_c-9', 'x'.repeat(249), '...']) await log.createTopic(name)
    const refused = ['', '.', '..', 'a b', 'a/b', 'ä', 'a\0', 'x'.repeat(250), '../up']
    for (const name of refused) {
      await assert.rejects(log.createTopic(name), (error: unknown) => {
        assert.ok(error instanceof TypeError || error instanceof RangeError, `${name}: ${error}`)
        return true
      })
    }
    await assert.rejects(log.createTopic(7 as unknown as string), TypeError)
    assert.equal(log.topics().length, 4)
  })

  onDiskAndInMemory("refuses names that Kafka's metrics could not tell apart", async (place) => {
    const log = await place.open()
    await log.createTopic('a.b_c')
    const refused = await codeOf(log.createTopic('a_b.c'))
    assert.equal(refused.code, 'TOPIC_EXISTS')
    assert.match(refused.message, /a\.b_c/)
  })

  onDiskAndInMemory('with misuse rejects, and makes nothing', async (place) => {
    const log = await place.open()
    const create = (declaration: object): Promise<void> => log.createTopic('t', declaration)
    await assert.rejects(create({ partitions: 0 }), RangeError)
    await assert.rejects(create({ partitions: 1.5 }), RangeError)
    await assert.rejects(create({ partitions: '3' }), TypeError)
    await assert.rejects(create({ segmentBytes: 10 }), RangeError)
    await assert.rejects(create({ timestampType: 'Whenever' }), RangeError)
    await assert.rejects(create({ durability: null }), TypeError)
    await assert.rejects(create({ value: {} }), TypeError)
    await assert.rejects(create({ segmentByte: 2048 }), /did you mean segmentBytes/)
    await assert.rejects(log.createTopic('t', 3 as unknown as TopicDeclaration), TypeError)
    assert.deepEqual(log.topics(), [])
    assert.deepEqual(
      (await place.list()).filter((name) => name.startsWith('t-')),
      [],
    )
  })
})

suite('a topic that open declares', () => {
  onDiskAndInMemory('is created where it is not there', async (place) => {
    const log = await place.open({ topics: { t: { partitions: 3 }, u: {} } })
    assert.deepEqual(log.topics(), ['t', 'u'])
    assert.equal((await log.describeTopic('t')).partitions.length, 3)
    assert.deepEqual(await alterationsOf(log as unknown as Log), [])
  })

  onDiskAndInMemory(
    'is altered in what may be altered, gets its partitions, and an event tells it',
    async (place) => {
      const log = await place.open({ topics: { t: { retentionMs: 1000, segmentMs: 50 } } })
      await log.produce('t', { value: 'kept' })
      const again = await place.reopen(log, { topics: { t: { partitions: 3, retentionMs: 2000 } } })
      assert.deepEqual(await alterationsOf(again as unknown as Log), [
        { topic: 't', partitions: 3, config: { retentionMs: 2000 } },
      ])
      const { partitions, config } = await again.describeTopic('t')
      assert.deepEqual(
        partitions.map(({ logEndOffset }) => logEndOffset),
        [1, 0, 0],
      )
      assert.equal(config.retentionMs, 2000)
      assert.equal(config.segmentMs, 50, 'what it leaves out stays as stored')
    },
  )

  onDiskAndInMemory(
    'that says what is stored changes nothing, and nothing is told',
    async (place) => {
      const topics = { t: { partitions: 2, retentionMs: 5 } } as const
      const log = await place.open({ topics })
      const again = await place.reopen(log, { topics })
      assert.deepEqual(await alterationsOf(again as unknown as Log), [])
      const third = await place.reopen(again, { topics: { t: {} } })
      assert.deepEqual(await alterationsOf(third as unknown as Log), [])
      assert.equal((await third.describeTopic('t')).partitions.length, 2)
    },
  )

  const named = (name: string): Serializer => ({
    name,
    serialize: (value) => Buffer.from(String(value)),
    deserialize: String,
  })
  const MISFITS: readonly (readonly [string, TopicDeclaration, RegExp])[] = [
    ['fewer partitions', { partitions: 1 }, /2 partitions.*declared with 1/],
    ['another serializer', { value: 'string' }, /'json'.*'string'/],
    ["a serializer of one's own", { value: named('mine') }, /'json'.*'mine'/],
    ['another key type', { key: 'bytes' }, /'string'.*'bytes'/],
  ]
  for (const [what, misfit, message] of MISFITS) {
    onDiskAndInMemory(`with ${what} is TOPIC_MISMATCH, with nothing changed`, async (place) => {
      const log = await place.open({ topics: { t: { partitions: 2, value: 'json' } } })
      await log.close()
      const before = place.readFile('brokerless.json')
      const refused = await codeOf(
        place.open({
          topics: { added: {}, t: { retentionMs: 9, ...misfit } } as Record<
            string,
            TopicDeclaration
          >,
        }),
      )
      assert.equal(refused.code, 'TOPIC_MISMATCH')
      assert.match(refused.message, message)
      assert.ok(await place.exists(MARKER), 'the clean marker is still there')
      assert.deepEqual(place.readFile('brokerless.json'), before)
      assert.equal(await place.exists('added-0'), false)
      const again = await place.open()
      assert.equal(again.recovery.clean, true)
      assert.deepEqual(again.topics(), ['t'])
    })
  }

  onDiskAndInMemory('is served with what is stored where it is not declared', async (place) => {
    const log = await place.open({ topics: { t: { value: 'json', partitions: 2 } } })
    await log.produce('t', { value: { a: 1 }, partition: 1 })
    const again = await place.reopen(log, {})
    const { records } = await again.fetch('t', { partition: 1, offset: 0 })
    assert.deepEqual(
      records.map(({ value }) => value),
      [{ a: 1 }],
    )
    await again.produce('t', { value: { a: 2 }, partition: 1 })
  })

  onDiskAndInMemory(
    "with a serializer of one's own is served as bytes where that is not given",
    async (place) => {
      const log = await place.open({ topics: { t: { value: named('mine') } } })
      await log.produce('t', { value: 'abc' })
      const again = await place.reopen(log, {})
      assert.equal((await again.describeTopic('t')).serializer, 'mine', 'the stored name')
      const { records } = await again.fetch('t', { partition: 0, offset: 0 })
      assert.deepEqual(
        records.map(({ value }) => value),
        [Buffer.from('abc')],
      )
      const third = await place.reopen(again, { topics: { t: { value: named('mine') } } })
      const page = await third.fetch('t', { partition: 0, offset: 0 })
      assert.deepEqual(
        page.records.map(({ value }) => value),
        ['abc'],
      )
    },
  )
})

suite('altering a topic', () => {
  onDiskAndInMemory(
    'changes what is given and nothing else, at once and for good',
    async (place) => {
      const log = await place.open({ topics: { t: { segmentMs: 77 } } })
      await log.alterTopic('t', { maxMessageBytes: 200, durability: 'os' })
      const expected = { ...DEFAULTS, segmentMs: 77, maxMessageBytes: 200, durability: 'os' }
      assert.deepEqual((await log.describeTopic('t')).config, expected)
      await assert.rejects(log.produce('t', { value: 'x'.repeat(300) }), {
        code: 'MESSAGE_TOO_LARGE',
      })
      assert.equal((await log.produce('t', { value: 'x' })).durability, 'os')
      const again = await place.reopen(log, {})
      assert.deepEqual((await again.describeTopic('t')).config, expected)
    },
  )

  onDiskAndInMemory(
    'with misuse or of a topic that is not there changes nothing',
    async (place) => {
      const log = await place.open({ topics: { t: {} } })
      const alter = (config: object): Promise<void> => log.alterTopic('t', config)
      await assert.rejects(alter({ retentionMs: -2, segmentMs: 5 }), RangeError)
      await assert.rejects(alter({ partitions: 3 }), TypeError)
      await assert.rejects(alter({ retentionMS: 3 }), /did you mean retentionMs/)
      await assert.rejects(log.alterTopic('u' as 't', { retentionMs: 3 }), {
        code: 'UNKNOWN_TOPIC',
      })
      assert.deepEqual((await log.describeTopic('t')).config, DEFAULTS)
    },
  )

  onDiskAndInMemory('that the disk refuses leaves it as it was', async (place) => {
    const log = await place.open({ topics: { t: {} } })
    place.fileSystem.rule = ({ path }) =>
      path.includes('brokerless.json') ? systemError('ENOSPC') : undefined
    await assert.rejects(log.alterTopic('t', { segmentMs: 5 }), {
      code: 'DISK_FULL',
      retryable: true,
    })
    place.fileSystem.rule = undefined
    assert.equal((await log.describeTopic('t')).config.segmentMs, DEFAULTS.segmentMs)
    await log.alterTopic('t', { segmentMs: 5 })
    assert.equal((await log.describeTopic('t')).config.segmentMs, 5)
  })
})

suite('adding partitions', () => {
  onDiskAndInMemory(
    'raises their number, and readers and writers see the new ones',
    async (place) => {
      const log = await place.open({ topics: { t: {} } })
      await log.produce('t', { value: 'first' })
      await log.addPartitions('t', 3)
      assert.equal((await log.produce('t', { value: 'third', partition: 2 })).offset, 0)
      const again = await place.reopen(log, {})
      const ends = (await again.describeTopic('t')).partitions.map(
        ({ logEndOffset }) => logEndOffset,
      )
      assert.deepEqual(ends, [1, 0, 1])
    },
  )

  onDiskAndInMemory(
    'to as many as there are changes nothing; to fewer is refused',
    async (place) => {
      const log = await place.open({ topics: { t: { partitions: 2 } } })
      await log.addPartitions('t', 2)
      await assert.rejects(log.addPartitions('t', 1), RangeError)
      await assert.rejects(log.addPartitions('t', 2.5), RangeError)
      await assert.rejects(log.addPartitions('t', '3' as unknown as number), TypeError)
      await assert.rejects(log.addPartitions('u' as 't', 2), { code: 'UNKNOWN_TOPIC' })
      assert.equal((await log.describeTopic('t')).partitions.length, 2)
    },
  )
})

suite('deleting a topic', () => {
  onDiskAndInMemory('takes its records, its directories and its name away', async (place) => {
    const log = await place.open({ topics: { t: { partitions: 2 }, kept: {} } })
    await log.produce('t', [
      { value: 1, partition: 0 },
      { value: 2, partition: 1 },
    ])
    await log.deleteTopic('t')
    assert.deepEqual(log.topics(), ['kept'])
    assert.deepEqual(
      (await place.list()).filter((name) => /^t-|delete/.test(name)),
      [],
    )
    await assert.rejects(log.produce('t', { value: 1 }), { code: 'UNKNOWN_TOPIC' })
    await assert.rejects(log.fetch('t', { partition: 0, offset: 0 }), { code: 'UNKNOWN_TOPIC' })
    await assert.rejects(log.describeTopic('t'), { code: 'UNKNOWN_TOPIC' })
    await assert.rejects(log.deleteTopic('t'), { code: 'UNKNOWN_TOPIC' })
    const again = await place.reopen(log, {})
    assert.deepEqual(again.topics(), ['kept'])
  })

  onDiskAndInMemory(
    'lets its name be created again, empty, from offset 0, with another id',
    async (place) => {
      const log = await place.open({ topics: { t: { value: 'json' } } })
      await log.produce('t', [{ value: 1 }, { value: 2 }])
      const { topicId } = await log.describeTopic('t')
      await log.deleteTopic('t')
      await log.createTopic('t', { value: 'string', partitions: 2 })
      assert.notEqual((await log.describeTopic('t')).topicId, topicId)
      assert.deepEqual(await log.offsets('t', 0), { earliest: 0, latest: 0, lastStable: 0 })
      const { offset } = await log.produce('t', { value: 'new', partition: 0 })
      assert.equal(offset, 0)
      const again = await place.reopen(log, {})
      const { records } = await again.fetch('t', { partition: 0, offset: 0 })
      assert.deepEqual(
        records.map(({ value }) => value),
        ['new'],
      )
    },
  )

  onDiskAndInMemory(
    'takes the offsets that groups have committed for it, and no others',
    async (place) => {
      const log = await place.open({ topics: { t: {}, kept: {} } })
      for (const topic of ['t', 'kept'] as const) {
        await log.produce(topic, { value: 1 })
        await log.commitOffset('g', { topic, partition: 0, offset: 1 })
      }
      await log.deleteTopic('t')
      const kept = async (from: Pick<Log, 'committedOffsets'>): Promise<unknown> =>
        (await from.committedOffsets('g')).map(({ topic, partition, offset }) => [
          topic,
          partition,
          offset,
        ])
      assert.deepEqual(await kept(log), [['kept', 0, 1]])
      await log.createTopic('t')
      assert.deepEqual(await kept(log), [['kept', 0, 1]])
      const again = await place.reopen(log, {})
      assert.deepEqual(await kept(again), [['kept', 0, 1]])
    },
  )

  onDiskAndInMemory('rejects a fetch that waits on it with UNKNOWN_TOPIC', async (place) => {
    const log = await place.open({ topics: { t: {} } })
    const waiting = log.fetch('t', { partition: 0, offset: 0, maxWaitMs: 60_000 })
    const outcome = assert.rejects(waiting, { code: 'UNKNOWN_TOPIC' })
    await log.deleteTopic('t')
    await outcome
  })

  onDiskAndInMemory(
    'settles the calls that are under way, each one way or the other',
    async (place) => {
      const log = await place.open({ topics: { t: {} } })
      const calls = Array.from({ length: 20 }, (_, n) => log.produce('t', { value: n }))
      const [outcomes] = await Promise.all([Promise.allSettled(calls), log.deleteTopic('t')])
      for (const outcome of outcomes) {
        if (outcome.status === 'fulfilled') continue
        assert.equal((outcome.reason as LogError).code, 'UNKNOWN_TOPIC')
      }
      assert.deepEqual(log.topics(), [])
    },
  )

  onDiskAndInMemory('can be done again where the disk had refused it', async (place) => {
    const log = await place.open({ topics: { t: {} } })
    await log.produce('t', { value: 1 })
    place.fileSystem.rule = ({ path }) =>
      path.includes('brokerless.json') ? systemError('ENOSPC') : undefined
    await assert.rejects(log.deleteTopic('t'), { code: 'DISK_FULL', retryable: true })
    place.fileSystem.rule = undefined
    const { records } = await log.fetch('t', { partition: 0, offset: 0 })
    assert.equal(records.length, 1)
    await log.deleteTopic('t')
    assert.deepEqual(log.topics(), [])
  })
})

suite('a topic that is not there', () => {
  onDiskAndInMemory('is UNKNOWN_TOPIC to every call', async (place) => {
    const log = await place.open()
    const calls = [
      log.produce('t', { value: 1 }),
      log.produce('t', []),
      log.fetch('t', { partition: 0, offset: 0 }),
      log.offsets('t', 0),
      log.offsetForTimestamp('t', { partition: 0, timestamp: 0 }),
      log.deleteRecords('t', { partition: 0, before: 0 }),
      log.addPartitions('t', 2),
    ]
    for (const call of calls)
      await assert.rejects(call, { name: 'LogError', code: 'UNKNOWN_TOPIC' })
    assert.deepEqual(log.topics(), [])
  })

  onDiskAndInMemory(
    'is created when it is first produced to, where autoCreateTopics says so',
    async (place) => {
      const log = await place.open({ autoCreateTopics: true })
      const [first, second] = await Promise.all([
        log.produce('t', { value: 'a' }),
        log.produce('t', { value: 'b' }),
      ])
      assert.deepEqual([first.offset, second.offset], [0, 1])
      assert.deepEqual(log.topics(), ['t'])
      await assert.rejects(log.fetch('u', { partition: 0, offset: 0 }), { code: 'UNKNOWN_TOPIC' })
      assert.deepEqual(log.topics(), ['t'])
    },
  )

  onDiskAndInMemory('is not created by a call with misuse', async (place) => {
    const log = await place.open({ autoCreateTopics: true })
    await assert.rejects(log.produce('a b', { value: 1 }), RangeErrorOrTypeError)
    await assert.rejects(log.produce('t', { value: 1, partition: 7 }), {
      code: 'UNKNOWN_PARTITION',
    })
    await assert.rejects(log.produce('t', { value: undefined }), TypeError)
    await assert.rejects(log.produce('t', { value: 1 }, { durable: true } as object), TypeError)
    assert.deepEqual(log.topics(), [])
  })
})

const RangeErrorOrTypeError = (error: unknown): boolean =>
  error instanceof TypeError || error instanceof RangeError

suite('a partition that is not there', () => {
  onDiskAndInMemory('is UNKNOWN_PARTITION to every call', async (place: Place) => {
    const log = await place.open({ topics: { t: { partitions: 2 } } })
    const calls = [
      log.produce('t', { value: 1, partition: 2 }),
      log.produce('t', { value: 1 }, { partition: 2 }),
      log.produce('t', { value: 1, partition: 0 }, { partition: 2 }),
      log.produce('t', [{ value: 1, partition: 0 }], { partition: 2 }),
      log.produce('t', [], { partition: 2 }),
      log.fetch('t', { partition: 2, offset: 0 }),
      log.offsets('t', 2),
      log.offsetForTimestamp('t', { partition: 2, timestamp: 0 }),
      log.deleteRecords('t', { partition: 2, before: 0 }),
    ]
    for (const call of calls)
      await assert.rejects(call, { name: 'LogError', code: 'UNKNOWN_PARTITION' })
  })
})

suite('the internal topic', () => {
  const INTERNAL = '__consumer_offsets'

  onDiskAndInMemory('is described, not listed, and changed by no call', async (place) => {
    const log = (await place.open({ topics: { t: {} } })) as unknown as Log
    await log.commitOffset('g', { topic: 't', partition: 0, offset: 0 })
    const changes: Record<string, () => Promise<unknown>> = {
      create: () => log.createTopic(INTERNAL, { partitions: 50 }),
      alter: () => log.alterTopic(INTERNAL, { retentionMs: 1 }),
      add: () => log.addPartitions(INTERNAL, 50),
      shorten: () => log.deleteRecords(INTERNAL, { partition: 0, before: 1 }),
      produce: () => log.produce(INTERNAL, { value: new Uint8Array(1) }),
      delete: () => log.deleteTopic(INTERNAL),
    }
    for (const [name, change] of Object.entries(changes)) {
      await assert.rejects(change(), TypeError, name)
    }
    assert.deepEqual(log.topics(), ['t'])
    const { internal, partitions } = await log.describeTopic(INTERNAL)
    assert.deepEqual({ internal, partitions: partitions.length }, { internal: true, partitions: 1 })
    await log.close()
    const again = await place.open()
    assert.equal((await again.committedOffsets('g')).length, 1)
  })

  onDiskAndInMemory('is not declared', async (place) => {
    await assert.rejects(place.open({ topics: { [INTERNAL]: { partitions: 50 } } }), TypeError)
  })
})
