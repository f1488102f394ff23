/** How commands come to the log in a directory. */
import path from 'node:path'
import type { TopicDescription, TopicType } from '../index.ts'
import { DirectoryLockedError, Log, LogError } from '../index.ts'
import {
  CLEAN_MARKER,
  directoryKind,
  METADATA_FILE,
  OWN_LOCK,
  parsePartitionDirectoryName,
  RECOVERY_POINT_CHECKPOINT,
} from '../storage/file-names.ts'
import type { FileSystem } from '../types.ts'
import { closestName } from '../util/closest-name.ts'
import type { CommandContext } from './command.ts'
import { Trouble } from './errors.ts'

/** All topics as bytes: there may be any serializer in a directory. */
export interface RawTopics {
  readonly [topic: string]: TopicType<Uint8Array, Buffer, Uint8Array>
}
export type RawLog = Log<RawTopics>

type Needs = Pick<CommandContext, 'options' | 'fileSystem' | 'clock'>

/** One of them is in every data directory, also in one without topics, and in one whose maker was killed. */
const DATA_FILES = [METADATA_FILE, OWN_LOCK, CLEAN_MARKER, RECOVERY_POINT_CHECKPOINT]

/** What `--dir` names, which has to be a data directory: nothing is made where it is none. */
export async function dataDirectory({ options, fileSystem }: Needs): Promise<string> {
  const directory = options.needed('dir', 'DIR')
  const names = await namesIn(fileSystem, directory)
  if (DATA_FILES.some((name) => names.includes(name))) return directory
  for (const name of names) {
    if (directoryKind(name) === 'partition' && (await isDirectory(fileSystem, directory, name))) {
      return directory
    }
  }
  throw new Trouble(
    `${directory} is no data directory: it has neither ${METADATA_FILE} nor a directory <topic>-<partition>`,
  )
}

async function namesIn(fileSystem: FileSystem, directory: string): Promise<readonly string[]> {
  const stat = await fileSystem.stat(directory)
  if (stat === undefined) throw new Trouble(`there is no directory ${directory}`)
  if (!stat.isDirectory) throw new Trouble(`${directory} is no directory`)
  return fileSystem.readdir(directory)
}

async function isDirectory(
  fileSystem: FileSystem,
  directory: string,
  name: string,
): Promise<boolean> {
  return (await fileSystem.stat(path.join(directory, name)))?.isDirectory === true
}

/** Opens the log beside whoever writes it; nothing is changed. */
export async function openToRead(context: Needs): Promise<RawLog> {
  const { fileSystem, clock } = context
  const directory = await dataDirectory(context)
  return Log.open<RawTopics>(directory, { fileSystem, clock, readOnly: true, raw: true })
}

/**
 * Opens the log to write; nobody else may hold the directory. Topics that have to be there are looked for first: an open
 * to write leaves traces in a directory of someone else's.
 */
export async function openToWrite(context: Needs, topics: readonly string[]): Promise<RawLog> {
  const directory = await dataDirectory(context)
  const there = await topicsIn(context.fileSystem, directory)
  for (const topic of topics) {
    if (!there.includes(topic)) throw new Trouble(noTopic(topic, there))
  }
  return openWriter(context, directory)
}

/** As `openToWrite`, of a directory that may have to be made. */
export async function openWriter(context: Needs, directory: string): Promise<RawLog> {
  const { options, fileSystem, clock } = context
  const token = options.text('break-lock')
  const breakLock = token === undefined ? {} : { breakLock: token }
  try {
    return await Log.open<RawTopics>(directory, { fileSystem, clock, raw: true, ...breakLock })
  } catch (error) {
    if (!(error instanceof DirectoryLockedError)) throw error
    const message = error.message.replace(/open\(\{ breakLock: '(.*)' \}\)/, '--break-lock $1')
    throw new Trouble(`this command has to write, and ${message}`, { cause: error })
  }
}

/** What `--dir` names, to be made where it is missing or empty. */
export async function newDirectory(context: Needs): Promise<string> {
  const { options, fileSystem } = context
  const directory = options.needed('dir', 'DIR')
  const isThere = (await fileSystem.stat(directory)) !== undefined
  if (!isThere || (await namesIn(fileSystem, directory)).length === 0) return directory
  return dataDirectory(context)
}

/** The topics of which there is a directory. */
export async function topicsIn(
  fileSystem: FileSystem,
  directory: string,
): Promise<readonly string[]> {
  const topics = new Set<string>()
  for (const name of await fileSystem.readdir(directory)) {
    if (directoryKind(name) !== 'partition') continue
    const topic = parsePartitionDirectoryName(name)?.topic
    if (topic !== undefined && !INTERNAL_TOPICS.has(topic)) topics.add(topic)
  }
  return [...topics].sort()
}

/** The topics in which committed offsets and the states of transactions are kept. */
export const INTERNAL_TOPICS: ReadonlySet<string> = new Set([
  '__consumer_offsets',
  '__transaction_state',
])

export async function topicNames(log: RawLog, withInternal: boolean): Promise<readonly string[]> {
  const names = new Set(log.topics())
  for (const topic of INTERNAL_TOPICS) {
    if (!withInternal) names.delete(topic)
    else if (await isThere(log, topic)) names.add(topic)
  }
  return [...names].sort()
}

async function isThere(log: RawLog, topic: string): Promise<boolean> {
  try {
    await log.offsets(topic, 0)
    return true
  } catch (error) {
    if (error instanceof LogError && error.code === 'UNKNOWN_TOPIC') return false
    throw error
  }
}

/** What there is to know of a topic; where it is not there, the names that come near are told. */
export async function describedTopic(log: RawLog, name: string): Promise<TopicDescription> {
  try {
    return await log.describeTopic(name)
  } catch (error) {
    if (!(error instanceof LogError && error.code === 'UNKNOWN_TOPIC')) throw error
    throw new Trouble(noTopic(name, log.topics()), { cause: error })
  }
}

/** Says that a topic is not there, and what may have been meant. */
export function noTopic(name: string, names: readonly string[]): string {
  const closest = closestName(name, names)
  if (closest !== undefined) return `there is no topic '${name}'; did you mean ${closest}?`
  if (names.length === 0) return `there is no topic '${name}', and no other`
  return `there is no topic '${name}'; \`brokerless topics\` lists those that are there`
}
