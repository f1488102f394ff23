// Names are what a Kafka broker and this library agree on; a wrong one loses a file or stops a broker.
import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import {
  checkTopicName,
  deletingDirectoryName,
  directoryKind,
  parseDeletingDirectoryName,
  parsePartitionDirectoryName,
  parseRegionFileName,
  parseSegmentFileName,
  partitionDirectoryName,
  regionFileName,
  segmentFileName,
  topicNameProblem,
} from '../../src/storage/file-names.ts'
import { FIXTURE_SETS, fixtureDirectory, loadPartitions } from '../support/fixtures.ts'

const offsets = fc.nat({ max: Number.MAX_SAFE_INTEGER })
const topics = fc
  .stringMatching(/^[a-zA-Z0-9._-]{1,249}$/)
  .filter((name) => topicNameProblem(name) === undefined)
const partitions = fc.nat({ max: 2 ** 31 - 1 })
const UUID = '0b8f4f0e-6c1a-4e0b-9d3c-2f1e5a7b9c8d'

suite('segment files', () => {
  test('a base offset is written with 20 digits', () => {
    assert.equal(segmentFileName(0, 'log'), '00000000000000000000.log')
    assert.equal(segmentFileName(1234, 'snapshot'), '00000000000000001234.snapshot')
    assert.equal(segmentFileName(2 ** 53 - 1, 'txnindex'), '00009007199254740991.txnindex')
  })

  test('every name is read back as what it was made from', () => {
    const kinds = fc.constantFrom('log', 'index', 'timeindex', 'txnindex', 'snapshot')
    const suffixes = fc.constantFrom('', '.deleted', '.cleaned', '.swap')
    fc.assert(
      fc.property(offsets, kinds, suffixes, (baseOffset, kind, suffix) => {
        assert.deepEqual(parseSegmentFileName(segmentFileName(baseOffset, kind) + suffix), {
          baseOffset,
          kind,
          pending: suffix === '' ? undefined : suffix,
        })
      }),
    )
  })

  test('other names are no segment files', () => {
    for (const name of [
      'leader-epoch-checkpoint',
      '0.log',
      '0000000000000000000.log',
      '000000000000000000000.log',
      '00000000000000000000.log.1234.torn',
      '00000000000000000000.index.tmp',
      '00000000000000000000.log.deleted.deleted',
      '99999999999999999999.log',
      '00000000000000000000.LOG',
    ]) {
      assert.equal(parseSegmentFileName(name), undefined, name)
    }
  })

  test('a torn copy and a lost-write marker carry the position of their region', () => {
    assert.equal(regionFileName(42, 1000, 'torn'), '00000000000000000042.log.1000.torn')
    fc.assert(
      fc.property(
        offsets,
        offsets,
        fc.constantFrom('torn', 'lost'),
        (baseOffset, position, kind) => {
          assert.deepEqual(parseRegionFileName(regionFileName(baseOffset, position, kind)), {
            baseOffset,
            position,
            kind,
          })
        },
      ),
    )
    assert.equal(parseRegionFileName('00000000000000000042.log'), undefined)
    assert.equal(parseRegionFileName('00000000000000000042.log.01.torn'), undefined)
    assert.equal(parseRegionFileName('00000000000000000042.index.1.torn'), undefined)
  })

  test('every file of a Kafka partition is a segment file, a checkpoint or the metadata', async () => {
    for (const set of FIXTURE_SETS) {
      for (const { directory, expected } of await loadPartitions(set)) {
        const names = await readdir(directory)
        const others = names.filter((name) => parseSegmentFileName(name) === undefined)
        assert.deepEqual(others.sort(), ['leader-epoch-checkpoint', 'partition.metadata'])
        const logs = names.map(parseSegmentFileName).filter((each) => each?.kind === 'log')
        const live = logs.filter((each) => each?.pending === undefined)
        assert.deepEqual(
          live.map((each) => each?.baseOffset).sort((a = 0, b = 0) => a - b),
          expected.segments.map((each) => each.baseOffset),
          directory,
        )
      }
    }
  })
})

