// What the memory cache drops, and in which order.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CacheEntry, MemoryCache } from '../../src/storage/memory-cache.ts'

function cacheWith(limitBytes: number): { cache: MemoryCache; gone: string[]; entry: EntryMaker } {
  const gone: string[] = []
  class Entry extends CacheEntry {
    readonly #name: string
    constructor(name: string) {
      super()
      this.#name = name
    }
    evicted(): void {
      gone.push(this.#name)
    }
  }
  return { cache: new MemoryCache(limitBytes), gone, entry: (name) => new Entry(name) }
}

type EntryMaker = (name: string) => CacheEntry

test('what was used outlives what was not, once', () => {
  const { cache, gone, entry } = cacheWith(30)
  const used = entry('used')
  cache.add(used, 10)
  cache.add(entry('idle'), 10)
  cache.touch(used)
  cache.add(entry('third'), 10)
  cache.add(entry('fourth'), 10)
  assert.deepEqual(gone, ['idle'])
  cache.add(entry('fifth'), 10)
  assert.deepEqual(gone, ['idle', 'third'])
  cache.add(entry('sixth'), 10)
  cache.add(entry('seventh'), 10)
  assert.deepEqual(gone, ['idle', 'third', 'fourth', 'used'])
  assert.equal(cache.usedBytes, 30)
})

test('the bound holds where all have been used, and against one that is too large alone', () => {
  const { cache, gone, entry } = cacheWith(20)
  for (const name of ['a', 'b']) {
    const each = entry(name)
    cache.add(each, 10)
    cache.touch(each)
  }
  cache.add(entry('c'), 10)
  assert.equal(cache.usedBytes, 20)
  cache.add(entry('large'), 21)
  assert.equal(cache.usedBytes, 0)
  assert.equal(gone.at(-1), 'large')
})
