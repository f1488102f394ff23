// Who is told of a change in a topic, and who is not.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryFileSystem } from '../../src/testing/memory-file-system.ts'
import { append, recordSet } from '../support/storage-environment.ts'
import { openTopic } from '../support/topics.ts'

test('who waits for one partition is not told of another', async () => {
  const topic = await openTopic(new MemoryFileSystem(), { partitions: 2 })
  const told: string[] = []
  topic.listeners.add((changed) => told.push(`first: ${changed?.name}`), topic.partition(0))
  topic.listeners.add((changed) => told.push(`all: ${changed?.name}`))
  await append(topic.partition(1), recordSet('a'))
  assert.deepEqual(new Set(told), new Set(['all: t-1']))
  await append(topic.partition(0), recordSet('a'))
  assert.deepEqual(new Set(told), new Set(['all: t-1', 'first: t-0', 'all: t-0']))
})

test('all are told that partitions were added, and that the topic has gone', async () => {
  const topic = await openTopic(new MemoryFileSystem())
  const told: (string | undefined)[] = []
  topic.listeners.add((changed) => told.push(changed?.name), topic.partition(0))
  topic.listeners.add((changed) => told.push(changed?.name))
  topic.add([])
  topic.leave('closed')
  assert.deepEqual(told, [undefined, undefined, undefined, undefined])
})

test('who is taken out while others are told is still told of that change, and of no later one', async () => {
  const topic = await openTopic(new MemoryFileSystem())
  const told: string[] = []
  const log = topic.partition(0)
  const second = (): unknown => told.push('second')
  topic.listeners.add(() => {
    told.push('first')
    if (topic.listeners.size === 2) topic.listeners.delete(second, log)
  }, log)
  topic.listeners.add(second, log)
  topic.listeners.tell(log)
  topic.listeners.tell(log)
  assert.deepEqual(told, ['first', 'second', 'first'])
  assert.equal(topic.listeners.size, 1)
})
