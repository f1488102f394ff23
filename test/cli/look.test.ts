// topics, describe, groups: what there is in a directory.
import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { suite, test } from 'node:test'
import { encodeGroupMetadata } from '../../src/groups/group-metadata-format.ts'
import {
  encodeGroupKey,
  encodeOffsetKey,
  encodeOffsetValue,
} from '../../src/groups/offset-format.ts'
import { Gathering, ran } from '../support/command-line.ts'
import type { LogAndCommands } from '../support/command-line-log.ts'
import { logAndCommands } from '../support/command-line-log.ts'
import type { FixtureSet } from '../support/fixtures.ts'
import { fixtureDirectory, loadExpected } from '../support/fixtures.ts'

async function filled(): Promise<LogAndCommands> {
  const given = logAndCommands()
  const topics = {
    orders: { value: 'json', partitions: 2, retentionMs: 1000, segmentBytes: 1024 },
    mail: { value: 'bytes', key: 'bytes', cleanupPolicy: 'compact' },
  } as const
  await given.fill({ topics }, async (log) => {
    for (let n = 0; n < 20; n += 1) {
      await log.produce('orders', { value: { n, text: 'x'.repeat(100) }, partition: 1 })
    }
    await log.deleteRecords('orders', { partition: 1, before: 3 })
    await log.commitOffset('billing', [
      { topic: 'orders', partition: 1, offset: 5, metadata: 'note' },
      { topic: 'orders', partition: 0, offset: 0 },
    ])
    await log.commitOffset('a\nb', { topic: 'orders', partition: 1, offset: 20 })
    await given.clock.advance(61_000)
  })
  return given
}

suite('topics', () => {
  test('lists the topics in a table', async () => {
    const { run } = await filled()
    assert.deepEqual(await run(['topics']), {
      exitCode: 0,
      stdout: [
        'TOPIC   PARTITIONS  RECORDS     SIZE  VALUES  CLEANUP',
        'mail             1        0      0 B  bytes   compact',
        'orders           2       17  3.7 KiB  json    delete',
        '',
      ].join('\n'),
      stderr: '',
    })
  })

  test('lists them as JSON, with --internal the one of committed offsets too', async () => {
    const { run } = await filled()
    const json = JSON.parse((await run(['topics', '--json', '--internal'])).stdout)
    assert.deepEqual(
      json.map(({ name, internal, partitions, records }: Record<string, unknown>) => {
        return [name, internal, partitions, records]
      }),
      [
        ['__consumer_offsets', true, 1, 3],
        ['mail', false, 1, 0],
        ['orders', false, 2, 17],
      ],
    )
    assert.deepEqual(Object.keys(json[0]), [
      'name',
      'internal',
      'partitions',
      'records',
      'sizeBytes',
      'serializer',
      'cleanupPolicy',
    ])
  })

  test('on a narrow terminal gives each topic a block', async () => {
    const { run } = await filled()
    const output = new Gathering(40)
    await run(['topics'], { output })
    assert.match(output.text, /^TOPIC {7}mail\nPARTITIONS {2}1\n[\s\S]*\n\nTOPIC {7}orders\n/)
  })

  test('leaves a directory as it is', async () => {
    const directory = fixtureDirectory('unclean')
    const before = await readdir(directory, { recursive: true })
    assert.equal((await ran(['topics', '--dir', directory])).exitCode, 0)
    assert.deepEqual(await readdir(directory, { recursive: true }), before)
  })
})

