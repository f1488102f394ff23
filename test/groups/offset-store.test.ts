import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { LogError } from '../../src/errors.ts'
import { decodeFinished, encodeFinished } from '../../src/groups/consumer/run/finished-ranges.ts'
import {
  encodeGroupKey,
  encodeOffsetKey,
  encodeOffsetValue,
  offsetsPartitionFor,
} from '../../src/groups/offset-format.ts'
import type { OffsetStoreOptions } from '../../src/groups/offset-store.ts'
import { OffsetStore } from '../../src/groups/offset-store.ts'
import type { RawRecord } from '../support/fake-offsets-partition.ts'
import { FakeOffsetsPartition } from '../support/fake-offsets-partition.ts'

const NOW = 1_700_000_000_000
const clock = { now: () => NOW, setTimer: () => assert.fail('no timer is needed') }

async function load(
  partitions: readonly FakeOffsetsPartition[],
  options: Partial<OffsetStoreOptions> = {},
): Promise<OffsetStore> {
  return OffsetStore.load({ partitions, clock, ...options })
}

function stored(group: string, topic: string, partition: number, offset: number): RawRecord {
  const committed = { offset, metadata: '', leaderEpoch: -1, commitTimestamp: 1 }
  return { key: encodeOffsetKey(group, topic, partition), value: encodeOffsetValue(committed) }
}

const isUnknownGroup = (error: unknown) =>
  error instanceof LogError && error.code === 'UNKNOWN_GROUP'

