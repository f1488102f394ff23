// Records as they are read, serializers, and the types that declarations give.
import assert from 'node:assert/strict'
import { suite } from 'node:test'
import { inspect } from 'node:util'
import type {
  Log,
  LogRecord,
  RecordHeaders,
  Serializer,
  StandardSchemaV1,
  TopicDeclaration,
  TopicType,
} from '../../src/index.ts'
import { bytes, DecodeError, json, msgpack, string } from '../../src/index.ts'
import type { Place } from '../support/on-disk-and-in-memory.ts'
import { onDiskAndInMemory } from '../support/on-disk-and-in-memory.ts'

const START = { partition: 0, offset: 0 } as const

/** All records of partition 0. */
async function readAll(log: unknown, topic = 't'): Promise<LogRecord[]> {
  const records: LogRecord[] = []
  const stream = (log as Log).read(topic, { partition: 0, until: 'end' })
  for await (const record of stream) records.push(record)
  return records
}

/** What comes back for a value, read from memory and, after a reopen, from the files. */
async function thereAndBack(
  place: Place,
  declaration: TopicDeclaration,
  values: readonly unknown[],
): Promise<unknown[]> {
  const topics = { t: declaration }
  const log = (await place.open({ topics })) as unknown as Log
  await log.produce(
    't',
    values.map((value) => ({ value })),
  )
  const warm = (await readAll(log)).map(({ value }) => value)
  const again = await place.reopen(log, { topics })
  const cold = (await readAll(again)).map(({ value }) => value)
  assert.deepEqual(cold, warm)
  return warm
}

suite('values', () => {
  const PLAIN = [0, -1, 1.5, 'text', '', 'ä€😀', true, false, [1, [2]], { a: { b: null } }, [], {}]

  onDiskAndInMemory('of MessagePack come back as they were', async (place) => {
    const values = [...PLAIN, new Date(5), 2n ** 60n, { a: undefined }, Buffer.from([1, 2])]
    assert.deepEqual(await thereAndBack(place, {}, values), values)
  })

  onDiskAndInMemory('of json come back as they were', async (place) => {
    assert.deepEqual(await thereAndBack(place, { value: 'json' }, PLAIN), PLAIN)
  })

  onDiskAndInMemory('of string come back as they were', async (place) => {
    const values = ['text', '', 'ä€😀', 'x'.repeat(100_000)]
    assert.deepEqual(await thereAndBack(place, { value: 'string' }, values), values)
  })

  onDiskAndInMemory('of bytes come back as a Buffer', async (place) => {
    const values = [Buffer.from('abc'), Buffer.alloc(0), Buffer.alloc(100_000, 7)]
    assert.deepEqual(await thereAndBack(place, { value: 'bytes' }, values), values)
  })

  onDiskAndInMemory('that are null are tombstones, with every serializer', async (place) => {
    for (const value of [msgpack, json, string as Serializer, bytes as Serializer]) {
      const log = await place.open()
      await log.createTopic(value.name, { value })
      await log.produce(value.name, { key: 'k', value: null })
      const [record] = await readAll(log, value.name)
      assert.equal(record?.value, null)
      assert.equal(record?.key, 'k')
      await log.close()
    }
  })

  onDiskAndInMemory("of a serializer of one's own are what that makes of them", async (place) => {
    const point: Serializer<{ x: number; y: number }> = {
      name: 'point',
      serialize: ({ x, y }) => Buffer.from([x, y]),
      deserialize: (view) => ({ x: view.readUInt8(0), y: view.readUInt8(1) }),
    }
    const values = [
      { x: 1, y: 2 },
      { x: 255, y: 0 },
    ]
    assert.deepEqual(await thereAndBack(place, { value: point }, values), values)
  })

  onDiskAndInMemory('that a serializer makes no bytes of are refused', async (place) => {
    const broken = {
      name: 'broken',
      serialize: () => 'text',
      deserialize: String,
    } as unknown as Serializer
    const log = await place.open({
      topics: {
        t: { value: broken },
        s: { value: 'string' },
        b: { value: 'bytes' },
        j: { value: 'json' },
      },
    })
    const untyped = log as unknown as Log
    await assert.rejects(untyped.produce('t', { value: 1 }), /broken/)
    await assert.rejects(untyped.produce('s', { value: 1 }), TypeError)
    await assert.rejects(untyped.produce('s', { value: '\ud800' }), TypeError)
    await assert.rejects(untyped.produce('b', { value: 'text' }), TypeError)
    await assert.rejects(untyped.produce('j', { value: () => 1 }), TypeError)
  })
})

