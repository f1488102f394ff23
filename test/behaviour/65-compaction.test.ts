// What compaction takes and what it leaves, as a program sees it.
import assert from 'node:assert/strict'
import { onDiskAndInMemory } from '../support/on-disk-and-in-memory.ts'

onDiskAndInMemory(
  'a record without a key is refused by a compacted topic, before anything of its call is written',
  async (place) => {
    const topics = { users: { value: 'string', partitions: 2, cleanupPolicy: 'compact' } } as const
    const log = await place.open({ topics })
    const refused = { name: 'LogError', code: 'KEY_REQUIRED', retryable: false }
    await assert.rejects(log.produce('users', { value: 'a' }), refused)
    await assert.rejects(log.produce('users', { key: null, value: null }), refused)
    const mixed = [
      { key: 'k', value: 'a', partition: 0 },
      { value: 'b', partition: 1 },
    ]
    await assert.rejects(log.produce('users', mixed), refused)
    assert.deepEqual(await log.offsets('users', 0), { earliest: 0, latest: 0 })
    assert.equal((await log.produce('users', { key: '', value: 'a' })).offset, 0)
  },
)

onDiskAndInMemory(
  'a topic that becomes compacted refuses keyless records from then on, and one that is no longer takes them',
  async (place) => {
    const log = await place.open({ topics: { users: { value: 'string' } } })
    await log.produce('users', { value: 'a' })
    await log.alterTopic('users', { cleanupPolicy: 'compact,delete' })
    await assert.rejects(log.produce('users', { value: 'b' }), { code: 'KEY_REQUIRED' })
    const again = await place.reopen(log, { topics: { users: { value: 'string' } } })
    await assert.rejects(again.produce('users', { value: 'b' }), { code: 'KEY_REQUIRED' })
    const topics = { users: { value: 'string', cleanupPolicy: 'delete' } } as const
    const last = await place.reopen(again, { topics })
    assert.equal((await last.produce('users', { value: 'b' })).offset, 1)
  },
)

onDiskAndInMemory(
  'retention takes nothing of a topic that is only compacted, and as ever of one that is both',
  async (place) => {
    const old = { value: 'string', segmentBytes: 1024, retentionMs: 1, retentionBytes: 1 } as const
    const topics = {
      kept: { ...old, cleanupPolicy: 'compact' },
      both: { ...old, cleanupPolicy: 'compact,delete' },
    } as const
    const log = await place.open({ topics })
    for (const topic of ['kept', 'both'] as const) {
      for (const key of ['a', 'b', 'c', 'd']) {
        await log.produce(topic, { key, value: 'v'.repeat(600) })
      }
    }
    await place.clock.advance(10)
    assert.equal(await log.applyRetention(), 4)
    assert.deepEqual(await log.offsets('kept', 0), { earliest: 0, latest: 4 })
    assert.deepEqual(await log.offsets('both', 0), { earliest: 4, latest: 4 })
    assert.equal((await log.deleteRecords('kept', { partition: 0, before: 2 })).logStartOffset, 2)
  },
)
