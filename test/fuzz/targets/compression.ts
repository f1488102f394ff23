/** The compressed block of a batch, in every codec: it may be refused, and nothing larger than the bound comes of it. */
import assert from 'node:assert/strict'
import { BATCH_HEADER_BYTES, readBatchHeader } from '../../../src/codec/batch.ts'
import { BatchFormatError } from '../../../src/codec/batch-format-error.ts'
import { CODEC_LZ4, CODEC_NAMES, compress, decompress } from '../../../src/codec/compression.ts'
import { xxh32 } from '../../../src/codec/xxh32.ts'
import { allBatches, batchesOf } from '../corpus.ts'
import type { FuzzRandom } from '../fuzz-random.ts'
import { mutate } from '../mutate.ts'
import type { FuzzTarget } from '../target.ts'
import { unlessRejected } from '../target.ts'

const MAX_BYTES = 256 * 1024
const MAX_SAMPLE_BYTES = 32 * 1024
const BOMB_BYTES = 8 * 1024 * 1024

/** As a reader would have them decompressed: what a broker and this library compressed, and what grows beyond every bound. */
async function samplesOf(codec: number): Promise<Buffer[]> {
  const plain = allBatches()
    .filter((batch) => readBatchHeader(batch, 0).codec === 0)
    .slice(0, 40)
    .map((batch) => Buffer.from(batch.subarray(BATCH_HEADER_BYTES)))
  const ours = [Buffer.alloc(0), Buffer.alloc(200_000), Buffer.concat(plain.slice(0, 30)), ...plain]
  const bombs = [Buffer.alloc(BOMB_BYTES)]
  const compressed = [...ours, ...bombs].map((bytes) => compress(codec, bytes, undefined))
  const slow = codec === CODEC_LZ4 ? [linkedBytes(50_000)] : []
  return [...brokersBlocks(codec), ...slow, ...(await Promise.all(compressed))]
}

function brokersBlocks(codec: number): Buffer[] {
  const batches = [...batchesOf('compressed', /./), ...batchesOf('compacted', /./)]
  return batches
    .filter((batch) => readBatchHeader(batch, 0).codec === codec)
    .map((batch) => batch.subarray(BATCH_HEADER_BYTES))
    .filter(({ length }) => length <= MAX_SAMPLE_BYTES)
}

/** Linked blocks of one byte each: every one has the 64 KiB before it as its history. */
function linkedBytes(blocks: number): Buffer {
  const frame = Buffer.alloc(7 + blocks * 5 + 4, 'ab')
  frame.writeUInt32LE(0x184d2204, 0)
  frame[4] = 0x40
  frame[5] = 0x40
  for (let at = 7; at < frame.length - 4; at += 5) frame.writeUInt32LE(0x8000_0001, at)
  frame.writeUInt32LE(0, frame.length - 4)
  return withLz4Checksum(frame)
}

/** The header's checksum is one byte; behind a wrong one nothing is looked at. */
function withLz4Checksum(bytes: Buffer): Buffer {
  const end = 6 + ((bytes[4] ?? 0) & 0x08)
  if (bytes.length <= end) return bytes
  const copy = Buffer.from(bytes)
  copy[end] = (xxh32(copy, 4, end) >>> 8) & 0xff
  return copy
}

function changed(random: FuzzRandom, codec: number, samples: readonly Buffer[]): Buffer {
  const bytes = mutate(random, random.pick(samples), samples)
  return codec === CODEC_LZ4 && random.chance(0.5) ? withLz4Checksum(bytes) : bytes
}

function compressionTarget(codec: number, name: string): FuzzTarget {
  let samples: readonly Buffer[] = []
  return {
    name: `compression-${name}`,
    memoryBytes: 64 * 1024 * 1024,
    async prepare() {
      samples = await samplesOf(codec)
    },
    generate: (random) =>
      random.chance(0.02) ? random.bytes(random.size(300)) : changed(random, codec, samples),
    async run(input) {
      const records = await unlessRejected(
        async () => decompress(codec, input, MAX_BYTES),
        BatchFormatError,
      )
      assert.ok(records === undefined || records.length <= MAX_BYTES)
    },
  }
}

export const COMPRESSION_TARGETS: readonly FuzzTarget[] = CODEC_NAMES.flatMap((name, codec) =>
  codec === 0 ? [] : [compressionTarget(codec, name)],
)