suite('keys', () => {
  onDiskAndInMemory('come back as what they went in, null where there was none', async (place) => {
    const log = await place.open({ topics: { t: {}, b: { key: 'bytes' } } })
    const strings = ['k', '', 'ä€😀', 'x'.repeat(5000), null]
    await log.produce(
      't',
      strings.map((key) => ({ key, value: 0 })),
    )
    await log.produce('t', { value: 0 })
    assert.deepEqual(
      (await readAll(log)).map(({ key }) => key),
      [...strings, null],
    )
    const buffers = [Buffer.from([0, 255]), Buffer.alloc(0), new Uint8Array([1]), null]
    await log.produce(
      'b',
      buffers.map((key) => ({ key, value: 0 })),
    )
    const read = (await readAll(log, 'b')).map(({ key }) => key)
    assert.deepEqual(
      read,
      buffers.map((key) => (key === null ? null : Buffer.from(key))),
    )
  })
})

suite('headers', () => {
  onDiskAndInMemory(
    'are strings, bytes or null, and one that repeats comes back as an array',
    async (place) => {
      const log = await place.open({ topics: { t: {} } })
      const headers: RecordHeaders = {
        text: 'ä',
        bytes: new Uint8Array([1, 2]),
        none: null,
        empty: '',
        many: ['a', null, Buffer.from('b')],
        one: ['single'],
        '': 'no name',
      }
      await log.produce('t', [{ value: 1, headers }, { value: 2 }, { value: 3, headers: {} }])
      const [first, second, third] = await readAll(log)
      assert.deepEqual(
        { ...first?.headers },
        {
          text: Buffer.from('ä'),
          bytes: Buffer.from([1, 2]),
          none: null,
          empty: Buffer.alloc(0),
          many: [Buffer.from('a'), null, Buffer.from('b')],
          one: Buffer.from('single'),
          '': Buffer.from('no name'),
        },
      )
      assert.deepEqual(Object.keys(second?.headers ?? { x: 0 }), [])
      assert.deepEqual(Object.keys(third?.headers ?? { x: 0 }), [])
    },
  )

  onDiskAndInMemory('may have any name', async (place) => {
    const log = await place.open({ topics: { t: {} } })
    const headers = JSON.parse(
      '{"__proto__":"a","constructor":"b","toString":"c"}',
    ) as RecordHeaders
    await log.produce('t', { value: 1, headers })
    const [record] = await readAll(log)
    const entries = Object.entries(record?.headers ?? {}).map(([name, value]) => [
      name,
      String(value),
    ])
    assert.deepEqual(entries.sort(), [
      ['__proto__', 'a'],
      ['constructor', 'b'],
      ['toString', 'c'],
    ])
  })
})

