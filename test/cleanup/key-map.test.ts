import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DIGEST_WORDS, KeyDigest, LONGEST_SHORT_KEY } from '../../src/cleanup/key-digest.ts'
import { KeyMap } from '../../src/cleanup/key-map.ts'
import { CHUNK_RECORDS, RecordChunk } from '../../src/cleanup/record-chunk.ts'
import { randomInteger, seededRandom } from '../support/random.ts'

const MIB = 1024 * 1024

function integers(seed = 1): (below: number) => number {
  const random = seededRandom(seed)
  return (below) => randomInteger(random, below)
}

/** A page of keys, null for none, and the chunk that says where they stand. */
function chunkOf(keys: readonly (Buffer | null)[]): { page: Buffer; chunk: RecordChunk } {
  const chunk = new RecordChunk()
  const page = Buffer.concat(keys.map((key) => key ?? Buffer.alloc(0)))
  let at = 0
  for (const [index, key] of keys.entries()) {
    chunk.keyStarts[index] = at
    chunk.keyLengths[index] = key?.length ?? -1
    chunk.offsetDeltas[index] = index
    at += key?.length ?? 0
  }
  chunk.count = keys.length
  return { page, chunk }
}

function put(map: KeyMap, offset: number, ...keys: (string | null)[]): number {
  const { page, chunk } = chunkOf(keys.map((key) => (key === null ? null : Buffer.from(key))))
  return map.put(page, chunk, offset, 0)
}

function find(map: KeyMap, ...keys: (string | null)[]): number[] {
  const { page, chunk } = chunkOf(keys.map((key) => (key === null ? null : Buffer.from(key))))
  const found = new Float64Array(CHUNK_RECORDS)
  map.find(page, chunk, found)
  return [...found.subarray(0, keys.length)]
}

async function mapOf(maxBytes = MIB, keys = 1000, firstOffset = 0): Promise<KeyMap> {
  const map = new KeyMap(maxBytes, keys, integers())
  await map.begin(firstOffset, async () => {})
  return map
}

test('a map knows the last offset of each key, and -1 of those that it was not given', async () => {
  const map = await mapOf()
  assert.equal(put(map, 10, 'a', 'b', 'a', null, ''), 5)
  assert.equal(put(map, 20, 'b'), 1)
  assert.deepEqual(find(map, 'a', 'b', '', 'c', null), [12, 20, 14, -1, -1])
  assert.equal(map.size, 3)
})

test('keys of records before the first dirty offset are passed', async () => {
  const map = await mapOf()
  const { page, chunk } = chunkOf([Buffer.from('a'), Buffer.from('b')])
  assert.equal(map.put(page, chunk, 10, 11), 2)
  assert.deepEqual(find(map, 'a', 'b'), [-1, 11])
})

test('a full map says how far it has come, and still takes what it knows', async () => {
  // Four slots, three keys.
  const map = await mapOf(80)
  assert.equal(put(map, 0, 'a', 'b', 'c', 'a', 'd', 'b'), 4)
  assert.deepEqual(find(map, 'a', 'b', 'c', 'd'), [3, 1, 2, -1])
  assert.equal(put(map, 9, 'c', 'b'), 2)
  assert.deepEqual(find(map, 'b', 'c'), [10, 9])
})

test('at least one key fits', async () => {
  assert.equal(put(await mapOf(1), 0, 'a', 'b'), 1)
})

test('a map is no larger than its keys need, and holds them all', async () => {
  const map = await mapOf(MIB, 5)
  assert.equal(put(map, 0, 'a', 'b', 'c', 'd', 'e'), 5)
})

test('an emptied map knows nothing, and counts from another offset', async () => {
  const map = await mapOf()
  put(map, 0, 'a')
  let pauses = 0
  await map.begin(2 ** 40, async () => {
    pauses += 1
  })
  assert.ok(pauses > 0)
  assert.equal(map.size, 0)
  put(map, 2 ** 40 + 7, 'b')
  assert.deepEqual(find(map, 'a', 'b'), [-1, 2 ** 40 + 7])
})

test('an offset that is too far from the first one ends the range', async () => {
  const map = await mapOf()
  assert.equal(put(map, 2 ** 32 - 3, 'a', 'b', 'a'), 2)
  assert.deepEqual(find(map, 'a', 'b'), [2 ** 32 - 3, 2 ** 32 - 2])
})