describe('commit', () => {
  test('is served with its metadata, its leader epoch and the time of the clock', async () => {
    const store = await load([new FakeOffsetsPartition()])
    await store.commit('billing', [
      { topic: 'orders', partition: 2, offset: 7, metadata: 'möre', leaderEpoch: 3 },
    ])
    const expected = { offset: 7, metadata: 'möre', leaderEpoch: 3, commitTimestamp: NOW }
    assert.deepEqual(store.committed('billing', 'orders', 2), expected)
    assert.equal(store.committed('billing', 'orders', 1), undefined)
    assert.equal(store.committed('billing', 'order', 2), undefined)
    assert.equal(store.committed('other', 'orders', 2), undefined)
  })

  test('is there after a reload', async () => {
    const fake = new FakeOffsetsPartition()
    const store = await load([fake])
    await store.commit('a', [{ topic: 't', partition: 0, offset: 1 }])
    await store.commit('a', [{ topic: 't', partition: 0, offset: 2 }])
    const reloaded = await load([fake.reopened()])
    assert.deepEqual(reloaded.offsetsOf('a'), [
      { topic: 't', partition: 0, offset: 2, metadata: '', leaderEpoch: -1, commitTimestamp: NOW },
    ])
  })

  test('of many partitions is one batch, and an empty one is none', async () => {
    const fake = new FakeOffsetsPartition()
    const store = await load([fake])
    const commits = [0, 1, 2].map((partition) => ({ topic: 't', partition, offset: partition }))
    await store.commit('a', commits)
    await store.commit('a', [])
    assert.deepEqual(fake.appendedCounts, [3])
  })

  test('goes to the partition of the hash of its group', async () => {
    const fakes = Array.from({ length: 4 }, () => new FakeOffsetsPartition())
    const store = await load(fakes)
    await store.commit('billing', [{ topic: 't', partition: 0, offset: 1 }])
    assert.deepEqual(
      fakes.map((fake) => fake.records().length),
      [0, 1, 0, 0],
    )
    assert.equal(offsetsPartitionFor('billing', 4), 1)
  })

  test('tells the level that it has', async () => {
    const store = await load([new FakeOffsetsPartition()])
    const commit = [{ topic: 't', partition: 0, offset: 1 }]
    assert.deepEqual(await store.commit('a', commit), { durability: 'os' })
    assert.deepEqual(await store.commit('a', commit, 'disk'), { durability: 'disk' })
  })

  test('that fails changes nothing', async () => {
    const fake = new FakeOffsetsPartition()
    const store = await load([fake])
    await store.commit('a', [{ topic: 't', partition: 0, offset: 1 }])
    fake.failures.push(new Error('no'))
    await assert.rejects(store.commit('a', [{ topic: 't', partition: 0, offset: 2 }]), /no/)
    assert.equal(store.committed('a', 't', 0)?.offset, 1)
  })

  test('is not served before it is acknowledged', async () => {
    const fake = new FakeOffsetsPartition()
    const store = await load([fake])
    const release = fake.holdAcknowledgements('disk')
    const commit = store.commit('a', [{ topic: 't', partition: 0, offset: 1 }], 'disk')
    assert.equal(store.committed('a', 't', 0), undefined)
    release()
    await commit
    assert.equal(store.committed('a', 't', 0)?.offset, 1)
  })

  test('of the last call wins, even where an earlier one is acknowledged later', async () => {
    const fake = new FakeOffsetsPartition()
    const store = await load([fake])
    const release = fake.holdAcknowledgements('disk')
    const first = store.commit('a', [{ topic: 't', partition: 0, offset: 1 }], 'disk')
    await store.commit('a', [{ topic: 't', partition: 0, offset: 2 }], 'os')
    release()
    await first
    assert.equal(store.committed('a', 't', 0)?.offset, 2)
  })

  test('of the last call wins where it repeats an older value', async () => {
    const fake = new FakeOffsetsPartition()
    const store = await load([fake])
    const commit = (offset: number, durability: 'os' | 'disk') =>
      store.commit('a', [{ topic: 't', partition: 0, offset }], durability)
    await commit(1, 'os')
    const release = fake.holdAcknowledgements('disk')
    const slow = commit(2, 'disk')
    await commit(1, 'os')
    release()
    await slow
    assert.equal(store.committed('a', 't', 0)?.offset, 1)
  })

  test('of what cannot be is refused before anything is written', async () => {
    const fake = new FakeOffsetsPartition()
    const store = await load([fake])
    const good = { topic: 't', partition: 0, offset: 1 }
    const commit = (change: object, group: unknown = 'a') =>
      store.commit(group as string, [good, { ...good, ...change }])
    await assert.rejects(commit({ offset: -1 }), RangeError)
    await assert.rejects(commit({ offset: 1.5 }), RangeError)
    await assert.rejects(commit({ offset: 2 ** 53 }), RangeError)
    await assert.rejects(commit({ offset: '1' }), TypeError)
    await assert.rejects(commit({ offset: Number.NaN }), RangeError)
    await assert.rejects(commit({ partition: -1 }), RangeError)
    await assert.rejects(commit({ leaderEpoch: -2 }), RangeError)
    await assert.rejects(commit({ topic: 7 }), TypeError)
    await assert.rejects(commit({ metadata: 'ö'.repeat(2049) }), /4098 bytes/)
    await assert.rejects(commit({ metadata: Buffer.alloc(1) }), TypeError)
    await assert.rejects(commit({ metadata: '\ud800' }), TypeError)
    await assert.rejects(commit({}, ''), RangeError)
    await assert.rejects(commit({}, 7), TypeError)
    await assert.rejects(commit({}, 'g'.repeat(32_768)), RangeError)
    assert.equal(fake.operations, 0)
    await commit({ metadata: 'ö'.repeat(2048), offset: 2 ** 53 - 1 })
    assert.equal(store.committed('a', 't', 0)?.metadata.length, 2048)
  })
})