suite('timestamps', () => {
  onDiskAndInMemory("are the record's, or the clock's where it has none", async (place) => {
    const log = await place.open({ topics: { t: {} } })
    const now = place.clock.now()
    await log.produce('t', [{ value: 1, timestamp: 5 }, { value: 2 }, { value: 3, timestamp: 0 }])
    await place.clock.advance(250)
    await log.produce('t', { value: 4 })
    assert.deepEqual(
      (await readAll(log)).map(({ timestamp }) => timestamp),
      [5, now, 0, now + 250],
    )
  })

  onDiskAndInMemory(
    "are the log's in a topic of LogAppendTime, whatever the record says",
    async (place) => {
      const log = await place.open({ topics: { t: { timestampType: 'LogAppendTime' } } })
      const now = place.clock.now()
      const ack = await log.produce('t', { value: 1, timestamp: 5 })
      assert.equal(ack.timestamp, now)
      await place.clock.advance(100)
      await log.produce('t', [{ value: 2, timestamp: 6 }, { value: 3 }])
      assert.deepEqual(
        (await readAll(log)).map(({ timestamp }) => timestamp),
        [now, now + 100, now + 100],
      )
      assert.equal(await log.offsetForTimestamp('t', { partition: 0, timestamp: now + 1 }), 1)
      const again = await place.reopen(log, {})
      assert.deepEqual(
        (await readAll(again)).map(({ timestamp }) => timestamp),
        [now, now + 100, now + 100],
      )
    },
  )

  onDiskAndInMemory('keep their meaning where the topic changes it', async (place) => {
    const log = await place.open({ topics: { t: {} } })
    const now = place.clock.now()
    await log.produce('t', { value: 1, timestamp: 5 })
    await log.alterTopic('t', { timestampType: 'LogAppendTime' })
    await log.produce('t', { value: 2, timestamp: 6 })
    await log.alterTopic('t', { timestampType: 'CreateTime' })
    await log.produce('t', { value: 3, timestamp: 7 })
    assert.deepEqual(
      (await readAll(log)).map(({ timestamp }) => timestamp),
      [5, now, 7],
    )
  })
})

