// The memory of tails: what is used again, and what must not be.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryCache } from '../../src/storage/memory-cache.ts'
import type { Chunk } from '../../src/storage/tail.ts'
import { ChunkPool, Tail } from '../../src/storage/tail.ts'

const CHUNK_BYTES = 64 * 1024
/** Room for two chunks; the third drops the first. */
const CACHE_BYTES = 2 * CHUNK_BYTES

/** Partitions that share a cache and a pool, and the first chunk of each, written full. */
function writtenChunks(
  cacheBytes: number,
  change: (first: Chunk) => void,
): { first: Chunk; fourth: Chunk } {
  const cache = new MemoryCache(cacheBytes)
  const pool = new ChunkPool()
  const chunkOf = (): Chunk => {
    const chunk = new Tail(cache, pool).chunkFor(CHUNK_BYTES)
    chunk.end = CHUNK_BYTES
    return chunk
  }
  const first = chunkOf()
  change(first)
  chunkOf()
  chunkOf()
  return { first, fourth: chunkOf() }
}

test('a chunk that the cache has dropped is used again by another partition', () => {
  const { first, fourth } = writtenChunks(CACHE_BYTES, () => {})
  assert.equal(fourth.buffer, first.buffer)
})

test('a chunk that readers hold views on, or with batches still to be written, is not', () => {
  const shared = writtenChunks(CACHE_BYTES, (first) => (first.isShared = true))
  assert.notEqual(shared.fourth.buffer, shared.first.buffer)
  const unwritten = writtenChunks(CACHE_BYTES, (first) => (first.unwritten = 1))
  assert.notEqual(unwritten.fourth.buffer, unwritten.first.buffer)
})

test('a chunk that the cache has no place for from the start belongs to its first taker', () => {
  const pool = new ChunkPool()
  const cache = new MemoryCache(0)
  const first = new Tail(cache, pool).chunkFor(CHUNK_BYTES)
  const second = new Tail(cache, pool).chunkFor(CHUNK_BYTES)
  assert.notEqual(first.buffer, second.buffer)
})