describe('groups', () => {
  test('are listed by name, those of metadata alone as well', async () => {
    const fakes = [new FakeOffsetsPartition(), new FakeOffsetsPartition()]
    const place = fakes[offsetsPartitionFor('m', 2)]
    place?.write([{ key: encodeGroupKey('m'), value: emptyMetadata() }])
    const store = await load(fakes)
    await store.commit('z', [{ topic: 't', partition: 0, offset: 1 }])
    await store.commit('b', [{ topic: 't', partition: 0, offset: 1 }])
    assert.deepEqual(store.groups(), ['b', 'm', 'z'])
    assert.equal(store.describe('m').state, 'Empty')
    assert.equal(store.describe('m').protocolType, 'consumer')
    assert.equal(store.describe('m').generation, 4)
  })

  test('of commits alone are empty, those not known are dead', async () => {
    const store = await load([new FakeOffsetsPartition()])
    await store.commit('a', [{ topic: 't', partition: 0, offset: 1 }])
    const { offsets, ...rest } = store.describe('a')
    assert.equal(offsets.length, 1)
    assert.deepEqual(rest, {
      group: 'a',
      state: 'Empty',
      protocolType: '',
      generation: -1,
      protocol: null,
      leader: null,
      members: [],
    })
    assert.equal(store.describe('b').state, 'Dead')
  })

  test('whose metadata cannot be read say so, and keep their offsets', async () => {
    const fake = new FakeOffsetsPartition()
    fake.write([{ key: encodeGroupKey('a'), value: Buffer.from([0, 99]) }, stored('a', 't', 0, 5)])
    const store = await load([fake])
    assert.throws(
      () => store.describe('a'),
      (error) => error instanceof LogError && error.code === 'DECODE_FAILED',
    )
    assert.equal(store.committed('a', 't', 0)?.offset, 5)
  })

  test('list their offsets by topic, then partition', async () => {
    const store = await load([new FakeOffsetsPartition()])
    const places: [string, number][] = [
      ['u', 0],
      ['t', 10],
      ['t', 2],
    ]
    await store.commit(
      'a',
      places.map(([topic, partition]) => ({ topic, partition, offset: 1 })),
    )
    const listed = store.offsetsOf('a').map(({ topic, partition }) => `${topic}-${partition}`)
    assert.deepEqual(listed, ['t-2', 't-10', 'u-0'])
    assert.deepEqual(store.offsetsOf('b'), [])
  })

  test('are deleted with their offsets and metadata, and stay so', async () => {
    const fake = new FakeOffsetsPartition()
    fake.write([{ key: encodeGroupKey('a'), value: emptyMetadata() }, stored('a', 't', 0, 5)])
    fake.write([stored('a', 't', 1, 5), stored('b', 't', 0, 6)])
    const store = await load([fake])
    await store.deleteGroup('a')
    for (const each of [store, await load([fake.reopened()])]) {
      assert.deepEqual(each.groups(), ['b'])
      assert.equal(each.committed('a', 't', 0), undefined)
      assert.equal(each.committed('b', 't', 0)?.offset, 6)
    }
  })

  test('that have committed and nothing else are deleted as Kafka does it, with a tombstone of the metadata last', async () => {
    const fake = new FakeOffsetsPartition()
    const store = await load([fake])
    await store.commit('a', [{ topic: 't', partition: 0, offset: 1 }])
    await store.deleteGroup('a')
    const [, ...deletion] = fake.records()
    assert.deepEqual(
      deletion.map(({ key, value }) => [key, value]),
      [
        [encodeOffsetKey('a', 't', 0), null],
        [encodeGroupKey('a'), null],
      ],
    )
    const again = await load([fake.reopened()])
    assert.deepEqual(again.groups(), [])
    await assert.rejects(again.deleteGroup('a'), isUnknownGroup)
  })

  test('that are not known cannot be deleted', async () => {
    const store = await load([new FakeOffsetsPartition()])
    await assert.rejects(store.deleteGroup('a'), isUnknownGroup)
    await assert.rejects(store.deleteOffsets('a', []), isUnknownGroup)
  })

  test('are deleted with what was committed before the call, not with what came after it', async () => {
    const fake = new FakeOffsetsPartition()
    const store = await load([fake])
    const commit = (partition: number) =>
      store.commit('a', [{ topic: 't', partition, offset: 1 }], 'disk')
    await commit(0)
    const release = fake.holdAcknowledgements('disk')
    const calls = [commit(1), store.deleteGroup('a'), commit(2)]
    release()
    await Promise.all(calls)
    for (const each of [store, await load([fake.reopened()])]) {
      assert.deepEqual(
        each.offsetsOf('a').map(({ partition }) => partition),
        [2],
      )
    }
  })

  test('lose single offsets, and are gone with the last one', async () => {
    const fake = new FakeOffsetsPartition()
    const store = await load([fake])
    await store.commit('a', [
      { topic: 't', partition: 0, offset: 1 },
      { topic: 't', partition: 1, offset: 1 },
    ])
    await store.deleteOffsets('a', [
      { topic: 't', partition: 0 },
      { topic: 't', partition: 9 },
    ])
    assert.equal(store.committed('a', 't', 0), undefined)
    assert.deepEqual(store.groups(), ['a'])
    await store.deleteOffsets('a', [{ topic: 't', partition: 1 }])
    assert.deepEqual(store.groups(), [])
    assert.deepEqual((await load([fake.reopened()])).groups(), [])
  })

  test('lose the offsets of a topic that is deleted', async () => {
    const fakes = [new FakeOffsetsPartition(), new FakeOffsetsPartition()]
    const store = await load(fakes)
    for (const group of ['a', 'b', 'c']) {
      await store.commit(group, [{ topic: 't', partition: 0, offset: 1 }])
    }
    await store.commit('b', [{ topic: 'u', partition: 0, offset: 1 }])
    await store.removeTopic('t')
    for (const each of [store, await load(fakes.map((fake) => fake.reopened()))]) {
      assert.deepEqual(each.groups(), ['b'])
      assert.equal(each.committed('b', 't', 0), undefined)
      assert.equal(each.committed('b', 'u', 0)?.offset, 1)
    }
  })
})