suite('describe', () => {
  test('tells the configuration and the partitions of a topic', async () => {
    const { run } = await filled()
    const { exitCode, stdout } = await run(['describe', 'orders'])
    assert.equal(exitCode, 0)
    assert.match(stdout, /^TOPIC {3}orders\nID {6}[\w-]{22}\nKEYS {4}string\nVALUES {2}json\n/)
    assert.match(stdout, /\nCONFIG {2}segmentBytes=1024 retentionMs=1000\n/)
    const [, rows] = stdout.split('\n\n')
    assert.equal(
      // Whether an empty partition has an epoch is for the log to say.
      rows?.replace(/^( +0 +0 +0 +)[-0]/m, '$10'),
      [
        'PARTITION  START  END  EPOCH  SEGMENTS     SIZE',
        '        0      0    0      0         1      0 B',
        '        1      3   20      0         4  3.7 KiB',
        '',
      ].join('\n'),
    )
  })

  test('tells of all topics, and as JSON all that there is to know', async () => {
    const { run } = await filled()
    const all = await run(['describe'])
    assert.equal(all.stdout.match(/^TOPIC /gm)?.length, 2)
    const [mail, orders] = JSON.parse((await run(['describe', '--json'])).stdout)
    assert.deepEqual([mail.name, mail.key, mail.config.cleanupPolicy], ['mail', 'bytes', 'compact'])
    assert.deepEqual(orders, JSON.parse((await run(['describe', 'orders', '--json'])).stdout))
    const { sizeBytes, writable: _, ...partition } = orders.partitions[1]
    assert.deepEqual(partition, {
      partition: 1,
      logStartOffset: 3,
      highWatermark: 20,
      logEndOffset: 20,
      segments: 4,
      leaderEpoch: 0,
    })
    assert.ok(sizeBytes > 3000)
  })

  test('hints at the topic that was probably meant', async () => {
    const { run } = await filled()
    const { exitCode, stderr } = await run(['describe', 'order'])
    assert.deepEqual(
      [exitCode, stderr],
      [1, "brokerless: there is no topic 'order'; did you mean orders?\n"],
    )
    assert.match(
      (await run(['describe', 'nothing-like-it'])).stderr,
      /`brokerless topics` lists those/,
    )
  })

  for (const set of [
    'plain',
    'segments',
    'delete-records',
    'unclean',
    'restarted',
  ] as FixtureSet[]) {
    test(`tells of a broker's directory ${set} what Kafka says of it`, async () => {
      const { topics } = await loadExpected(set)
      const args = ['describe', '--internal', '--json', '--dir', fixtureDirectory(set)]
      const described = JSON.parse((await ran(args)).stdout)
      for (const [name, { partitions }] of Object.entries(topics)) {
        const topic = described.find((each: { name: string }) => each.name === name)
        const ends = topic.partitions.map((each: Record<string, number>) => {
          return [each['logStartOffset'], each['logEndOffset'], each['leaderEpoch']]
        })
        const expected = partitions.map(({ logStartOffset, logEndOffset, batches }) => {
          return [logStartOffset, logEndOffset, batches.at(-1)?.partitionLeaderEpoch]
        })
        for (const [at, [start, end, epoch]] of expected.entries()) {
          assert.deepEqual(ends[at].slice(0, 2), [start, end], `${name}-${at}`)
          assert.ok(ends[at][2] >= (epoch ?? 0), `${name}-${at}`)
        }
      }
    })
  }
})

