import type { KeyType } from '../types.ts'
import type { Serializer } from './serializers.ts'
import type { StandardSchemaV1 } from './standard-schema.ts'
import type { TopicDeclaration, TopicDeclarations } from './topic-definition.ts'

/** The types of topics, inferred from their declarations or given by hand. Nothing here exists when the program runs. */

declare const types: unique symbol

/** A topic by its types: of keys, of values as they are read, and of values as they are produced (a schema may tell the two apart). */
export interface TopicType<K, V, In = V> {
  readonly [types]: { readonly key: K; readonly value: V; readonly input: In }
}

/** Topics about which nothing is known: string keys, values of any kind. */
export interface AnyTopics {
  readonly [topic: string]: TopicType<string, unknown>
}

/** From declarations by name to topic types by name. */
export type TopicsOf<D extends TopicDeclarations> = {
  readonly [N in keyof D]: TopicOf<D[N]>
}

/** The topic type of one declaration. */
export type TopicOf<D extends TopicDeclaration> = TopicType<
  DeclaredKey<D>,
  OutputOf<SourceOf<D>>,
  InputOf<SourceOf<D>>
>

type DeclaredKey<D extends TopicDeclaration> = D extends { readonly key: 'bytes' }
  ? Uint8Array
  : D extends { readonly key: 'string' }
    ? string
    : D extends { readonly key: KeyType }
      ? string | Uint8Array
      : string

/** What tells the type of values: the schema where there is one, else what is given as `value`. */
type SourceOf<D extends TopicDeclaration> = D extends {
  readonly schema: infer S extends StandardSchemaV1
}
  ? S
  : D['value']

type OutputOf<S> =
  S extends StandardSchemaV1<infer _In, infer Out>
    ? Out
    : S extends 'bytes'
      ? Buffer
      : PlainValue<S>
type InputOf<S> = S extends StandardSchemaV1<infer In, infer _Out> ? In : PlainValue<S>

type PlainValue<S> =
  S extends Serializer<infer V>
    ? V
    : S extends 'string'
      ? string
      : S extends 'bytes'
        ? Uint8Array
        : unknown

/** Names of the topics of a log. */
export type TopicName<T extends object> = keyof T & string

/** The type of a topic's keys. An entry that is no `TopicType` is the type of its values; its keys are strings. */
export type KeyOf<T extends object, N extends keyof T> =
  IsAny<T[N]> extends true
    ? string
    : T[N] extends TopicType<infer K, infer _V, infer _In>
      ? K
      : string

/** The type of a topic's keys as they are read: bytes come back as a `Buffer`. */
export type ReadKeyOf<T extends object, N extends keyof T> =
  KeyOf<T, N> extends infer K ? (K extends Uint8Array ? Buffer : K) : never

/** The type of a topic's values as they are read. */
export type ValueOf<T extends object, N extends keyof T> =
  IsAny<T[N]> extends true ? T[N] : T[N] extends TopicType<infer _K, infer V, infer _In> ? V : T[N]

/** The type of a topic's values as they are produced. */
export type ProducedOf<T extends object, N extends keyof T> =
  IsAny<T[N]> extends true ? T[N] : T[N] extends TopicType<infer _K, infer _V, infer In> ? In : T[N]

type IsAny<T> = 0 extends 1 & T ? true : false
