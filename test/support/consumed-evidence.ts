/** What a group was handed and has committed, over processes that are killed: see `consumer-child.ts`. */
import assert from 'node:assert/strict'
import { decodeFinished } from '../../src/groups/consumer/run/finished-ranges.ts'
import type { OffsetCommit } from '../../src/index.ts'
import type { Told } from './consumer-child.ts'

interface Partition {
  /** Behind the last record that was acknowledged. */
  end: number
  readonly keys: Map<number, string | null>
  /** Records that have come back for more, in whatever process. */
  readonly done: Set<number>
  /** Told to be committed: below, and by themselves above. */
  committed: number
  finishedAbove: Set<number>
  /** Done in processes that ended in order. */
  settled: ReadonlySet<number>
  /** Of this process. */
  next: number | undefined
  handedNow: Set<number>
  doneNow: Set<number>
}

export class ConsumedEvidence {
  readonly #partitions: readonly Partition[]
  /** Records come one after another. */
  #isInSequence = true
  handedOut = 0
  /** Handed out in a process after another had been handed them. */
  handedOutAgain = 0
  /** Finished above a commit, and not handed out again for that. */
  rememberedAbove = 0

  constructor(partitions: number) {
    this.#partitions = Array.from({ length: partitions }, () => ({
      end: 0,
      keys: new Map(),
      done: new Set<number>(),
      committed: 0,
      finishedAbove: new Set<number>(),
      settled: new Set<number>(),
      next: undefined,
      handedNow: new Set<number>(),
      doneNow: new Set<number>(),
    }))
  }

  /** A process begins. */
  begin(isInSequence: boolean): void {
    this.#isInSequence = isInSequence
    for (const partition of this.#partitions) {
      partition.next = undefined
      partition.handedNow = new Set()
      partition.doneNow = new Set()
      this.rememberedAbove += partition.finishedAbove.size
    }
  }

  note(told: Told): void {
    if (told.is === 'acknowledged') this.#acknowledged(told)
    else if (told.is === 'handed') this.#handed(told)
    else if (told.is === 'done') this.#done(told)
    else if (told.is === 'committed') for (const each of told.offsets) this.#committed(each)
  }

  /** It ended in order: nothing that was done in it is handed out again. */
  closed(): void {
    for (const partition of this.#partitions) {
      partition.settled = new Set([...partition.settled, ...partition.doneNow])
    }
  }

  /** Every record was done by somebody, the acknowledged ones among them. */
  checkIsAllDone(ends: readonly number[]): void {
    for (const [number, { end, done }] of this.#partitions.entries()) {
      const last = ends[number] ?? 0
      assert.ok(last >= end, `partition ${number} ends at ${last}, ${end} were acknowledged`)
      for (let each = 0; each < last; each += 1) {
        assert.ok(done.has(each), `partition ${number}: ${each} was never done`)
      }
    }
  }

  #acknowledged({ partition: number, offset, keys }: Extract<Told, { is: 'acknowledged' }>): void {
    const partition = this.#of(number)
    for (const [index, key] of keys.entries()) partition.keys.set(offset + index, key)
    partition.end = Math.max(partition.end, offset + keys.length)
  }

  #handed({ partition: number, offset, key }: Extract<Told, { is: 'handed' }>): void {
    const partition = this.#of(number)
    const at = `partition ${number}, offset ${offset}`
    const { committed, finishedAbove, settled, handedNow, doneNow, done } = partition
    assert.ok(offset >= committed, `${at}: ${committed} was committed`)
    assert.ok(!finishedAbove.has(offset), `${at}: it was committed as finished above ${committed}`)
    assert.ok(!settled.has(offset), `${at}: it was done at an orderly end`)
    assert.ok(!doneNow.has(offset), `${at}: it is done`)
    if (this.#isInSequence) {
      this.#checkIsNext(partition, offset, at)
      partition.next = offset + 1
    } else this.#checkKey(partition, offset, key, at)
    if (!handedNow.has(offset)) {
      this.handedOut += 1
      if (partition.keys.has(offset) && done.has(offset)) this.handedOutAgain += 1
    }
    handedNow.add(offset)
    partition.keys.set(offset, key)
  }

  /** What lies between was done: committed, though nobody was told of it before the kill. */
  #checkIsNext(
    { next, committed, done, handedNow, doneNow }: Partition,
    offset: number,
    at: string,
  ) {
    // Its handler has failed.
    if (handedNow.has(offset) && !doneNow.has(offset)) return
    const expected = next ?? committed
    assert.ok(offset >= expected, `${at}: ${expected} comes next`)
    for (let each = expected; each < offset; each += 1) {
      assert.ok(done.has(each), `${at}: ${each} is not done, and is passed over`)
    }
  }

  #checkKey({ committed, keys, done }: Partition, offset: number, key: string | null, at: string) {
    for (let before = committed; before < offset && key !== null; before += 1) {
      if (keys.get(before) !== key) continue
      assert.ok(done.has(before), `${at}: ${before} of its key ${key} is not done`)
    }
  }

  #done({ partition: number, offset }: Extract<Told, { is: 'done' }>): void {
    const { done, doneNow } = this.#of(number)
    done.add(offset)
    doneNow.add(offset)
  }

  #committed({ partition: number, offset, metadata = '' }: OffsetCommit): void {
    const partition = this.#of(number)
    const at = `partition ${number}: ${offset} is committed`
    assert.ok(offset >= partition.committed, `${at} after ${partition.committed}`)
    for (let each = partition.committed; each < offset; each += 1) {
      assert.ok(partition.done.has(each), `${at}, and ${each} is not done`)
    }
    partition.committed = offset
    partition.finishedAbove = new Set()
    for (const { start, end } of decodeFinished(offset, metadata)) {
      for (let each = start; each < end; each += 1) {
        assert.ok(partition.done.has(each), `${at}, and ${each}, above it, is not done`)
        partition.finishedAbove.add(each)
      }
    }
  }

  #of(number: number): Partition {
    const partition = this.#partitions[number]
    assert.ok(partition, `partition ${number}`)
    return partition
  }
}