suite('a record', () => {
  const DECLARATIONS: readonly (readonly [string, TopicDeclaration, unknown])[] = [
    ['whose value is decoded', { value: 'json' }, { a: 1 }],
    ['whose value is bytes', { value: 'bytes' }, Buffer.from('v')],
  ]
  for (const [what, declaration, value] of DECLARATIONS) {
    const fields = (timestamp: number): object => ({
      topic: 't',
      partition: 0,
      offset: 0,
      timestamp,
      key: 'k',
      value,
      headers: { h: Buffer.from('x') },
    })
    const one = async (place: Place): Promise<LogRecord> => {
      const log = (await place.open({ topics: { t: declaration } })) as unknown as Log
      await log.produce('t', { key: 'k', value, headers: { h: 'x' }, timestamp: 5 })
      const [record] = (await log.fetch('t', START)).records
      assert.ok(record !== undefined)
      return record
    }

    onDiskAndInMemory(`${what} shows its fields to spread, keys and entries`, async (place) => {
      const record = await one(place)
      assert.deepEqual({ ...record }, fields(5))
      assert.deepEqual(Object.keys(record).sort(), Object.keys(fields(5)).sort())
      assert.deepEqual(Object.fromEntries(Object.entries(record)), fields(5))
    })

    onDiskAndInMemory(`${what} shows its fields to JSON.stringify`, async (place) => {
      assert.deepEqual(
        JSON.parse(JSON.stringify(await one(place))),
        JSON.parse(JSON.stringify(fields(5))),
      )
    })

    onDiskAndInMemory(`${what} shows its fields to console.log`, async (place) => {
      const shown = inspect(await one(place))
      for (const part of [
        "topic: 't'",
        'offset: 0',
        'timestamp: 5',
        "key: 'k'",
        `value: ${inspect(value)}`,
        '<Buffer 78>',
      ]) {
        assert.ok(shown.includes(part), `${part} in ${shown}`)
      }
      assert.doesNotMatch(shown, /Getter/)
    })

    onDiskAndInMemory(`${what} is deepEqual to the same one, and to no other`, async (place) => {
      const first = await one(place)
      assert.deepEqual(first, first.detach())
      assert.notDeepEqual({ ...first, value: 'other' }, first)
    })

    onDiskAndInMemory(`${what} has bytes of its own once it is detached`, async (place) => {
      const record = await one(place)
      const own = record.detach()
      assert.deepEqual({ ...own }, { ...record })
      const [shared, copy] = [record.headers['h'], own.headers['h']] as [Buffer, Buffer]
      assert.notEqual(copy.buffer, shared.buffer)
      assert.equal(copy.buffer.byteLength, copy.length)
      assert.deepEqual({ ...own.detach() }, { ...record })
    })
  }

  onDiskAndInMemory(
    'that was fetched twice is deepEqual to itself, and not to one of another value',
    async (place) => {
      const log = await place.open({ topics: { t: {}, u: {} } })
      const timestamp = 5
      await log.produce('t', { value: { a: 1 }, timestamp })
      await log.produce('u', { value: { a: 2 }, timestamp })
      const fetched = async (topic: 't' | 'u'): Promise<LogRecord | undefined> =>
        (await log.fetch(topic, START)).records[0]
      assert.deepEqual(await fetched('t'), await fetched('t'))
      assert.notDeepEqual(
        { ...(await fetched('t')), topic: 'x' },
        { ...(await fetched('u')), topic: 'x' },
      )
    },
  )

  onDiskAndInMemory('is decoded when its value is first asked for, and once', async (place) => {
    let decoded = 0
    const counting: Serializer<string> = {
      name: 'counting',
      serialize: (value) => Buffer.from(value),
      deserialize: (view) => {
        decoded += 1
        return view.toString()
      },
    }
    const log = await place.open({ topics: { t: { value: counting } } })
    await log.produce('t', [{ value: 'a' }, { value: 'b' }])
    const { records } = await log.fetch('t', START)
    assert.equal(decoded, 0)
    assert.equal(records[1]?.value, 'b')
    assert.equal(records[1]?.value, 'b')
    assert.equal(decoded, 1)
  })

  onDiskAndInMemory(
    'that cannot be decoded throws a DecodeError when its value is asked for, and not before',
    async (place) => {
      const cause = new Error('as it wants')
      const picky: Serializer<string> = {
        name: 'picky',
        serialize: (value) => Buffer.from(value),
        deserialize: (view) => {
          if (view.toString() === 'bad') throw cause
          return view.toString()
        },
      }
      const log = await place.open({ topics: { t: { value: picky, partitions: 2 } } })
      await log.produce(
        't',
        ['good', 'bad', 'good'].map((value) => ({ value, partition: 1 })),
      )
      const { records, nextOffset } = await log.fetch('t', { partition: 1, offset: 0 })
      assert.equal(nextOffset, 3)
      assert.deepEqual(
        records.map(({ offset }) => offset),
        [0, 1, 2],
      )
      assert.deepEqual([records[0]?.value, records[2]?.value], ['good', 'good'])
      for (const record of [records[1], records[1]?.detach()]) {
        assert.throws(
          () => record?.value,
          (error: unknown) => {
            assert.ok(error instanceof DecodeError)
            const { code, topic, partition, offset } = error
            assert.deepEqual([code, topic, partition, offset], ['DECODE_FAILED', 't', 1, 1])
            assert.equal(error.cause, cause)
            return true
          },
        )
        assert.match(inspect(record), /DecodeError/, 'console.log shows it, and does not throw')
      }
    },
  )
})