suite('topic names', () => {
  test('1 to 249 letters, digits, dots, dashes and underscores are a topic name', () => {
    for (const name of [
      'a',
      'orders',
      '__consumer_offsets',
      '...',
      '-',
      'a.b_c-9',
      'x'.repeat(249),
    ]) {
      assert.doesNotThrow(() => checkTopicName(name), name)
    }
  })

  test('a name outside the rules is a RangeError that says why', () => {
    for (const [name, reason] of [
      ['', /empty/],
      ['.', /"\." or "\.\."/],
      ['..', /"\." or "\.\."/],
      ['x'.repeat(250), /250 characters, the limit is 249/],
      ['a b', /only a-z/],
      ['a/b', /only a-z/],
      ['größe', /only a-z/],
      ['a\n', /only a-z/],
    ] as const) {
      assert.throws(() => checkTopicName(name), { name: 'RangeError', message: reason })
    }
  })

  test('what is no string is a TypeError', () => {
    for (const name of [undefined, null, 7, {}]) {
      assert.throws(() => checkTopicName(name), { name: 'TypeError' })
    }
  })
})

suite('partition directories', () => {
  test('the last dash parts topic and partition', () => {
    assert.deepEqual(parsePartitionDirectoryName('a-b-12'), { topic: 'a-b', partition: 12 })
    assert.deepEqual(parsePartitionDirectoryName('a--1'), { topic: 'a-', partition: 1 })
    fc.assert(
      fc.property(topics, partitions, (topic, partition) => {
        const name = partitionDirectoryName(topic, partition)
        assert.deepEqual(parsePartitionDirectoryName(name), { topic, partition })
        assert.equal(directoryKind(name), 'partition')
      }),
    )
  })

  test('a directory that is no topic partition has no name', () => {
    for (const name of [
      'orders',
      'orders-',
      '-1',
      'orders-01',
      'orders-2147483648',
      'o s-1',
      '..-1',
    ]) {
      assert.equal(parsePartitionDirectoryName(name), undefined, name)
      assert.equal(directoryKind(name), 'other', name)
    }
  })

  test("the controller's log, stray and future directories are left untouched", () => {
    assert.equal(parsePartitionDirectoryName('__cluster_metadata-0'), undefined)
    const hex = UUID.replaceAll('-', '')
    for (const name of ['__cluster_metadata-0', `a-0.${hex}-stray`, `a-0.${hex}-future`]) {
      assert.equal(directoryKind(name), 'untouched', name)
    }
  })

  test('a directory being deleted is told from a partition and stays within 255 bytes', () => {
    assert.equal(
      deletingDirectoryName('orders', 3, UUID),
      'orders-3.0b8f4f0e6c1a4e0b9d3c2f1e5a7b9c8d-delete',
    )
    fc.assert(
      fc.property(topics, partitions, fc.uuid(), (topic, partition, uuid) => {
        const name = deletingDirectoryName(topic, partition, uuid)
        assert.ok(name.length <= 255)
        assert.equal(directoryKind(name), 'deleting')
        assert.equal(parsePartitionDirectoryName(name), undefined)
        const parsed = parseDeletingDirectoryName(name)
        assert.equal(parsed?.partition, partition)
        assert.ok(topic.startsWith(parsed?.topic ?? 'none'))
        assert.ok(parsed?.topic === topic || name.length === 255)
      }),
    )
    assert.equal(parseDeletingDirectoryName('orders-3.short-delete'), undefined)
  })

  test('every directory that Kafka left is a partition', async () => {
    for (const set of FIXTURE_SETS) {
      for (const each of await readdir(fixtureDirectory(set), { withFileTypes: true })) {
        if (each.isDirectory()) assert.equal(directoryKind(each.name), 'partition', each.name)
      }
    }
  })
})
