/** The serializers, as a reader of records meets them. */
import assert from 'node:assert/strict'
import { DecodeError } from '../../../src/errors.ts'
import { RecordCollector } from '../../../src/topics/log-record.ts'
import type { Serializer } from '../../../src/topics/serializers.ts'
import { json, msgpack, string } from '../../../src/topics/serializers.ts'
import type { FuzzRandom } from '../fuzz-random.ts'
import { mutate } from '../mutate.ts'
import type { FuzzTarget } from '../target.ts'
import { unlessRefused } from '../target.ts'
import { mutateText } from '../text-mutate.ts'

const VALUES: readonly unknown[] = [
  {
    id: 'o-1',
    cents: 1999,
    lines: [
      { sku: 'a', count: 2 },
      { sku: 'ä€😀', count: -1 },
    ],
  },
  [1, 2.5, -0.1, 2 ** 40, -(2 ** 31), true, null, undefined, 'text'.repeat(20)],
  { at: new Date(1_700_000_000_123), blob: Buffer.alloc(40, 7), big: 2n ** 63n, '': {} },
  'x'.repeat(300),
  Array.from({ length: 40 }, (_, index) => ({ index, squares: [index * index] })),
  new Set([1, 'a']),
  /a+/g,
  new Error('an error'),
  -1,
]
const KNOWN = { known: ['value', 1, null, { deep: [1.5] }] }

interface ValueTarget {
  readonly serializer: Serializer<never>
  readonly samples: readonly Buffer[]
  readonly change: (random: FuzzRandom, bytes: Buffer, others: readonly Buffer[]) => Buffer
  /** Deep or greedy ones. */
  readonly nasty: readonly ((size: number) => Buffer)[]
}

/** Reads the value of a record as a user does; what cannot be decoded is a `DecodeError`, and spoils nothing for the next. */
function valueTarget({ serializer, samples, change, nasty }: ValueTarget): FuzzTarget {
  const reader = serializer as unknown as Serializer
  const known = Buffer.from((serializer as Serializer).serialize(KNOWN_FOR[serializer.name]))
  return {
    name: `value-${serializer.name}`,
    generate(random) {
      if (random.chance(0.02)) return random.pick(nasty)(1 + random.size(60_000))
      return random.chance(0.05)
        ? random.bytes(random.size(200))
        : change(random, random.pick(samples), samples)
    },
    run(input) {
      unlessRefused(() => decodedBy(reader, input), DecodeError)
      assert.deepEqual(decodedBy(reader, known), KNOWN_FOR[serializer.name])
    },
  }
}

const KNOWN_FOR: Readonly<Record<string, unknown>> = {
  msgpack: KNOWN,
  json: KNOWN,
  string: 'known',
}

function decodedBy(serializer: Serializer, bytes: Buffer): unknown {
  const collector = new RecordCollector('topic', 0, 'string', serializer)
  collector.record(1, 0, bytes, 0, -1, 0, bytes.length, bytes.length, 0)
  return collector.records[0]?.value
}

const repeated = (unit: number[]) => (size: number) => {
  return Buffer.alloc(size * unit.length, Buffer.from(unit))
}
const text = (unit: string) => (size: number) => Buffer.from(unit.repeat(size))
const asJson = VALUES.map((value) => {
  const plain = typeof value === 'object' && value !== null && 'big' in value ? 'big' : value
  return Buffer.from(JSON.stringify(plain))
})

export const VALUE_TARGETS: readonly FuzzTarget[] = [
  valueTarget({
    serializer: msgpack as Serializer<never>,
    samples: VALUES.map((value) => Buffer.from(msgpack.serialize(value))),
    change: mutate,
    nasty: [
      repeated([0x91]),
      repeated([0x81, 0xa0]),
      repeated([0xdc, 0xff, 0xff]),
      repeated([0xdd, 0x01, 0xff, 0xff, 0xff]),
      repeated([0xdf, 0x7f, 0xff, 0xff, 0xff]),
      repeated([0xc6, 0x7f, 0xff, 0xff, 0xff]),
      repeated([0xc7, 0x04, 0x72]),
      repeated([0xd4, 0x72, 0x40, 0x91, 0xa1, 0x61]),
    ],
  }),
  valueTarget({
    serializer: json as Serializer<never>,
    samples: asJson,
    change: mutateText,
    nasty: [text('['), text('{"":'), text('['), text('"\\u'), text('1')],
  }),
  valueTarget({
    serializer: string as Serializer<never>,
    samples: ['', 'text', 'ä€😀', '\u0000'].map((each) => Buffer.from(each.repeat(9))),
    change: mutate,
    nasty: [repeated([0xf0, 0x9f]), repeated([0x80])],
  }),
]