suite('a raw log', () => {
  type Bytes = TopicType<Uint8Array, Buffer, Uint8Array>
  const picky: Serializer<string> = {
    name: 'picky',
    serialize: (value) => Buffer.from(`<${value}>`),
    deserialize: () => {
      throw new Error('never asked')
    },
  }
  const never: StandardSchemaV1 = {
    '~standard': { version: 1, vendor: 'test', validate: () => ({ issues: [{ message: 'no' }] }) },
  }

  onDiskAndInMemory('hands out the bytes that are stored, and takes them', async (place) => {
    const log = await place.open({
      topics: { j: { value: 'json' }, m: {}, p: { value: picky, key: 'bytes' } },
    })
    await log.produce('j', { key: 'ä', value: { a: 1 } })
    await log.produce('m', { key: 'k', value: [1] })
    await log.produce('p', { key: Buffer.from([0xff]), value: 'x' })
    const raw = await place.reopen<{ j: Bytes; m: Bytes; p: Bytes }>(log as unknown as Log, {
      raw: true,
    })
    const stored = { j: '{"a":1}', m: '\x91\x01', p: '<x>' }
    for (const [topic, value] of Object.entries(stored)) {
      const name = topic as keyof typeof stored
      const [record] = (await raw.fetch(name, START)).records
      assert.ok(record)
      assert.deepEqual(record.value, Buffer.from(value, 'latin1'))
      assert.ok(Buffer.isBuffer(record.key))
      await raw.produce(name, record)
    }
    assert.equal((await raw.describeTopic('j')).serializer, 'json')
    assert.equal((await raw.describeTopic('j')).key, 'string')
    const again = (await place.reopen(raw as unknown as Log, {})) as unknown as Log
    for (const topic of ['j', 'm']) {
      const [first, second] = await readAll(again, topic)
      assert.deepEqual([second?.key, second?.value], [first?.key, first?.value])
    }
  })

  onDiskAndInMemory(
    'asks no schema and no partitioner, and creates topics as bytes',
    async (place) => {
      const log = (await place.open({
        raw: true,
        autoCreateTopics: true,
        topics: { t: { value: 'json', schema: never, partitioner: () => 9 } },
      })) as unknown as Log<{ t: Bytes; made: Bytes }>
      const record = { key: Buffer.from('k'), value: Buffer.from('{}') }
      await log.produce('t', record)
      await log.produce('made', record)
      const { key, serializer } = await log.describeTopic('made')
      assert.deepEqual([key, serializer], ['bytes', 'bytes'])
      // @ts-expect-error: values are bytes
      await assert.rejects(log.produce('t', { value: {} }), TypeError)
    },
  )
})

suite('the types of a log', () => {
  interface Order {
    readonly id: string
    readonly amount: number
  }
  const order: StandardSchemaV1<{ id: string; amount: string }, Order> = {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: (value) => {
        const { id, amount } = value as { id: string; amount: string }
        return { value: { id, amount: Number(amount) } }
      },
    },
  }

  onDiskAndInMemory('are inferred from the declarations', async (place) => {
    const log = await place.open({
      topics: {
        orders: { value: order },
        raw: { key: 'bytes', value: 'bytes' },
        text: { value: 'string' },
      },
    })
    await log.produce('orders', { key: 'o-1', value: { id: 'o-1', amount: '7' } })
    const [read] = (await log.fetch('orders', START)).records
    const amount: number | undefined = read?.value?.amount
    assert.equal(amount, 7)
    await log.produce('raw', { key: Buffer.from('k'), value: Buffer.from('v') })
    const [raw] = (await log.fetch('raw', START)).records
    const key: Uint8Array | null | undefined = raw?.key
    assert.deepEqual(key, Buffer.from('k'))
    await log.produce('text', { value: 'abc' })
    for await (const record of log.read('text', { until: 'end' })) {
      const text: string | null = record.value
      assert.equal(text, 'abc')
    }
    const value = { id: 'o', amount: '1' }
    // @ts-expect-error: values of orders have an id
    await log.produce('orders', { value: { amount: '7' } })
    // @ts-expect-error: values of text are strings
    await assert.rejects(log.produce('text', { value: 7 }), TypeError)
    // @ts-expect-error: keys of orders are strings
    await assert.rejects(log.produce('orders', { key: 7, value }), TypeError)
    // @ts-expect-error: there is no such topic
    await assert.rejects(log.produce('nothing', { value: 7 }), { code: 'UNKNOWN_TOPIC' })
  })

  onDiskAndInMemory('may be given by an interface', async (place) => {
    interface Topics {
      orders: Order
      counts: number
    }
    const log = await place.open<Topics>({ topics: { orders: {}, counts: { value: 'json' } } })
    await log.produce('orders', { key: 'k', value: { id: 'a', amount: 1 } })
    const [read] = (await log.fetch('orders', START)).records
    const id: string | undefined = read?.value?.id
    assert.equal(id, 'a')
    // @ts-expect-error: counts are numbers
    await log.produce('counts', { value: 'many' })
    // @ts-expect-error: there is no such topic
    await assert.rejects(log.fetch('nothing', START), { code: 'UNKNOWN_TOPIC' })
  })
})
