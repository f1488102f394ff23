import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Claim } from '../../../src/groups/consumer/claim.ts'
import { Commits } from '../../../src/groups/consumer/commits.ts'
import type { OffsetCommit } from '../../../src/groups/types.ts'
import type { PartitionLog } from '../../../src/storage/partition-log.ts'
import { ManualClock } from '../../../src/testing/manual-clock.ts'
import type { Topic } from '../../../src/topics/topic.ts'
import { Deferred } from '../../../src/util/deferred.ts'
import { nextTurn } from '../../../src/util/turn.ts'

class Scene {
  readonly clock = new ManualClock()
  readonly written: string[] = []
  readonly failures: string[] = []
  /** Each write waits for it. */
  gate: Deferred<void> | undefined
  refusal: Error | undefined
  /** Begun. */
  writes = 0
  settle = (): void => {}
  /** Something of them is in hand. */
  readonly busy = new Set<Claim>()
  readonly commits: Commits

  constructor(autoCommit = true) {
    this.commits = new Commits({
      clock: this.clock,
      autoCommit,
      autoCommitIntervalMs: 100,
      settle: () => this.settle(),
      isIdle: (claim) => !this.busy.has(claim),
      write: (commits) => this.#write(commits),
      fenced: (names) => new Error(`${names}: not its own`),
      failed: (error) => this.failures.push(error.message),
    })
  }

  async #write(commits: readonly OffsetCommit[]): Promise<void> {
    this.writes += 1
    await this.gate?.promise
    if (this.refusal !== undefined) throw this.refusal
    this.written.push(commits.map(({ partition, offset }) => `${partition}:${offset}`).join(' '))
  }

  claim(partition: number): Claim {
    const name = `t-${partition}`
    const log = { topic: 't', partition, name, lastStableOffset: 1000 } as PartitionLog
    return new Claim({ gone: undefined } as Topic, log, {
      position: 0,
      metadata: '',
      isolationLevel: 'read_committed',
    })
  }

  done(claim: Claim, offset: number): void {
    claim.advance(offset, undefined)
    this.commits.noted(claim)
  }
}

describe('commits that are left to who takes the pages', () => {
  test('are made of claims alone of which nothing is in hand', async () => {
    const scene = new Scene(false)
    scene.commits.leaveTo()
    const [idle, busy] = [scene.claim(0), scene.claim(1)]
    scene.busy.add(busy)
    scene.done(idle, 5)
    scene.done(busy, 7)
    await scene.clock.advance(100)
    assert.deepEqual(scene.written, ['0:5'])
    // At a hand-over no more than that.
    await scene.commits.commitByItself()
    assert.deepEqual(scene.written, ['0:5'])
    scene.commits.settled(busy)
    await scene.clock.advance(100)
    assert.equal(scene.clock.pendingTimers, 0)
    scene.busy.delete(busy)
    scene.done(busy, 9)
    await scene.commits.commitByItself()
    assert.deepEqual(scene.written, ['0:5', '1:9'])
    scene.commits.end()
  })
})

describe('commits', () => {
  test('are made an interval after the first thing is done, all at once; then there is no timer', async () => {
    const scene = new Scene()
    const [a, b] = [scene.claim(0), scene.claim(1)]
    assert.equal(scene.clock.pendingTimers, 0)
    scene.done(a, 3)
    await scene.clock.advance(60)
    scene.done(b, 2)
    scene.done(a, 5)
    await scene.clock.advance(39)
    assert.deepEqual(scene.written, [])
    await scene.clock.advance(1)
    assert.deepEqual(scene.written, ['0:5 1:2'])
    await scene.clock.advance(1000)
    assert.equal(scene.clock.pendingTimers, 0)
    assert.deepEqual(scene.written, ['0:5 1:2'])
  })

  test('by hand alone have no timer', async () => {
    const scene = new Scene(false)
    const claim = scene.claim(0)
    scene.done(claim, 3)
    assert.equal(scene.clock.pendingTimers, 0)
    await scene.commits.commit()
    await scene.commits.commit()
    assert.deepEqual(scene.written, ['0:3'])
  })

  test('follow one another: what is done during one is in the next', async () => {
    const scene = new Scene()
    const claim = scene.claim(0)
    scene.done(claim, 3)
    scene.gate = new Deferred()
    const first = scene.commits.commit()
    await null
    await null
    scene.done(claim, 7)
    const second = scene.commits.commit()
    scene.gate.resolve()
    await Promise.all([first, second])
    assert.deepEqual(scene.written, ['0:3', '0:7'])
    assert.equal(scene.commits.isDirty, false)
  })

  test('have their timer for what was done during one, also where it is not told before it is asked for', async () => {
    const scene = new Scene()
    const claim = scene.claim(0)
    scene.done(claim, 3)
    scene.gate = new Deferred()
    const during = scene.clock.advance(100)
    while (scene.writes === 0) await nextTurn()
    // Record by record.
    scene.settle = () => {
      if (claim.done < 4) scene.done(claim, 4)
    }
    scene.gate.resolve()
    await during
    assert.deepEqual(scene.written, ['0:3'])
    await scene.clock.advance(100)
    assert.deepEqual(scene.written, ['0:3', '0:4'])
  })

  test('of what was lost while they waited are refused, and those after them are not', async () => {
    const scene = new Scene(false)
    const [a, b] = [scene.claim(0), scene.claim(1)]
    scene.gate = new Deferred()
    const first = scene.commits.commitUpTo(new Map([[a, 1]]))
    const second = scene.commits.commitUpTo(new Map([[a, 2]]))
    a.lose()
    scene.commits.forget(a)
    scene.gate.resolve()
    await first.catch(() => {})
    await assert.rejects(second, /t-0: not its own/)
    scene.done(b, 7)
    await scene.commits.commit()
    assert.equal(scene.written.at(-1), '1:7')
    assert.equal(scene.commits.isDirty, false)
  })

  test('of some leave the others for later', async () => {
    const scene = new Scene()
    const [a, b] = [scene.claim(0), scene.claim(1)]
    scene.done(a, 1)
    scene.done(b, 2)
    await scene.commits.commit(new Set([b]))
    assert.deepEqual(scene.written, ['1:2'])
    scene.commits.forget(a)
    await scene.clock.advance(1000)
    assert.deepEqual(scene.written, ['1:2'])
  })

  test('that fail are told, and tried again an interval later', async () => {
    const scene = new Scene()
    const claim = scene.claim(0)
    scene.done(claim, 4)
    scene.refusal = new Error('no room')
    await scene.clock.advance(100)
    assert.deepEqual(scene.failures, ['no room'])
    scene.refusal = undefined
    await scene.clock.advance(99)
    assert.deepEqual(scene.written, [])
    await scene.clock.advance(1)
    assert.deepEqual(scene.written, ['0:4'])
  })

  test('up to an offset move what is done, or go back to it', async () => {
    const scene = new Scene(false)
    const claim = scene.claim(0)
    await scene.commits.commitUpTo(new Map([[claim, 6]]))
    assert.equal(claim.done, 6)
    await scene.commits.commitUpTo(new Map([[claim, 2]]))
    assert.deepEqual(scene.written, ['0:6', '0:2'])
    await scene.commits.commit()
    assert.deepEqual(scene.written, ['0:6', '0:2'])
  })

  test('end with their owner', async () => {
    const scene = new Scene()
    const claim = scene.claim(0)
    scene.done(claim, 4)
    scene.commits.end()
    scene.done(claim, 5)
    await scene.clock.advance(1000)
    assert.equal(scene.clock.pendingTimers, 0)
    assert.deepEqual(scene.written, [])
  })
})
