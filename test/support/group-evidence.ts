/** What the consumers of a group were told and handed, held to what a group promises, whenever something is told. */
import assert from 'node:assert/strict'
import type { ConsumedRecord } from '../../src/groups/consumer/page-source.ts'
import type { FinishedRange } from '../../src/groups/consumer/run/finished-ranges.ts'
import { decodeFinished } from '../../src/groups/consumer/run/finished-ranges.ts'
import type { OffsetCommit, TopicPartition } from '../../src/index.ts'

export interface Produced {
  readonly key: string | null
  readonly value: string
}

/** `page`: one after another, and a page is done as a whole. `key`: in the order of each key. */
export type Way = 'record' | 'page' | 'partition' | 'key'

export interface Holder {
  readonly id: string
  readonly way: Way
  readonly isClosing: boolean
}

/** A holder's time with a partition: from when it was assigned until it was handed back or lost. */
interface Tenure {
  readonly holder: Holder
  /** Where it began; undefined until something is handed out. */
  base: number | undefined
  /** The offset that comes next, where records come one after another. */
  next: number
  /** Finished in it, or by what was committed when it began. */
  readonly finished: Set<number>
  /** Its handler has failed: it comes again. */
  readonly failed: Set<number>
}

interface PartitionEvidence {
  readonly name: string
  readonly produced: Produced[]
  committed: number
  finishedAbove: readonly FinishedRange[]
  /** Those that somebody has finished who owned the partition then. */
  readonly finished: Set<number>
  /** In whose hands, by offset. */
  readonly inHand: Map<number, Holder>
  /** How often each was handed out. */
  readonly handedOut: Map<number, number>
  /** The last time it was handed out it was not finished. */
  readonly leftOver: Set<number>
  tenure: Tenure | undefined
}

export const nameOf = ({ topic, partition }: TopicPartition): string => `${topic}-${partition}`

export class GroupEvidence {
  readonly #partitions = new Map<string, PartitionEvidence>()
  /** Also of partitions whose topic is gone, until they are handed back. */
  readonly #owners = new Map<string, Holder>()
  handedOut = 0
  handedOutAgain = 0

  // ----------------------------------------------------------------------------------- the log

  create(name: string): void {
    const partition: PartitionEvidence = {
      name,
      produced: [],
      committed: 0,
      finishedAbove: [],
      finished: new Set(),
      inHand: new Map(),
      handedOut: new Map(),
      leftOver: new Set(),
      tenure: undefined,
    }
    this.#partitions.set(name, partition)
    const owner = this.#owners.get(name)
    if (owner !== undefined) partition.tenure = tenureOf(owner)
  }

  delete(name: string): void {
    this.#partitions.delete(name)
  }

