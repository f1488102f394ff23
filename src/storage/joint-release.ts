/**
 * Lets read-committed readers see what transactions have committed: each in all of its partitions in one turn of the event loop.
 *
 * That takes more than to let go of all its holds at once, as readers of a partition stop before the first hold: where a transaction that is not decided
 * yet lies before it, or between its records, in one of its partitions, readers would see half of it. So a committed transaction stays held while anything
 * before its last record in any of its partitions is, and those that lie before each other (the first is earlier in one partition, the second in another)
 * go together.
 */
import type { Bond, HeldLog } from './visible-transactions.ts'

/** The producer's transaction is committed, and its markers stand in all of these. */
export function releaseJointly(producerId: number, logs: readonly HeldLog[]): void {
  const parts = logs.flatMap((log) => {
    const hold = log.visible.decide(producerId)
    if (hold === undefined) return []
    const last = log.producers.get(producerId)?.batches.at(-1)
    return { log, hold, lastOffset: last?.lastOffset ?? hold.firstOffset }
  })
  const bond: Bond = { parts }
  for (const { hold } of parts) hold.bond = bond
  stabilize(logs)
}

/** It is aborted: as nobody sees anything of it, no partition waits for another. */
export function releaseAborted(producerId: number, logs: readonly HeldLog[]): void {
  for (const log of logs) log.visible.release(producerId)
  stabilize(logs)
}

/** Holds have changed: lets go of what nothing lies before any more, and tells all whose last stable offset may have moved. */
function stabilize(changed: readonly HeldLog[]): void {
  const moved = new Set(changed)
  // Those that are added on the way are visited as well, again if they were before.
  for (const log of moved) {
    for (let free = freeAtStart(log); free !== undefined; free = freeAtStart(log)) {
      for (const { log: of, hold } of free.flatMap(({ parts }) => parts)) {
        of.visible.letGo(hold)
        moved.delete(of)
        moved.add(of)
      }
    }
  }
  for (const log of moved) log.stabilized()
}

/** What is held first in a partition, where it can go, with what goes together with it. All else waits for it. */
function freeAtStart(log: HeldLog): readonly Bond[] | undefined {
  for (const { bond } of log.visible.held) {
    return bond === undefined ? undefined : withAllBefore(bond)
  }
  return undefined
}

/** The committed transaction and all those that lie before it, before those, and so on; undefined where one of them is not decided. */
function withAllBefore(bond: Bond): readonly Bond[] | undefined {
  const found = new Set([bond])
  for (const { parts } of found) {
    for (const { log, lastOffset } of parts) {
      for (const before of log.visible.held) {
        if (before.firstOffset > lastOffset) break
        if (before.bond === undefined) return undefined
        found.add(before.bond)
      }
    }
  }
  return [...found]
}