describe('transactions in the log', () => {
  const producer = { producerId: 7, producerEpoch: 2 }
  const key = ['a', 't', 0] as const

  async function committedAfter(write: (fake: FakeOffsetsPartition) => void) {
    const fake = new FakeOffsetsPartition()
    write(fake)
    return (await load([fake])).committed(...key)?.offset
  }

  test('undecided ones are not served', async () => {
    assert.equal(
      await committedAfter((fake) => fake.write([stored(...key, 1)], producer)),
      undefined,
    )
    const before = await committedAfter((fake) => {
      fake.write([stored(...key, 1)])
      fake.write([stored(...key, 2)], producer)
    })
    assert.equal(before, 1)
  })

  test('committed ones are served, the last record of a key', async () => {
    const offset = await committedAfter((fake) => {
      fake.write([stored(...key, 1)])
      fake.write([stored(...key, 2), stored(...key, 3)], producer)
      fake.writeMarker(7, 'commit')
    })
    assert.equal(offset, 3)
  })

  test('aborted ones are not, whoever else commits', async () => {
    const offset = await committedAfter((fake) => {
      fake.write([stored(...key, 2)], producer)
      fake.writeMarker(8, 'commit')
      fake.writeMarker(7, 'abort')
      fake.writeMarker(7, 'commit')
    })
    assert.equal(offset, undefined)
  })

  test('a plain commit made after the one in the transaction stays', async () => {
    const offset = await committedAfter((fake) => {
      fake.write([stored(...key, 2)], producer)
      fake.write([stored(...key, 1)])
      fake.writeMarker(7, 'commit')
    })
    assert.equal(offset, 1)
  })

  test('a deletion takes what is undecided with it', async () => {
    const offset = await committedAfter((fake) => {
      fake.write([stored(...key, 1)])
      fake.write([stored(...key, 2)], producer)
      fake.write([{ key: encodeOffsetKey(...key), value: null }])
      fake.writeMarker(7, 'commit')
    })
    assert.equal(offset, undefined)
  })

  test('a deletion within one counts when it is committed', async () => {
    const write = (fake: FakeOffsetsPartition) => {
      fake.write([stored(...key, 1)])
      fake.write([{ key: encodeOffsetKey(...key), value: null }], producer)
    }
    assert.equal(await committedAfter(write), 1)
    const committed = await committedAfter((fake) => {
      write(fake)
      fake.writeMarker(7, 'commit')
    })
    assert.equal(committed, undefined)
  })
})

describe('what cannot be read', () => {
  test('is counted and not served, and the rest is', async () => {
    const fake = new FakeOffsetsPartition()
    fake.write([
      { key: null, value: Buffer.from('v') },
      { key: Buffer.from([0]), value: Buffer.from('v') },
      { key: encodeOffsetKey('a', 't', 0), value: Buffer.from([0, 9]) },
      { key: Buffer.from([0, 5, 0, 1, 0x67]), value: Buffer.from([1, 2, 3]) },
      stored('a', 't', 1, 4),
    ])
    const store = await load([fake])
    assert.equal(store.countMalformed(), 3)
    assert.equal(store.committed('a', 't', 0), undefined)
    assert.deepEqual(
      store.offsetsOf('a').map(({ partition, offset }) => [partition, offset]),
      [[1, 4]],
    )
  })
})

