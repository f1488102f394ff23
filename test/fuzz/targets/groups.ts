/** The decoders of what groups keep, and the reader of primitive types under them. */
import assert from 'node:assert/strict'
import { BATCH_HEADER_BYTES, readBatchHeader } from '../../../src/codec/batch.ts'
import { ByteReader, MalformedBytesError } from '../../../src/groups/byte-reader.ts'
import {
  decodeAssignment,
  decodeGroupMetadata,
  decodeSubscription,
} from '../../../src/groups/group-metadata-format.ts'
import {
  decodeKey,
  decodeOffsetValue,
  encodeGroupKey,
  encodeOffsetKey,
  encodeOffsetValue,
} from '../../../src/groups/offset-format.ts'
import { batchesOf } from '../corpus.ts'
import type { FuzzRandom } from '../fuzz-random.ts'
import { mutate, varintBytes } from '../mutate.ts'
import { referenceRecords } from '../reference-decoder.ts'
import type { FuzzTarget } from '../target.ts'
import { unlessRefused } from '../target.ts'

const OFFSETS = /^__consumer_offsets-/

interface Stored {
  readonly key: Buffer
  readonly value: Buffer
}

/** What brokers keep in `__consumer_offsets`. */
function storedRecords(): Stored[] {
  const batches = (['offsets', 'transactions', 'transactions-v1'] as const).flatMap((set) =>
    batchesOf(set, OFFSETS),
  )
  return batches.flatMap((batch) => {
    const header = readBatchHeader(batch, 0)
    const { records } = referenceRecords(batch, BATCH_HEADER_BYTES, batch.length, header)
    return records.flatMap(({ key, value }) =>
      key === null || value === null ? [] : [{ key, value }],
    )
  })
}

let keys: readonly Buffer[] = []
let offsetValues: readonly Buffer[] = []
let groupValues: readonly Buffer[] = []

async function prepare(): Promise<void> {
  if (keys.length > 0) return
  const records = storedRecords()
  const valuesOf = (kind: string): Buffer[] =>
    records.filter(({ key }) => decodeKey(key).kind === kind).map(({ value }) => value)
  keys = records.map(({ key }) => key)
  offsetValues = valuesOf('offset')
  groupValues = valuesOf('group')
}

/** Often of another version, so that the rest is read as that. */
function mutatedValue(random: FuzzRandom, values: readonly Buffer[]): Buffer {
  const value = Buffer.from(mutate(random, random.pick(values), values))
  if (value.length >= 2 && random.chance(0.3)) value.writeInt16BE(random.below(6), 0)
  return value
}

const offsetKey: FuzzTarget = {
  name: 'offset-key',
  prepare,
  generate: (random) => mutatedValue(random, keys),
  run(input) {
    const key = decodeKey(input)
    if (key.kind === 'unknown') return
    const again =
      key.kind === 'group'
        ? encodeGroupKey(key.group)
        : encodeOffsetKey(key.group, key.topic, key.partition)
    assert.deepEqual(decodeKey(again), key)
  },
}

const offsetValue: FuzzTarget = {
  name: 'offset-value',
  prepare,
  generate: (random) => mutatedValue(random, offsetValues),
  run(input) {
    const value = unlessRefused(() => decodeOffsetValue(input), MalformedBytesError)
    // A compact string may be longer than version 3 can say.
    if (value === undefined || Buffer.byteLength(value.metadata) > 32_767) return
    assert.deepEqual(decodeOffsetValue(encodeOffsetValue(value)), value)
  },
}

const groupMetadata: FuzzTarget = {
  name: 'group-metadata',
  prepare,
  generate: (random) => mutatedValue(random, groupValues),
  run(input) {
    unlessRefused(() => decodeGroupMetadata(input), MalformedBytesError)
    unlessRefused(() => decodeSubscription(input), MalformedBytesError)
    unlessRefused(() => decodeAssignment(input), MalformedBytesError)
  },
}

const READS: readonly ((reader: ByteReader) => unknown)[] = [
  (reader) => reader.int8(),
  (reader) => reader.int16(),
  (reader) => reader.int32(),
  (reader) => reader.int64(),
  (reader) => reader.unsignedVarint(),
  (reader) => reader.string(),
  (reader) => reader.nullableString(),
  (reader) => reader.compactString(),
  (reader) => reader.nullableCompactString(),
  (reader) => reader.bytes(),
  (reader) => reader.nullableBytes(),
  (reader) => reader.compactBytes(),
  (reader) => reader.array(() => reader.int16()),
  (reader) => reader.compactArray(() => reader.array(() => reader.int8())),
  (reader) => reader.skipTaggedFields(),
]

/** The first byte counts the reads, those behind it choose them. */
const byteReader: FuzzTarget = {
  name: 'byte-reader',
  generate(random) {
    const reads = 1 + random.below(12)
    const parts = Array.from({ length: reads }, () =>
      random.chance(0.5) ? varintBytes(random) : random.bytes(random.size(40)),
    )
    return Buffer.concat([Buffer.from([reads]), random.bytes(reads), ...parts])
  },
  run(input) {
    const reads = input[0] ?? 0
    const bytes = input.subarray(1 + reads)
    const reader = new ByteReader(bytes)
    unlessRefused(() => {
      for (const chosen of input.subarray(1, 1 + reads)) {
        const before = reader.remaining
        READS[chosen % READS.length]?.(reader)
        assert.ok(reader.remaining >= 0 && reader.remaining <= before)
      }
    }, MalformedBytesError)
  },
}

export const GROUP_TARGETS: readonly FuzzTarget[] = [
  offsetKey,
  offsetValue,
  groupMetadata,
  byteReader,
]
