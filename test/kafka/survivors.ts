/** What a compaction may take, and what it must leave. */
import assert from 'node:assert/strict'
import type { SeenRecord } from './records.ts'
import { expectSameRecords } from './records.ts'

/**
 * Of some records the last ones of their keys are left, at their offsets and as they were; where one has gone, so have all older ones of its
 * key, and there is nothing that was not there. Records without a key go as any other; tombstones as well, where they may.
 * @param after may go on behind those of `before`.
 */
export function expectSurvivors(
  name: string,
  after: readonly SeenRecord[],
  before: readonly SeenRecord[],
  options: { readonly mayTombstonesGo?: boolean } = {},
): void {
  const there = new Set(after.map(({ offset }) => offset))
  const isThere = ({ offset }: SeenRecord): boolean => there.has(offset)
  const end = (before.at(-1)?.offset ?? -1) + 1
  const left = after.filter(({ offset }) => offset < end)
  expectSameRecords(name, left, before.filter(isThere))
  const last = lastOfKeys([...before, ...after])
  const mayGo = ({ value }: SeenRecord): boolean =>
    value === null && options.mayTombstonesGo === true
  const lost = [...last.values()].filter((each) => !isThere(each) && !mayGo(each))
  assert.deepEqual(lost, [], `${name}: last records of their keys`)
  const gone = lastOfKeys(before.filter((each) => !isThere(each)))
  const risen = left.filter(({ key, offset }) => offset < (gone.get(key)?.offset ?? -1))
  assert.deepEqual(risen, [], `${name}: records whose successors have gone`)
}

/** Those without a key are nobody's successors. */
function lastOfKeys(records: readonly SeenRecord[]): Map<string | null, SeenRecord> {
  const last = new Map<string | null, SeenRecord>()
  for (const record of records) {
    if (record.key !== null) last.set(record.key, record)
  }
  return last
}