describe('clampTo', () => {
  const ends = (topic: string, partition: number) =>
    topic === 't' && partition < 2 ? 10 : undefined

  async function storeWithOffsets(fake: FakeOffsetsPartition) {
    const store = await load([fake])
    await store.commit('a', [
      { topic: 't', partition: 0, offset: 11, metadata: 'mine', leaderEpoch: 4 },
      { topic: 't', partition: 1, offset: 10 },
      { topic: 'gone', partition: 0, offset: 99 },
    ])
    return store
  }

  test('sets offsets past the end to the end, durably, and tells which', async () => {
    const fake = new FakeOffsetsPartition()
    const store = await storeWithOffsets(fake)
    const reset = { group: 'a', topic: 't', partition: 0, from: 11, to: 10 }
    assert.deepEqual(await store.clampTo(ends), { resetOffsets: [reset], inMemory: [] })
    const lost = () => false
    for (const each of [store, await load([fake.reopened(lost)])]) {
      const { offset, metadata, leaderEpoch } = each.committed('a', 't', 0) ?? assert.fail()
      assert.deepEqual([offset, metadata, leaderEpoch], [10, 'mine', -1])
      assert.equal(each.committed('a', 't', 1)?.offset, 10)
      assert.equal(each.committed('a', 'gone', 0)?.offset, 99)
    }
    assert.deepEqual(await store.clampTo(ends), { resetOffsets: [], inMemory: [] })
  })

  test('takes what lies past the end out of what is finished above a commit', async () => {
    const fake = new FakeOffsetsPartition()
    const store = await load([fake])
    const finished = encodeFinished(4, [
      { start: 6, end: 7 },
      { start: 8, end: 12 },
      { start: 20, end: 30 },
    ]) as string
    const beyond = encodeFinished(4, [{ start: 20, end: 30 }]) as string
    await store.commit('a', [{ topic: 't', partition: 0, offset: 4, metadata: finished }])
    await store.commit('b', [{ topic: 't', partition: 0, offset: 4, metadata: beyond }])
    assert.deepEqual(await store.clampTo(ends), { resetOffsets: [], inMemory: [] })
    for (const each of [store, await load([fake.reopened(() => false)])]) {
      const { offset, metadata } = each.committed('a', 't', 0) ?? assert.fail()
      assert.deepEqual(
        [offset, decodeFinished(offset, metadata)],
        [
          4,
          [
            { start: 6, end: 7 },
            { start: 8, end: 10 },
          ],
        ],
      )
      assert.equal(each.committed('b', 't', 0)?.metadata, '')
    }
  })

  test('without room does it in memory, says so, and writes it before the next commit', async () => {
    const fake = new FakeOffsetsPartition()
    const store = await storeWithOffsets(fake)
    const full = () => new LogError('DISK_FULL', 'full', { retryable: true })
    fake.failures.push(full(), full(), full(), full())
    const { resetOffsets, inMemory } = await store.clampTo(ends)
    assert.equal(resetOffsets.length, 1)
    assert.deepEqual(inMemory, ['__consumer_offsets-0'])
    assert.equal(store.committed('a', 't', 0)?.offset, 10)
    await assert.rejects(store.settle(), /full/)
    const other = () => store.commit('b', [{ topic: 't', partition: 0, offset: 1 }], 'disk')
    await assert.rejects(other(), /full/)
    await assert.rejects(store.deleteGroup('a'), /full/)
    assert.equal(store.owesRecords, true)
    await Promise.all([other(), store.commit('a', [{ topic: 't', partition: 0, offset: 3 }])])
    assert.equal(store.owesRecords, false)
    for (const each of [store, await load([fake.reopened()])]) {
      assert.equal(each.committed('a', 't', 0)?.offset, 3)
      assert.equal(each.committed('b', 't', 0)?.offset, 1)
    }
    const clampAlone = fake
      .records()
      .slice(0, 4)
      .map(({ value }) => value?.readInt32BE(6))
    assert.deepEqual(clampAlone, [11, 10, 99, 10])
  })

  test('fails where the log fails for another reason', async () => {
    const fake = new FakeOffsetsPartition()
    const store = await storeWithOffsets(fake)
    fake.failures.push(new LogError('STORAGE_FAILED', 'broken'))
    await assert.rejects(store.clampTo(ends), /broken/)
  })
})

function emptyMetadata(): Buffer {
  const value = Buffer.alloc(2 + 10 + 4 + 2 + 2 + 8 + 4)
  value.writeInt16BE(3, 0)
  value.writeInt16BE(8, 2)
  value.write('consumer', 4)
  value.writeInt32BE(4, 12)
  value.writeInt16BE(-1, 16)
  value.writeInt16BE(-1, 18)
  return value
}