test('a map says what a Map would, keys of any bytes and all chunk sizes', async () => {
  const key = fc.oneof(
    fc.uint8Array({ maxLength: 3 }),
    fc.uint8Array({ maxLength: 40 }),
    fc.uint8Array({ minLength: LONGEST_SHORT_KEY - 1, maxLength: LONGEST_SHORT_KEY + 2 }),
  )
  const chunks = fc.array(fc.array(fc.option(key), { minLength: 1, maxLength: 20 }), {
    maxLength: 20,
  })
  await fc.assert(
    fc.asyncProperty(chunks, fc.nat(), async (given, seed) => {
      const map = new KeyMap(MIB, 1000, integers(seed))
      await map.begin(5, async () => {})
      const model = new Map<string, number>()
      let offset = 5
      for (const keys of given) {
        const { page, chunk } = chunkOf(keys.map((each) => each && Buffer.from(each)))
        assert.equal(map.put(page, chunk, offset, 0), keys.length)
        for (const each of keys) {
          if (each !== null) model.set(Buffer.from(each).toString('hex'), offset)
          offset += 1
        }
      }
      assert.equal(map.size, model.size)
      for (const [hex, last] of model) {
        const { page, chunk } = chunkOf([Buffer.from(hex, 'hex')])
        const found = new Float64Array(1)
        map.find(page, chunk, found)
        assert.equal(found[0], last)
      }
    }),
  )
})

function digestOf(digest: KeyDigest, key: Uint8Array): string {
  const words = new Uint32Array(DIGEST_WORDS)
  digest.put(key, 0, key.length, words, 0)
  return words.join()
}

test('no two of 200,000 keys that differ little have one digest', () => {
  const digest = new KeyDigest(integers(7))
  const seen = new Set<string>()
  for (let index = 0; index < 100_000; index += 1) {
    seen.add(digestOf(digest, Buffer.from(`user-${index}`)))
    const bytes = Buffer.alloc(9)
    bytes.writeUInt32LE(index, index % 6)
    seen.add(digestOf(digest, bytes.subarray(0, 4 + (index % 6))))
  }
  // Some of the second kind are the same bytes: only what is equal may be lost.
  const keys = new Set<string>()
  for (let index = 0; index < 100_000; index += 1) {
    keys.add(Buffer.from(`user-${index}`).toString('hex'))
    const bytes = Buffer.alloc(9)
    bytes.writeUInt32LE(index, index % 6)
    keys.add(bytes.subarray(0, 4 + (index % 6)).toString('hex'))
  }
  assert.equal(seen.size, keys.size)
})

test('zeros count: keys that are only longer have other digests', () => {
  const digest = new KeyDigest(integers(3))
  const seen = new Set<string>()
  for (let length = 0; length <= LONGEST_SHORT_KEY + 3; length += 1) {
    seen.add(digestOf(digest, Buffer.alloc(length)))
  }
  assert.equal(seen.size, LONGEST_SHORT_KEY + 4)
})

test('every bit of a digest is about as often set as not, short keys and long', () => {
  for (const length of [1, 5, 16, 200, 600]) {
    const ones = new Array<number>(32 * DIGEST_WORDS).fill(0)
    const total = 2000
    for (let index = 0; index < total; index += 1) {
      const digest = new KeyDigest(integers(index + 1))
      const words = new Uint32Array(DIGEST_WORDS)
      digest.put(Buffer.alloc(length, 'k'), 0, length, words, 0)
      for (let bit = 0; bit < ones.length; bit += 1) {
        ones[bit] = (ones[bit] ?? 0) + (((words[bit >> 5] ?? 0) >>> (bit & 31)) & 1)
      }
    }
    // The last lane has 25 of its 28 places.
    const used = length > 512 ? ones : ones.filter((_, bit) => bit < 32 * 3 + 25 + 4)
    for (const count of used) assert.ok(Math.abs(count / total - 0.5) < 0.08, `${count}`)
  }
})

test('other points give other digests', () => {
  const key = Buffer.from('user-1')
  assert.notEqual(
    digestOf(new KeyDigest(integers(1)), key),
    digestOf(new KeyDigest(integers(2)), key),
  )
  const long = Buffer.alloc(LONGEST_SHORT_KEY + 1)
  assert.notEqual(
    digestOf(new KeyDigest(integers(1)), long),
    digestOf(new KeyDigest(integers(2)), long),
  )
})
