import type { CleanupPolicy, TopicConfig } from '../types.ts'
import {
  checkChoice,
  checkNames,
  checkNumber,
  checkObject,
  MAX_INT32,
  optionalInteger,
  wrongValue,
} from '../util/check.ts'
import { checkCompression, OWN_LEVEL } from './compression-options.ts'
import { DURABILITIES } from './shared.ts'

const MIB = 1024 * 1024
const DAY_MS = 24 * 60 * 60 * 1000
const CLEANUP_POLICIES: readonly CleanupPolicy[] = ['delete', 'compact', 'compact,delete']
/** Of `maxCompactionLagMs`. */
const NEVER = -1

/** What a topic has where neither it nor the log says otherwise. */
export const TOPIC_CONFIG_DEFAULTS: Readonly<TopicConfig> = Object.freeze({
  segmentBytes: 1024 * MIB,
  segmentMs: 7 * DAY_MS,
  indexIntervalBytes: 4096,
  segmentIndexBytes: 10 * MIB,
  cleanupPolicy: 'delete',
  retentionMs: -1,
  retentionBytes: -1,
  minCleanableDirtyRatio: 0.5,
  minCompactionLagMs: 0,
  maxCompactionLagMs: NEVER,
  deleteRetentionMs: DAY_MS,
  maxMessageBytes: 1_048_588,
  compression: 'none',
  compressionLevel: OWN_LEVEL,
  lingerMs: 0,
  timestampType: 'CreateTime',
  durability: 'disk',
  flushIntervalMs: 1000,
})

/** In the order in which they are told. */
export const TOPIC_CONFIG_NAMES: readonly (keyof TopicConfig)[] = Object.freeze(
  Object.keys(TOPIC_CONFIG_DEFAULTS) as (keyof TopicConfig)[],
)
const TOPIC_CONFIG_OPTIONS: ReadonlySet<string> = new Set(TOPIC_CONFIG_NAMES)

/** What a topic that says nothing of it has from its log. */
export type LogConfig = Pick<
  TopicConfig,
  'compression' | 'compressionLevel' | 'lingerMs' | 'durability' | 'flushIntervalMs'
>
export const LOG_CONFIG_NAMES: readonly (keyof LogConfig)[] = Object.freeze([
  'compression',
  'compressionLevel',
  'lingerMs',
  'durability',
  'flushIntervalMs',
])

/** Checks names, types and ranges of a topic's configuration; what is left out is not looked at. */
export function checkTopicConfig(config: Partial<TopicConfig>, where = 'the topic'): void {
  checkObject(`${where}: the configuration`, config)
  checkNames(where, config, TOPIC_CONFIG_OPTIONS)
  const integer = (name: keyof TopicConfig, minimum: number, maximum?: number): void => {
    optionalInteger(`${where}: ${name}`, config[name], 0, minimum, maximum)
  }
  integer('segmentBytes', 1024, MAX_INT32)
  integer('segmentMs', 1)
  integer('indexIntervalBytes', 0)
  integer('segmentIndexBytes', 24, MAX_INT32)
  integer('retentionMs', -1)
  integer('retentionBytes', -1)
  integer('minCompactionLagMs', 0)
  integer('maxCompactionLagMs', NEVER)
  integer('deleteRetentionMs', 0)
  integer('maxMessageBytes', 61, MAX_INT32)
  integer('lingerMs', 0)
  integer('flushIntervalMs', 1)
  const { timestampType, durability, cleanupPolicy, minCleanableDirtyRatio } = config
  checkChoice(`${where}: cleanupPolicy`, cleanupPolicy, '', CLEANUP_POLICIES)
  if (minCleanableDirtyRatio !== undefined) {
    checkNumber(`${where}: minCleanableDirtyRatio`, minCleanableDirtyRatio, 0, 1)
  }
  checkLags(where, config)
  checkCompression(config, `${where}: `)
  checkChoice(`${where}: timestampType`, timestampType, '', ['CreateTime', 'LogAppendTime'])
  checkChoice(`${where}: durability`, durability, '', DURABILITIES)
}

/** A record cannot be due before it may be compacted. */
function checkLags(
  where: string,
  { minCompactionLagMs = 0, maxCompactionLagMs = NEVER }: Partial<TopicConfig>,
): void {
  if (maxCompactionLagMs === NEVER) return
  const least = Math.max(1, minCompactionLagMs)
  if (maxCompactionLagMs >= least) return
  const allowed = `-1, or at least 1 and minCompactionLagMs (${minCompactionLagMs})`
  throw wrongValue(`${where}: maxCompactionLagMs`, maxCompactionLagMs, 'number', allowed)
}

/** Of each key only the last record stays. */
export function isCompacted({ cleanupPolicy }: Pick<TopicConfig, 'cleanupPolicy'>): boolean {
  return cleanupPolicy !== 'delete'
}

/** In a compacted topic a segment is rolled in time for its records to be compacted when they are due. */
export function longestSegmentMs(config: TopicConfig): number {
  const { segmentMs, maxCompactionLagMs } = config
  const isDue = maxCompactionLagMs >= 0 && isCompacted(config)
  return isDue ? Math.min(segmentMs, maxCompactionLagMs) : segmentMs
}

/** Whole segments go by age or size. */
export function isRetentionBound({ cleanupPolicy }: Pick<TopicConfig, 'cleanupPolicy'>): boolean {
  return cleanupPolicy !== 'compact'
}

/** A checked configuration with what it leaves out: what the log says (see `LOG_CONFIG_NAMES`), else the defaults. */
export function resolveTopicConfig(
  given: Partial<TopicConfig>,
  logDefaults: Readonly<LogConfig>,
): TopicConfig {
  return { ...TOPIC_CONFIG_DEFAULTS, ...logDefaults, ...givenConfig(given) }
}

/** A configuration without the names whose value is undefined. Compression and its level go together: a level left out is the codec's own. */
export function givenConfig(config: Partial<TopicConfig>): Partial<TopicConfig> {
  const { compression, compressionLevel = OWN_LEVEL } = config
  const names = TOPIC_CONFIG_NAMES.filter((name) => config[name] !== undefined)
  const given = Object.fromEntries(names.map((name) => [name, config[name]]))
  if (compression !== undefined) return { ...given, compressionLevel }
  // Any other level is refused where it is checked.
  if (compressionLevel === OWN_LEVEL) delete given['compressionLevel']
  return given
}
