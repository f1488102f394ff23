/**
 * The last offset of each key of a range of a log, in memory of a fixed size: a table of slots with linear probing.
 *
 *   | digest, 4 x uint32 | offset less the range's first, plus 1, uint32 |   20 bytes a slot; 0: the slot is empty
 *
 * Instead of the key a slot has its digest: see `KeyDigest` for why that is enough.
 */
import { DIGEST_WORDS, KeyDigest } from './key-digest.ts'
import type { RecordChunk } from './record-chunk.ts'
import { CHUNK_RECORDS } from './record-chunk.ts'

const WORDS = DIGEST_WORDS + 1
const OFFSET_WORD = DIGEST_WORDS
const SLOT_BYTES = 4 * WORDS
/** Of the slots, that are filled at the most: beyond it the way to a free one gets long. */
const MOST_FILLED = 0.75
const MAX_WORD = 2 ** 32 - 1
const TWO_32 = 2 ** 32
/** Cleared at once: 256 KiB take some 0.05 ms, and 0.5 ms where the memory is touched for the first time. */
const CLEARED_WORDS = 64 * 1024

export class KeyMap {
  readonly #digest: KeyDigest
  readonly #words: Uint32Array
  readonly #mostKeys: number
  /** From a word of the digest to a slot. */
  readonly #scale: number
  /** Of the keys of a chunk. */
  readonly #digests = new Uint32Array(DIGEST_WORDS * CHUNK_RECORDS)
  #firstOffset = 0
  #size = 0
  #isCleared = false

  /**
   * @param maxBytes of the table; at least one key fits in any case.
   * @param keys how many there are at the most, where that is known: the table is made no larger than they need.
   */
  constructor(maxBytes: number, keys: number, randomInteger: (below: number) => number) {
    const most = Math.floor(maxBytes / SLOT_BYTES)
    const slots = Math.max(2, Math.min(most, Math.ceil(keys / MOST_FILLED) + 1))
    this.#digest = new KeyDigest(randomInteger)
    this.#words = new Uint32Array(slots * WORDS)
    this.#mostKeys = Math.max(1, Math.floor(slots * MOST_FILLED))
    this.#scale = slots / TWO_32
  }

  /** Number of keys. */
  get size(): number {
    return this.#size
  }

  /**
   * Empties the map, for a range that begins at this offset; `pause` is awaited between parts of the work. Also a new one: the first keys
   * would touch all of its memory within one turn, which takes the operating system up to 100 ms to give.
   */
  async begin(firstOffset: number, pause: () => Promise<void>): Promise<void> {
    this.#firstOffset = firstOffset
    if (this.#size === 0 && this.#isCleared) return
    this.#size = 0
    this.#isCleared = true
    for (let at = 0; at < this.#words.length; at += CLEARED_WORDS) {
      this.#words.fill(0, at, at + CLEARED_WORDS)
      await pause()
    }
  }

  /**
   * Takes the keys of a chunk from `fromOffset` on, of a batch that begins at `baseOffset`; those of chunks before have lower
   * offsets. Answers with the number of records that were passed: less than the chunk has where there is no room for a key,
   * or its offset is too far from the first.
   */
  put(page: Uint8Array, chunk: RecordChunk, baseOffset: number, fromOffset: number): number {
    const { count, offsetDeltas, keyLengths } = chunk
    const words = this.#words
    const digests = this.#digests
    this.#digestKeys(page, chunk)
    for (let index = 0; index < count; index += 1) {
      const offset = baseOffset + (offsetDeltas[index] as number)
      if ((keyLengths[index] as number) < 0 || offset < fromOffset) continue
      const word = offset - this.#firstOffset + 1
      const at = this.#find(index)
      if (words[at + OFFSET_WORD] === 0) {
        if (this.#size >= this.#mostKeys || word > MAX_WORD) return index
        for (let each = 0; each < DIGEST_WORDS; each += 1) {
          words[at + each] = digests[DIGEST_WORDS * index + each] as number
        }
        this.#size += 1
      } else if (word > MAX_WORD) return index
      words[at + OFFSET_WORD] = word
    }
    return count
  }

  /** Puts into `found` for each record of a chunk the last offset that its key was put with; -1 where it was not, or it has none. */
  find(page: Uint8Array, chunk: RecordChunk, found: Float64Array): void {
    const { count, keyLengths } = chunk
    const words = this.#words
    const before = this.#firstOffset - 1
    this.#digestKeys(page, chunk)
    for (let index = 0; index < count; index += 1) {
      const word =
        (keyLengths[index] as number) < 0 ? 0 : (words[this.#find(index) + OFFSET_WORD] as number)
      found[index] = word === 0 ? -1 : before + word
    }
  }

  #digestKeys(page: Uint8Array, { count, keyStarts, keyLengths }: RecordChunk): void {
    const digest = this.#digest
    const digests = this.#digests
    for (let index = 0; index < count; index += 1) {
      const length = keyLengths[index] as number
      if (length < 0) continue
      digest.put(page, keyStarts[index] as number, length, digests, DIGEST_WORDS * index)
    }
  }

  /** Where the slot of a key of the chunk begins, or the free one that it would get. */
  #find(index: number): number {
    const words = this.#words
    const digests = this.#digests
    const from = DIGEST_WORDS * index
    const word0 = digests[from] as number
    const word1 = digests[from + 1] as number
    const word2 = digests[from + 2] as number
    const word3 = digests[from + 3] as number
    let at = Math.floor(word0 * this.#scale) * WORDS
    for (;;) {
      if (words[at + OFFSET_WORD] === 0) return at
      const isKey =
        words[at] === word0 &&
        words[at + 1] === word1 &&
        words[at + 2] === word2 &&
        words[at + 3] === word3
      if (isKey) return at
      at += WORDS
      if (at === words.length) at = 0
    }
  }
}
