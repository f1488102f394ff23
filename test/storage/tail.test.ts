// The memory of tails: what is used again, and what must not be.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryCache } from '../../src/storage/memory-cache.ts'
import { PendingBatch } from '../../src/storage/pending-batch.ts'
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

test('a chunk whose batch was given up is not, as a write in the thread pool may still read from it', () => {
  const { first, fourth } = writtenChunks(CACHE_BYTES, (chunk) => {
    const batch = new PendingBatch(chunk, 0)
    chunk.unwritten = 1
    batch.abandon()
    assert.equal(chunk.unwritten, 0)
  })
  assert.notEqual(fourth.buffer, first.buffer)
})

test('free chunks are bounded over all sizes together', () => {
  const cache = new MemoryCache(2 ** 30)
  const pool = new ChunkPool()
  const sizes = [64, 128, 256, 512, 1024].flatMap((kib) => Array<number>(4).fill(kib * 1024))
  const take = (): Chunk[] => sizes.map((bytes) => new Tail(cache, pool).chunkFor(bytes))
  const first = take()
  for (const chunk of first) pool.give(chunk)
  const before = new Set(first.map(({ buffer }) => buffer))
  const again = take().filter(({ buffer }) => before.has(buffer))
  const bytes = again.reduce((sum, { buffer }) => sum + buffer.length, 0)
  assert.ok(bytes > 2 ** 21 && bytes <= 2 ** 22, `${bytes} bytes were kept`)
})
