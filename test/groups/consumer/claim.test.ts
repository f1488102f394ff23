import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Claim } from '../../../src/groups/consumer/claim.ts'
import { decodeFinished, encodeFinished } from '../../../src/groups/consumer/run/finished-ranges.ts'
import type { PartitionLog } from '../../../src/storage/partition-log.ts'
import type { Topic } from '../../../src/topics/topic.ts'

/** Of a partition a claim looks at nothing but its name and its end. */
function claimAt(position: number, metadata = ''): Claim {
  const log = { topic: 't', partition: 0, name: 't-0', lastStableOffset: 1000 } as PartitionLog
  return new Claim({ gone: undefined } as Topic, log, {
    position,
    metadata,
    isolationLevel: 'read_committed',
  })
}

const finished = (committed: number, ...ranges: [number, number][]): string =>
  encodeFinished(
    committed,
    ranges.map(([start, end]) => ({ start, end })),
  ) ?? ''

describe('a claim', () => {
  test('may be read up to the end of its level of isolation', () => {
    const log = { lastStableOffset: 5, highWatermark: 8 } as PartitionLog
    for (const [isolationLevel, end] of [
      ['read_committed', 5],
      ['read_uncommitted', 8],
    ] as const) {
      const start = { position: 4, metadata: '', isolationLevel }
      const claim = new Claim({ gone: undefined } as Topic, log, start)
      claim.isBegun = true
      assert.equal(claim.end, end)
      for (const position of [4, 5, 7, 8, 9]) {
        claim.position = position
        assert.equal(claim.isReadable, position < end)
      }
    }
  })

  test('is done up to what is finished, and never less', () => {
    const claim = claimAt(5)
    assert.equal(claim.isDirty, false)
    claim.advance(8, undefined)
    claim.advance(7, undefined)
    assert.deepEqual(claim.toCommit(), { topic: 't', partition: 0, offset: 8 })
    assert.equal(claim.isDirty, true)
  })

  test('passes over what has no records once all below it is done', () => {
    const claim = claimAt(0)
    claim.position = 10
    claim.pass(10, 15)
    claim.position = 15
    assert.equal(claim.done, 0)
    assert.equal(claim.startOf(15), 10)
    claim.pass(15, 20)
    claim.advance(9, undefined)
    assert.equal(claim.done, 9)
    claim.advance(10, undefined)
    assert.equal(claim.done, 20)
    claim.pass(20, 30)
    assert.equal(claim.done, 30)
  })

  test('leaves out what was finished above its commit, and keeps that in what it commits until it is done', () => {
    const claim = claimAt(10, finished(10, [12, 15], [40, 50]))
    assert.deepEqual(
      [11, 12, 14, 15, 40, 49, 50].map((offset) => claim.isFinished(offset)),
      [false, true, true, false, true, true, false],
    )
    claim.position = 20
    claim.advance(11, () => [{ start: 13, end: 17 }])
    const above = [
      { start: 12, end: 17 },
      { start: 40, end: 50 },
    ]
    assert.deepEqual(decodeFinished(11, claim.toCommit().metadata ?? ''), above)
    // Read, and handed out by somebody who knows nothing of what was left out.
    claim.position = 60
    assert.deepEqual(decodeFinished(11, claim.toCommit().metadata ?? ''), above)
    claim.advance(30, undefined)
    assert.deepEqual(decodeFinished(30, claim.toCommit().metadata ?? ''), [above[1]])
    claim.advance(50, undefined)
    assert.equal(claim.toCommit().metadata, undefined)
    assert.equal(claim.hasFinishedAbove, false)
  })

  test('keeps what it is told to be finished above an offset where it is done further by what it knew', () => {
    const claim = claimAt(10, finished(10, [12, 15]))
    claim.position = 30
    claim.advance(12, () => [{ start: 20, end: 25 }])
    const { offset, metadata = '' } = claim.toCommit()
    assert.equal(offset, 15)
    assert.deepEqual(decodeFinished(15, metadata), [{ start: 20, end: 25 }])
  })

  test('is done with what was finished above its commit once it has come to it', () => {
    const claim = claimAt(10, finished(10, [12, 15], [40, 50]))
    claim.position = 12
    claim.advance(12, undefined)
    const { offset, metadata = '' } = claim.toCommit()
    assert.equal(offset, 15)
    assert.deepEqual(decodeFinished(15, metadata), [{ start: 40, end: 50 }])
  })

  test('leaves out what was finished above its commit also where it is done past what it has read', () => {
    const claim = claimAt(10, finished(10, [12, 15], [40, 50]))
    claim.position = 13
    claim.advance(12, undefined)
    assert.equal(claim.done, 15)
    assert.equal(claim.isFinished(13), true)
    assert.equal(claim.isFinished(14), true)
    claim.position = 50
    claim.advance(41, undefined)
    assert.equal(claim.hasFinishedAbove, false)
  })

  test('is read again from where it is done, without what is finished above that', () => {
    const claim = claimAt(0)
    claim.position = 100
    claim.advance(10, () => [{ start: 20, end: 30 }])
    claim.rewind()
    assert.equal(claim.position, 10)
    assert.equal(claim.isFinished(25), true)
    assert.deepEqual(decodeFinished(10, claim.toCommit().metadata ?? ''), [{ start: 20, end: 30 }])
  })

  test('knows of metadata that is somebody else’s nothing', () => {
    const claim = claimAt(3, 'their own note')
    assert.equal(claim.hasFinishedAbove, false)
    claim.advance(4, undefined)
    assert.equal(claim.toCommit().metadata, undefined)
  })

  test('that is sought elsewhere commits that, also backwards', () => {
    const claim = claimAt(50, finished(50, [60, 70]))
    claim.seek(5)
    assert.deepEqual(claim.toCommit(), { topic: 't', partition: 0, offset: 5 })
    assert.equal(claim.position, 5)
    assert.equal(claim.isFinished(65), false)
    assert.equal(claim.isDirty, true)
  })

  test('is read where it has begun, is not paused and not asked back, and has more', () => {
    const claim = claimAt(0)
    assert.equal(claim.isReadable, false)
    claim.isBegun = true
    assert.equal(claim.isReadable, true)
    claim.isPaused = true
    assert.equal(claim.isReadable, false)
    claim.isPaused = false
    claim.position = 1000
    assert.equal(claim.isReadable, false)
    claim.position = 999
    claim.isRevoking = true
    assert.equal(claim.isReadable, false)
  })
})
