import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ReusedMemory } from '../../src/storage/reused-memory.ts'

test('memory is taken again, in the length that is asked for, and is larger only where it has to be', () => {
  const memory = new ReusedMemory()
  const first = memory.take(100)
  const second = memory.take(40)
  const third = memory.take(101)
  assert.deepEqual(
    [first, second, third].map(({ length }) => length),
    [100, 40, 101],
  )
  assert.equal(second.buffer, first.buffer)
  assert.notEqual(third.buffer, first.buffer)
  assert.equal(memory.take(100).buffer, third.buffer)
})
