import { checkTopicConfig, givenConfig, TOPIC_CONFIG_NAMES } from '../options.ts'
import { checkTopicName } from '../storage/file-names.ts'
import type { KeyType, TopicConfig } from '../types.ts'
import {
  checkChoice,
  checkInteger,
  checkNames,
  checkObject,
  shown,
  wrongType,
} from '../util/check.ts'
import type { Partitioner } from './partitioner.ts'
import type { BuiltInName, Serializer } from './serializers.ts'
import {
  BUILT_IN_NAMES,
  builtInSerializer,
  checkSerializerName,
  isSerializer,
} from './serializers.ts'
import type { StandardSchemaV1 } from './standard-schema.ts'
import { isStandardSchema } from './standard-schema.ts'

/** More would be directories without end: an error in a number, not a wish. */
const MAX_PARTITIONS = 100_000

/**
 * What a program says about a topic. What it leaves out stays as stored; where nothing is stored, keys are strings, values
 * MessagePack, there is one partition, and the configuration has its defaults.
 */
export interface TopicDeclaration extends Partial<TopicConfig> {
  /** 1 to 100,000; never fewer than there are. Default 1. */
  readonly partitions?: number
  /** Default `'string'`. */
  readonly key?: KeyType
  /** How values become bytes: a built-in serializer by name, one of your own, or a schema (values are then MessagePack). Default `'msgpack'`. */
  readonly value?: BuiltInName | ValueSerializer | StandardSchemaV1
  /** Validates values before they are serialized; for a topic whose `value` names a serializer. */
  readonly schema?: StandardSchemaV1
  /** Chooses the partition of records that name none. */
  readonly partitioner?: Partitioner<never, never>
}

/** A serializer of values of any one type: as a parameter, only `never` stands for them all. */
export type ValueSerializer = Omit<Serializer, 'serialize'> & {
  serialize(value: never): Uint8Array
}

export interface TopicDeclarations {
  readonly [topic: string]: TopicDeclaration
}

/** A checked declaration; undefined is what it leaves out. */
export interface ResolvedDeclaration {
  readonly name: string
  readonly partitions: number | undefined
  readonly key: KeyType | undefined
  readonly serializer: Serializer | undefined
  readonly schema: StandardSchemaV1 | undefined
  readonly partitioner: Partitioner | undefined
  /** What is given of it. */
  readonly config: Partial<TopicConfig>
}

const FIELDS: ReadonlySet<string> = new Set([
  'partitions',
  'key',
  'value',
  'schema',
  'partitioner',
  ...TOPIC_CONFIG_NAMES,
])

/** Checks a declaration. Throws TypeError or RangeError, naming topic, option, value and what is allowed. */
export function resolveDeclaration(name: string, declaration: unknown = {}): ResolvedDeclaration {
  checkTopicName(name)
  const where = `topic ${name}`
  checkObject(`${where}: the declaration`, declaration)
  const given = declaration as TopicDeclaration
  checkNames(where, given, FIELDS)
  const config = givenConfig(given)
  checkTopicConfig(config, where)
  const { serializer, schema } = resolveValue(where, given)
  return {
    name,
    partitions: resolvePartitions(where, given.partitions),
    key: checkChoice<KeyType, undefined>(`${where}: key`, given.key, undefined, [
      'string',
      'bytes',
    ]),
    serializer,
    schema,
    partitioner: resolvePartitioner(where, given.partitioner),
    config,
  }
}

/** Checks a number of partitions that is asked for; undefined stays undefined. */
export function resolvePartitions(where: string, given: unknown): number | undefined {
  if (given === undefined) return undefined
  return checkInteger(`${where}: partitions`, given, 1, MAX_PARTITIONS)
}

function resolvePartitioner(where: string, given: unknown): Partitioner | undefined {
  if (given === undefined || typeof given === 'function') return given as Partitioner | undefined
  throw wrongType(`${where}: partitioner`, given, 'a function of key, value and partition count')
}

function resolveValue(
  where: string,
  given: TopicDeclaration,
): Pick<ResolvedDeclaration, 'serializer' | 'schema'> {
  const value: unknown = given.value
  const schema: unknown = given.schema
  if (schema !== undefined && !isStandardSchema(schema)) {
    throw wrongType(`${where}: schema`, schema, 'a Standard Schema')
  }
  if (!isStandardSchema(value)) return { serializer: resolveSerializer(where, value), schema }
  if (schema === undefined) return { serializer: undefined, schema: value }
  throw new TypeError(`${where}: value is a schema and schema is given too; one of them is allowed`)
}

function resolveSerializer(where: string, value: unknown): Serializer | undefined {
  if (value === undefined) return undefined
  if (isSerializer(value)) {
    checkSerializerName(value)
    return value
  }
  const builtIn = typeof value === 'string' ? builtInSerializer(value) : undefined
  if (builtIn !== undefined) return builtIn
  const names = BUILT_IN_NAMES.map((each) => `'${each}'`).join(', ')
  const allowed = `${names}, a serializer or a Standard Schema`
  const message = `${where}: value is ${shown(value)}; it must be ${allowed}`
  throw typeof value === 'string' ? new RangeError(message) : new TypeError(message)
}