suite('groups', () => {
  test('lists the groups with their lag', async () => {
    const { run } = await filled()
    const { stdout } = await run(['groups'])
    assert.equal(
      stdout,
      [
        'GROUP    STATE  MEMBERS  PARTITIONS  LAG     BEHIND',
        'a\\nb     Empty        0           1    0       0 ms',
        'billing  Empty        0           2   15  1 min 1 s',
        '',
      ].join('\n'),
    )
    const [first] = JSON.parse((await run(['groups', '--json'])).stdout)
    assert.deepEqual(first, {
      group: 'a\nb',
      state: 'Empty',
      protocolType: '',
      members: 0,
      partitions: 1,
      lagRecords: 0,
      lagMs: 0,
    })
  })

  test('describes one', async () => {
    const { run } = await filled()
    assert.equal(
      (await run(['groups', 'billing'])).stdout,
      [
        'GROUP  billing',
        'STATE  Empty',
        'LAG    15 (1 min 1 s)',
        '',
        'TOPIC   PARTITION  OFFSET  END  LAG     BEHIND  METADATA',
        'orders          0       0    0    0       0 ms',
        'orders          1       5   20   15  1 min 1 s  note',
        '',
      ].join('\n'),
    )
    const document = JSON.parse((await run(['groups', 'billing', '--json'])).stdout)
    assert.deepEqual([document.lagRecords, document.lagMs], [15, 61_000])
    assert.deepEqual(document.offsets[1], {
      topic: 'orders',
      partition: 1,
      offset: 5,
      metadata: 'note',
      leaderEpoch: -1,
      commitTimestamp: document.offsets[0].commitTimestamp,
    })
    assert.deepEqual(document.partitions[1], {
      topic: 'orders',
      partition: 1,
      committedOffset: 5,
      logStartOffset: 3,
      endOffset: 20,
      lagRecords: 15,
      lagMs: 61_000,
    })
  })

  test('tells who has which partition, with nothing committed there or the partition gone', async () => {
    const { fill, run, fileSystem } = logAndCommands()
    const owned = { topic: 'orders', partitions: [0, 1] }
    const member = {
      memberId: 'm1',
      groupInstanceId: 'i1',
      clientId: 'shop',
      clientHost: '/127.0.0.1',
      rebalanceTimeoutMs: 1,
      sessionTimeoutMs: 1,
      subscription: undefined,
      assignment: { partitions: [owned], userData: null },
    }
    const value = encodeGroupMetadata({
      protocolType: 'consumer',
      generation: 3,
      protocol: 'range',
      leader: 'm1',
      currentStateTimestamp: 1,
      members: [member],
    })
    await fill({ topics: { o: { value: 'bytes' }, orders: { partitions: 3 } } }, async (log) => {
      for (const [partition, topic] of [
        [1, 'orders'],
        [2, 'orders'],
        [0, 'old'],
      ] as const) {
        const committed = { offset: 0, metadata: '', leaderEpoch: -1, commitTimestamp: 1 }
        const key = encodeOffsetKey('g', topic, partition).toString()
        await log.produce('o', { key, value: encodeOffsetValue(committed) })
      }
      await log.produce('o', { key: encodeGroupKey('g').toString(), value })
    })
    await fileSystem.rename('/data/o-0', '/data/__consumer_offsets-0')
    await fileSystem.unlink('/data/brokerless.json')
    assert.equal(
      (await run(['groups', 'g'])).stdout,
      [
        'GROUP       g',
        'STATE       Stable',
        'PROTOCOL    consumer',
        'ASSIGNOR    range',
        'GENERATION  3',
        'LAG         0 (0 ms)',
        '',
        'MEMBER  INSTANCE  CLIENT  HOST        ASSIGNED',
        'm1      i1        shop    /127.0.0.1  orders:0,1',
        '',
        'TOPIC   PARTITION  OFFSET  END  LAG  BEHIND  OWNER  METADATA',
        'orders          0       -    0    -       -  m1',
        'orders          1       0    0    0    0 ms  m1',
        'orders          2       0    0    0    0 ms  -',
        'old             0       0    -    -       -  -',
        '',
      ].join('\n'),
    )
  })

  test('says so of a group that is not there', async () => {
    const { run } = await filled()
    const { exitCode, stderr } = await run(['groups', 'biling'])
    assert.deepEqual(
      [exitCode, stderr],
      [1, "brokerless: there is no group 'biling'; did you mean billing?\n"],
    )
  })

  test('lists the others beside one whose metadata cannot be read', async () => {
    const { fill, run, fileSystem } = logAndCommands()
    const group = (name: string): string => `\0\u0002\0\u0004${name}`
    await fill({ topics: { o: { value: 'bytes' } } }, async (log) => {
      await log.produce('o', { key: group('bad!'), value: Buffer.from([0, 99]) })
      const empty = [
        0, 3, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
      ]
      await log.produce('o', { key: group('good'), value: Buffer.from(empty) })
    })
    await fileSystem.rename('/data/o-0', '/data/__consumer_offsets-0')
    await fileSystem.unlink('/data/brokerless.json')
    const listed = JSON.parse((await run(['groups', '--json'])).stdout)
    assert.deepEqual(
      listed.map((each: Record<string, unknown>) => [each['group'], each['state']]),
      [
        ['bad!', 'Unreadable'],
        ['good', 'Empty'],
      ],
    )
    const { exitCode, stderr } = await run(['groups', 'bad!'])
    assert.equal(exitCode, 1)
    assert.match(stderr, /^brokerless: __consumer_offsets-0, offset 0: the value cannot be decoded/)
  })

  test('tells of the groups of a broker what Kafka says of them', async () => {
    const { groups = {} } = await loadExpected('offsets')
    const dir = ['--dir', fixtureDirectory('offsets')]
    const listed = JSON.parse((await ran(['groups', '--json', ...dir])).stdout)
    for (const [group, expected] of Object.entries(groups)) {
      if (expected.type !== 'Classic') continue
      const known = listed.find((each: { group: string }) => each.group === group)
      assert.equal(known?.members, expected.members.length, group)
      const document = JSON.parse((await ran(['groups', group, '--json', ...dir])).stdout)
      const offsets = document.offsets.map(
        (each: { topic: string; partition: number; offset: number }) => {
          return [`${each.topic}-${each.partition}`, each.offset]
        },
      )
      const wanted = Object.entries(expected.offsets).map(([name, { offset }]) => [name, offset])
      assert.deepEqual(offsets.sort(), wanted.sort(), group)
    }
    const { stdout } = await ran(['groups', 'coop-live-1', ...dir])
    assert.match(stdout, /\nASSIGNOR {4}cooperative-sticky\n/)
    assert.match(stdout, /\nd1-[\w-]+ .* jobs:0,1,2,3\n/)
  })
})
