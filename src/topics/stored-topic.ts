import { LogError } from '../errors.ts'
import {
  checkTopicConfig,
  LOG_CONFIG_NAMES,
  TOPIC_CONFIG_DEFAULTS,
  TOPIC_CONFIG_NAMES,
} from '../options.ts'
import type { KeyType, TopicConfig } from '../types.ts'
import type { ResolvedDeclaration } from './topic-definition.ts'

/** What is kept of a topic, and what a declaration means to it. Pure. */

/** The serializer of a topic that is on disk and about which nothing else is known. */
export const FOREIGN_SERIALIZER = 'bytes'

export interface StoredTopic {
  readonly name: string
  /** A UUID, 22 characters of base64url. */
  readonly topicId: string
  readonly partitions: number
  readonly key: KeyType
  /** Undefined: taken in from directories and not declared since. It opens as bytes, and its first declaration sets serializer and key. */
  readonly serializer: string | undefined
  /** What was given of it; the rest has the defaults of the day. */
  readonly config: Partial<TopicConfig>
  /** `deleting`: to be finished, and not to be served. */
  readonly state: 'live' | 'deleting'
}

/** A topic as a declaration makes it where there is none. */
export function newTopic(declared: ResolvedDeclaration, topicId: string): StoredTopic {
  return {
    name: declared.name,
    topicId,
    partitions: declared.partitions ?? 1,
    key: declared.key ?? 'string',
    serializer: declared.serializer?.name ?? 'msgpack',
    config: declared.config,
    state: 'live',
  }
}

/** A topic that is known by its directories alone. */
export function foreignTopic(name: string, topicId: string, partitions: number): StoredTopic {
  return {
    name,
    topicId,
    partitions,
    key: 'string',
    serializer: undefined,
    config: {},
    state: 'live',
  }
}

export type Reconciliation =
  | { readonly kind: 'create' }
  | { readonly kind: 'unchanged'; readonly topic: StoredTopic }
  | {
      readonly kind: 'altered'
      /** As it is to be stored. */
      readonly topic: StoredTopic
      /** The new number, where partitions are added. */
      readonly partitions?: number
      /** The values that change, where any do. */
      readonly config?: Partial<TopicConfig>
    }

/**
 * What a declaration changes. What it leaves out stays as stored.
 * @throws LogError TOPIC_MISMATCH for fewer partitions, another key type or another serializer, naming both.
 */
export function reconcile(
  stored: StoredTopic | undefined,
  declared: ResolvedDeclaration,
): Reconciliation {
  if (stored === undefined) return { kind: 'create' }
  const { key, serializer } = stored.serializer === undefined ? adopted(stored, declared) : stored
  refuseOther(stored, 'key', key, declared.key)
  refuseOther(stored, 'serializer', serializer, declared.serializer?.name)
  const partitions = addedPartitions(stored, declared)
  const config = changedConfig(stored.config, declared.config)
  // Each of the two was in order; that is not to say that one with the other is.
  if (config !== undefined)
    checkTopicConfig({ ...stored.config, ...config }, `topic ${stored.name}`)
  const isSame = key === stored.key && serializer === stored.serializer
  if (isSame && partitions === undefined && config === undefined) {
    return { kind: 'unchanged', topic: stored }
  }
  return {
    kind: 'altered',
    topic: {
      ...stored,
      key,
      serializer,
      partitions: partitions ?? stored.partitions,
      config: { ...stored.config, ...config },
    },
    ...(partitions === undefined ? {} : { partitions }),
    ...(config === undefined ? {} : { config }),
  }
}

/** Key type and serializer of a foreign topic once it is declared; a declaration without serializer leaves it foreign. */
function adopted(
  stored: StoredTopic,
  declared: ResolvedDeclaration,
): Pick<StoredTopic, 'key' | 'serializer'> {
  return { key: declared.key ?? stored.key, serializer: declared.serializer?.name }
}

function refuseOther(
  { name }: StoredTopic,
  what: string,
  stored: string | undefined,
  declared: string | undefined,
): void {
  if (declared === undefined || declared === stored) return
  throw new LogError(
    'TOPIC_MISMATCH',
    `topic ${name} is stored with ${what} '${stored}' and declared with '${declared}'`,
  )
}

function addedPartitions(stored: StoredTopic, declared: ResolvedDeclaration): number | undefined {
  const { partitions } = declared
  if (partitions === undefined || partitions === stored.partitions) return undefined
  if (partitions > stored.partitions) return partitions
  throw new LogError(
    'TOPIC_MISMATCH',
    `topic ${stored.name} has ${stored.partitions} partitions and is declared with ${partitions}; partitions are never taken away`,
  )
}

/** The declared values that differ from what was given before; undefined where none does. */
export function changedConfig(
  stored: Partial<TopicConfig>,
  declared: Partial<TopicConfig>,
): Partial<TopicConfig> | undefined {
  const names = TOPIC_CONFIG_NAMES.filter(
    (name) => declared[name] !== undefined && declared[name] !== stored[name],
  )
  if (names.length === 0) return undefined
  return Object.fromEntries(names.map((name) => [name, declared[name]]))
}

/**
 * What tells an existing topic from the one that a creator asks for, a sentence each; empty where the two agree.
 * What the creator leaves out stands for its default.
 */
export function topicDifferences(existing: StoredTopic, wanted: ResolvedDeclaration): string[] {
  const asked = newTopic(wanted, existing.topicId)
  const differences: string[] = []
  const compare = (what: string, is: unknown, wants: unknown): void => {
    if (is !== wants) differences.push(`${what} is ${is}, not ${wants}`)
  }
  compare('partitions', existing.partitions, asked.partitions)
  compare('key', existing.key, asked.key)
  compare('serializer', existing.serializer ?? FOREIGN_SERIALIZER, asked.serializer)
  for (const name of TOPIC_CONFIG_NAMES) {
    compare(name, effective(existing.config, name), effective(asked.config, name))
  }
  return differences
}

/** Two that leave a value to the log agree; the log's own is not known here. */
function effective(config: Partial<TopicConfig>, name: keyof TopicConfig): unknown {
  if (config[name] !== undefined) return config[name]
  const isLogs = (LOG_CONFIG_NAMES as readonly string[]).includes(name)
  return isLogs ? "the log's" : TOPIC_CONFIG_DEFAULTS[name]
}

/**
 * For a creator who finds the topic there.
 * @throws LogError TOPIC_EXISTS, naming each difference.
 */
export function requireSameTopic(existing: StoredTopic, wanted: ResolvedDeclaration): void {
  const differences = topicDifferences(existing, wanted)
  if (differences.length === 0) return
  throw new LogError('TOPIC_EXISTS', `topic ${existing.name} exists: ${differences.join('; ')}`)
}

/**
 * A topic whose name differs from a new one only in `.` and `_`. Kafka refuses the second of the two, since its metrics
 * take them for one, and the directory would not move to a cluster.
 */
export function collidingTopic(name: string, existing: Iterable<string>): string | undefined {
  if (!/[._]/.test(name)) return undefined
  const alike = name.replaceAll('.', '_')
  for (const each of existing) {
    if (each !== name && each.replaceAll('.', '_') === alike) return each
  }
  return undefined
}
