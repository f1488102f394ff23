import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KeyedRecords } from '../../bench/data/keyed.ts'
import { Dataset } from '../../bench/data/records.ts'
import { DEFAULT_PARAMETERS } from '../../bench/trials/types.ts'

const RECORDS = 2500
const KEYS = 100
const keyed = new KeyedRecords(new Dataset(DEFAULT_PARAMETERS), KEYS)

test('what is appended in batches is what is expected offset by offset', () => {
  const appended = [...keyed.batches(RECORDS, 1000)]
  assert.deepEqual(
    appended.map(({ length }) => length),
    [1000, 1000, 500],
  )
  for (const [offset, record] of appended.flat().entries()) {
    assert.deepEqual(record, keyed.record(offset))
  }
})

test('all keys are drawn, each about as often, and each has one last offset', () => {
  const count = new Map<string, number>()
  const last = new Map<string, number>()
  for (const [offset, { key }] of [...keyed.batches(RECORDS, 1000)].flat().entries()) {
    const name = String(key)
    count.set(name, (count.get(name) ?? 0) + 1)
    last.set(name, offset)
  }
  assert.equal(count.size, KEYS)
  assert.ok(Math.max(...count.values()) < 60, `${Math.max(...count.values())} of one key`)
  const found = [...keyed.lastOffsets(RECORDS)]
  assert.deepEqual(new Set(found), new Set(last.values()))
  assert.ok(found.every((offset, key) => keyed.keyOf(offset) === key))
  assert.deepEqual([...keyed.lastOffsets(0)], new Array(KEYS).fill(-1))
})
