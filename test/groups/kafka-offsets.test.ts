/** Committed offsets and groups as real brokers wrote them. */
import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { BatchHeader } from '../../src/codec/batch.ts'
import {
  BATCH_HEADER_BYTES,
  CONTROL_COMMIT,
  readBatchHeader,
  readControlRecord,
} from '../../src/codec/batch.ts'
import { decodeRecords } from '../../src/codec/batch-decoder.ts'
import type { KnownGroup } from '../../src/groups/group-description.ts'
import { OffsetStore } from '../../src/groups/offset-store.ts'
import type { ScannedRecord } from '../../src/groups/offsets-partition.ts'
import { FakeOffsetsPartition } from '../support/fake-offsets-partition.ts'
import type { Expected, ExpectedGroup, FixtureSet } from '../support/fixtures.ts'
import { loadExpected, loadPartitions } from '../support/fixtures.ts'

const clock = { now: () => 0, setTimer: () => assert.fail('no timer is needed') }

/** A partition whose records are those of a broker's segments. */
class BrokerPartition extends FakeOffsetsPartition {
  readonly #records: readonly ScannedRecord[]

  constructor(records: readonly ScannedRecord[]) {
    super()
    this.#records = records
  }

  override async *scan(): AsyncIterable<ScannedRecord> {
    yield* this.#records
  }
}

function recordsOf(page: Buffer): ScannedRecord[] {
  const records: ScannedRecord[] = []
  let header: BatchHeader
  for (let at = 0; at < page.length; at += header.sizeBytes) {
    header = readBatchHeader(page, at)
    const { producerId, producerEpoch, isTransactional } = header
    const control = controlOf(header, page, at)
    decodeRecords(page, at + BATCH_HEADER_BYTES, at + header.sizeBytes, header, 0, header.count, {
      record(offset, timestamp, _page, keyStart, keyLength, valueStart, valueLength) {
        const key = keyLength < 0 ? null : page.subarray(keyStart, keyStart + keyLength)
        const value = valueLength < 0 ? null : page.subarray(valueStart, valueStart + valueLength)
        const batch = { producerId, producerEpoch, isTransactional, control }
        records.push({ offset, key, value, timestamp, ...batch })
      },
    })
  }
  return records
}

function controlOf(header: BatchHeader, page: Buffer, at: number): ScannedRecord['control'] {
  if (!header.isControl) return undefined
  return readControlRecord(page, at)?.type === CONTROL_COMMIT ? 'commit' : 'abort'
}

async function open(set: FixtureSet): Promise<{ store: OffsetStore; expected: Expected }> {
  const partitions = (await loadPartitions(set)).filter(
    ({ topic }) => topic === '__consumer_offsets',
  )
  const logs = partitions.map(async ({ directory }) => {
    const names = (await readdir(directory)).filter((name) => name.endsWith('.log')).sort()
    const pages = await Promise.all(names.map((name) => readFile(join(directory, name))))
    return new BrokerPartition(pages.flatMap(recordsOf))
  })
  const store = await OffsetStore.load({
    partitions: await Promise.all(logs),
    clock,
  })
  return { store, expected: await loadExpected(set) }
}

function offsetsOf({ offsets }: KnownGroup): ExpectedGroup['offsets'] {
  return Object.fromEntries(
    offsets.map(({ topic, partition, offset, metadata, leaderEpoch }) => [
      `${topic}-${partition}`,
      { offset, metadata, ...(leaderEpoch === -1 ? {} : { leaderEpoch }) },
    ]),
  )
}

function membersOf({ members }: KnownGroup): ExpectedGroup['members'] {
  return members.map(({ memberId, clientId, clientHost: host, groupInstanceId, assignment }) => ({
    memberId,
    clientId,
    host,
    ...(groupInstanceId === null ? {} : { groupInstanceId }),
    assignment: (assignment?.partitions ?? [])
      .flatMap(({ topic, partitions }) => partitions.map((partition) => `${topic}-${partition}`))
      .sort(),
  }))
}

const byId = (a: { memberId: string }, b: { memberId: string }) =>
  a.memberId < b.memberId ? -1 : 1

for (const set of ['offsets', 'transactions', 'transactions-v1'] as const) {
  describe(`the groups of ${set}`, () => {
    test('are those that Kafka lists, with their offsets, metadata and leader epochs', async () => {
      const { store, expected } = await open(set)
      const groups = expected.groups ?? {}
      assert.deepEqual(store.groups(), Object.keys(groups).sort())
      for (const [group, { offsets }] of Object.entries(groups)) {
        assert.deepEqual(offsetsOf(store.describe(group)), offsets)
      }
      assert.equal(store.countMalformed(), 0)
    })

    test('have the state and the members that Kafka gives classic ones', async () => {
      const { store, expected } = await open(set)
      for (const [group, classic] of Object.entries(expected.groups ?? {})) {
        if (classic.type !== 'Classic') continue
        const description = store.describe(group)
        assert.equal(description.state, classic.state)
        assert.equal(description.protocolType, classic.protocolType)
        assert.equal(description.protocol ?? '', classic.assignor)
        assert.deepEqual([...membersOf(description)].sort(byId), [...classic.members].sort(byId))
      }
    })
  })
}

test('groups that were deleted from a broker are gone', async () => {
  const { store, expected } = await open('offsets')
  assert.equal(expected.deletedGroups?.length, 2)
  for (const group of expected.deletedGroups ?? []) {
    assert.equal(store.describe(group).state, 'Dead')
    assert.deepEqual(store.offsetsOf(group), [])
  }
})

test('members of classic groups say what they subscribe to', async () => {
  const { store } = await open('offsets')
  const [member] = store.describe('coop-live-1').members
  assert.deepEqual(member?.subscription?.topics, ['jobs'])
  assert.ok((member?.sessionTimeoutMs ?? 0) > 0)
  assert.equal(store.describe('coop-live-1').leader, member?.memberId)
})