  names(): string[] {
    return [...this.#partitions.keys()]
  }

  produced(name: string, offset: number, record: Produced): void {
    const { produced } = this.#of(name)
    assert.equal(offset, produced.length)
    produced.push(record)
  }

  // ----------------------------------------------------------------------------------- owners

  assigned(holder: Holder, names: readonly string[]): void {
    for (const name of names) {
      const owner = this.#owners.get(name)
      assert.equal(owner?.id, undefined, `${name} is given to ${holder.id}, and is ${owner?.id}'s`)
      this.#owners.set(name, holder)
      const partition = this.#partitions.get(name)
      if (partition !== undefined) partition.tenure = tenureOf(holder)
    }
  }

  /** It is about to be handed back: nothing of it is in hand, save where a close has waited long enough, and what is done is committed. */
  revoking(holder: Holder, names: readonly string[], isCommitted: boolean): void {
    for (const name of names) {
      const partition = this.#partitions.get(name)
      if (partition === undefined || this.#owners.get(name) !== holder) continue
      const inHand = holder.isClosing ? [] : [...partition.inHand.keys()]
      assert.deepEqual(inHand, [], `${name} of ${holder.id} is in hand`)
      const { tenure, committed } = partition
      if (tenure?.base === undefined || !isCommitted) continue
      let done = tenure.base
      while (tenure.finished.has(done)) done += 1
      // By hand more may have been committed.
      assert.ok(
        committed >= done,
        `${name} of ${holder.id}: ${done} is done, ${committed} committed`,
      )
    }
  }

  /** Handed back, or lost. What is in hand of it by now counts for nothing. */
  ended(holder: Holder, names: readonly string[], how: 'revoked' | 'lost'): void {
    for (const name of names) {
      const owner = this.#owners.get(name)
      assert.equal(owner?.id, holder.id, `${name} is ${how}`)
      this.#owners.delete(name)
      const partition = this.#partitions.get(name)
      if (partition === undefined) continue
      partition.tenure = undefined
      for (const offset of partition.inHand.keys()) partition.leftOver.add(offset)
      partition.inHand.clear()
    }
  }

  owner(name: string): Holder | undefined {
    return this.#owners.get(name)
  }

  // ---------------------------------------------------------------------------------- records

  handOut(holder: Holder, record: ConsumedRecord): void {
    const { offset, key, value, deliveryCount } = record
    const name = nameOf(record)
    const at = `${name}, offset ${offset}, to ${holder.id}`
    const partition = this.#of(name)
    const { produced, tenure, inHand } = partition
    assert.deepEqual({ key, value }, produced[offset], at)
    assert.equal(this.#owners.get(name)?.id, holder.id, `${at}: not its own`)
    assert.ok(tenure, at)
    for (const other of inHand.values()) assert.equal(other, holder, `${at}: two hold ${name}`)
    assert.ok(!inHand.has(offset), `${at}: it is in hand`)
    this.#checkPlace(partition, tenure, offset, at)
    this.#checkCount(partition, offset, deliveryCount, at)
    inHand.set(offset, holder)
    tenure.failed.delete(offset)
    partition.leftOver.delete(offset)
  }

  /** It was lost on the way to who was handed it: it is in no hands, and comes again. */
  handedOutInVain(name: string, offset: number): void {
    const partition = this.#partitions.get(name)
    if (partition === undefined) return
    partition.handedOut.set(offset, (partition.handedOut.get(offset) ?? 0) + 1)
  }

  #checkPlace(partition: PartitionEvidence, tenure: Tenure, offset: number, at: string): void {
    const { committed, finishedAbove, produced } = partition
    if (tenure.base === undefined) {
      tenure.base = committed
      tenure.next = committed
      for (const { start, end } of finishedAbove) {
        for (let each = start; each < end; each += 1) tenure.finished.add(each)
      }
    }
    const { base, finished, failed } = tenure
    assert.ok(offset >= base && !finished.has(offset), `${at}: it is finished (from ${base} on)`)
    if (failed.has(offset)) return
    if (tenure.holder.way !== 'key') {
      while (finished.has(tenure.next)) tenure.next += 1
      assert.equal(offset, tenure.next, `${at}: ${tenure.next} comes next`)
      tenure.next = offset + 1
      return
    }
    const key = produced[offset]?.key
    for (let before = base; before < offset && key !== null; before += 1) {
      if (produced[before]?.key !== key) continue
      assert.ok(finished.has(before), `${at}: ${before} of the key ${key} is not finished`)
    }
  }

  #checkCount(partition: PartitionEvidence, offset: number, deliveryCount: number, at: string) {
    const before = partition.handedOut.get(offset) ?? 0
    partition.handedOut.set(offset, before + 1)
    this.handedOut += 1
    if (before > 0) this.handedOutAgain += 1
    const least = partition.leftOver.has(offset) ? 2 : 1
    const isPossible = deliveryCount >= least && deliveryCount <= before + 1
    assert.ok(isPossible, `${at}: delivery ${deliveryCount}, and it was handed out ${before} times`)
  }

  /** It came back for more. Of who has lost it meanwhile it counts for nothing. */
  finish(holder: Holder, name: string, offset: number): void {
    const partition = this.#heldBy(holder, name, offset)
    if (partition === undefined) return
    partition.inHand.delete(offset)
    partition.finished.add(offset)
    partition.tenure?.finished.add(offset)
  }

  /** It is about to be committed by hand, with all before it, while it is in hand; it may be lost before that. */
  vouch(holder: Holder, name: string, offset: number): void {
    const partition = this.#heldBy(holder, name, offset)
    for (const [each, other] of partition?.inHand ?? []) {
      if (other !== holder || each > offset) continue
      partition?.finished.add(each)
    }
  }

  /** Its handler has failed. */
  fail(holder: Holder, name: string, offset: number): void {
    const partition = this.#heldBy(holder, name, offset)
    if (partition === undefined) return
    partition.inHand.delete(offset)
    partition.tenure?.failed.add(offset)
    partition.leftOver.add(offset)
  }

  /** It is given back unfinished: it comes again, to whom ever. */
  giveUp(holder: Holder, name: string, offset: number): void {
    const partition = this.#heldBy(holder, name, offset)
    if (partition === undefined) return
    partition.inHand.delete(offset)
    partition.leftOver.add(offset)
  }

  #heldBy(holder: Holder, name: string, offset: number): PartitionEvidence | undefined {
    const partition = this.#partitions.get(name)
    return partition?.inHand.get(offset) === holder ? partition : undefined
  }

  // ---------------------------------------------------------------------------------- commits

  /** Nothing is skipped: all below it is finished, and what is said to be finished above it is. */
  committed(holder: Holder, commits: readonly OffsetCommit[]): void {
    for (const { offset, metadata = '', ...place } of commits) {
      const name = nameOf(place)
      const partition = this.#partitions.get(name)
      if (partition === undefined) continue
      const at = `${name}: ${offset} is committed by ${holder.id}`
      assert.equal(this.#owners.get(name)?.id, holder.id, at)
      for (let each = partition.committed; each < offset; each += 1) {
        assert.ok(partition.finished.has(each), `${at}, and ${each} is not finished`)
      }
      const finishedAbove = decodeFinished(offset, metadata)
      for (const { start, end } of finishedAbove) {
        for (let each = start; each < end; each += 1) {
          assert.ok(partition.finished.has(each), `${at}, and ${each}, above it, is not finished`)
        }
      }
      assert.ok(offset >= partition.committed, `${at}, and ${partition.committed} was before`)
      partition.committed = offset
      partition.finishedAbove = finishedAbove
    }
  }

  /** What is not done, and whose it is. */
  left(): string[] {
    return [...this.#partitions.values()].flatMap((partition) => {
      const { name, produced, finished, committed, inHand } = partition
      if (finished.size === produced.length && committed === produced.length) return []
      const owner = this.#owners.get(name)?.id ?? 'nobody'
      const [[offset, holder] = []] = inHand
      const hands = holder === undefined ? '' : `, ${offset} in the hands of ${holder.id}`
      return [
        `${name}: ${finished.size} of ${produced.length}, ${committed} committed, of ${owner}${hands}`,
      ]
    })
  }

  /** Every record has reached somebody who has finished it, and that is committed. */
  isAllDone(): boolean {
    return [...this.#partitions.values()].every(
      ({ produced, finished, committed }) =>
        finished.size === produced.length && committed === produced.length,
    )
  }

  #of(name: string): PartitionEvidence {
    const partition = this.#partitions.get(name)
    assert.ok(partition, `${name} is not there`)
    return partition
  }
}

function tenureOf(holder: Holder): Tenure {
  return { holder, base: undefined, next: 0, finished: new Set(), failed: new Set() }
}
