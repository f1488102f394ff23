// What the compiler infers. `tsc` is the judge; the tests below only hold that the declarations used here are accepted.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LogOptions } from '../../src/options.ts'
import type { Serializer } from '../../src/topics/serializers.ts'
import type { StandardSchemaV1 } from '../../src/topics/standard-schema.ts'
import type { TopicDeclarations } from '../../src/topics/topic-definition.ts'
import { resolveDeclaration } from '../../src/topics/topic-definition.ts'
import type {
  AnyTopics,
  KeyOf,
  ProducedOf,
  ReadKeyOf,
  TopicName,
  TopicsOf,
  TopicType,
  ValueOf,
} from '../../src/topics/topic-types.ts'

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
/** Compiles for true alone. */
function holds<_T extends true>(): void {}

interface Order {
  readonly id: string
}
interface OrderInput {
  readonly id: string | number
}

/** Stands for the class: these two signatures are what `Log.open` has. */
class FakeLog<T extends object> {
  readonly options: unknown
  constructor(options: unknown) {
    this.options = options
  }
  static open<const D extends TopicDeclarations, _Inferred extends true>(
    path: string,
    options: LogOptions<D> & { readonly topics: D },
  ): FakeLog<TopicsOf<D>>
  static open<T extends object = AnyTopics>(
    path: string,
    options?: LogOptions<{ readonly [N in keyof T]?: TopicDeclarations[string] }>,
  ): FakeLog<T>
  static open(_path: string, options?: LogOptions): unknown {
    return new FakeLog<object>(options)
  }
  produce<N extends TopicName<T>>(
    _topic: N,
    _record: { key?: KeyOf<T, N> | null; value: ProducedOf<T, N> | null },
  ): void {}
  read<N extends TopicName<T>>(
    _topic: N,
  ): { key: ReadKeyOf<T, N> | null; value: ValueOf<T, N> | null } | undefined {
    return undefined
  }
}

const orderSchema: StandardSchemaV1<OrderInput, Order> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) => ({ value: { id: String((value as OrderInput).id) } }),
  },
}
const dates: Serializer<Date> = {
  name: 'dates',
  serialize: (value) => Buffer.from(value.toISOString()),
  deserialize: (bytes) => new Date(bytes.toString()),
}
const topics = {
  orders: { key: 'string', value: orderSchema, partitions: 3 },
  checked: { value: 'json', schema: orderSchema },
  raw: { key: 'bytes', value: 'bytes' },
  words: { value: 'string', retentionMs: 1000 },
  loose: { value: 'json' },
  packed: { value: 'msgpack' },
  plain: {},
  days: {
    value: dates,
    partitioner: (_key: string | null, _value: Date | null, count: number) => count - 1,
  },
} as const satisfies TopicDeclarations

type T = TopicsOf<typeof topics>
holds<Equal<KeyOf<T, 'orders'>, string>>()
holds<Equal<ValueOf<T, 'orders'>, Order>>()
holds<Equal<ProducedOf<T, 'orders'>, OrderInput>>()
holds<Equal<ValueOf<T, 'checked'>, Order>>()
holds<Equal<ProducedOf<T, 'checked'>, OrderInput>>()
holds<Equal<KeyOf<T, 'raw'>, Uint8Array>>()
holds<Equal<ValueOf<T, 'raw'>, Buffer>>()
holds<Equal<ReadKeyOf<T, 'raw'>, Buffer>>()
holds<Equal<ReadKeyOf<T, 'orders'>, string>>()
holds<Equal<ValueOf<T, 'words'>, string>>()
holds<Equal<ValueOf<T, 'loose'>, unknown>>()
holds<Equal<ValueOf<T, 'packed'>, unknown>>()
holds<Equal<KeyOf<T, 'plain'>, string>>()
holds<Equal<ValueOf<T, 'plain'>, unknown>>()
holds<Equal<ValueOf<T, 'days'>, Date>>()
holds<Equal<ProducedOf<T, 'days'>, Date>>()
holds<Equal<TopicName<{ orders: Order }>, 'orders'>>()

// Types alone: an interface, which is no Record; an entry may be a TopicType; `any` stays `any`.
interface Shop {
  orders: Order
  raw: TopicType<Uint8Array, Uint8Array>
}
holds<Equal<KeyOf<Shop, 'orders'>, string>>()
holds<Equal<ValueOf<Shop, 'orders'>, Order>>()
holds<Equal<ProducedOf<Shop, 'orders'>, Order>>()
holds<Equal<KeyOf<Shop, 'raw'>, Uint8Array>>()
holds<Equal<ValueOf<Shop, 'raw'>, Uint8Array>>()
// biome-ignore lint/suspicious/noExplicitAny: that it stays `any` is what is held here.
type Anything = any
holds<Equal<ValueOf<{ a: Anything }, 'a'>, Anything>>()
holds<Equal<KeyOf<{ a: Anything }, 'a'>, string>>()
holds<Equal<KeyOf<AnyTopics, 'x'>, string>>()
holds<Equal<ValueOf<AnyTopics, 'x'>, unknown>>()

const inferred = FakeLog.open('./d', {
  durability: 'os',
  topics: { orders: { key: 'string', value: orderSchema }, raw: { key: 'bytes', value: 'bytes' } },
})
const order = inferred.read('orders')
holds<Equal<typeof order, { key: string | null; value: Order | null } | undefined>>()
const raw = inferred.read('raw')
holds<Equal<typeof raw, { key: Buffer | null; value: Buffer | null } | undefined>>()
inferred.produce('orders', { key: 'o-1', value: { id: 1 } })
inferred.produce('raw', { key: Buffer.from('k'), value: null })
// @ts-expect-error: a key of a 'bytes' topic is no string
inferred.produce('raw', { key: 'k', value: null })
// @ts-expect-error: the schema takes an id
inferred.produce('orders', { value: {} })
// @ts-expect-error: not declared
inferred.read('other')

const typed = FakeLog.open<Shop>('./d')
const typedOrder = typed.read('orders')
holds<Equal<typeof typedOrder, { key: string | null; value: Order | null } | undefined>>()
const typedAndDeclared = FakeLog.open<Shop>('./d', { topics: { orders: { partitions: 2 } } })
holds<Equal<typeof typedAndDeclared, FakeLog<Shop>>>()
const untyped = FakeLog.open('./d')
holds<Equal<typeof untyped, FakeLog<AnyTopics>>>()
untyped.produce('whatever', { key: 'k', value: { any: 'thing' } })
const untypedWithOptions = FakeLog.open('./d', { durability: 'os' })
holds<Equal<typeof untypedWithOptions, FakeLog<AnyTopics>>>()
// @ts-expect-error: an unknown option of a topic
FakeLog.open('./d', { topics: { orders: { retentionms: 1 } } })
// @ts-expect-error: an unknown serializer
FakeLog.open('./d', { topics: { orders: { value: 'xml' } } })

for (const [name, declaration] of Object.entries(topics)) {
  test(`the declaration of ${name}, whose types are inferred above, is accepted`, () => {
    assert.equal(resolveDeclaration(name, declaration).name, name)
  })
}
