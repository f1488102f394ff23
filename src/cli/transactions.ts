/** What the commands about transactions share. */
import { listDirectory } from '../inspect/directory-listing.ts'
import type { OpenTransactionPart, TransactionSurvey } from '../inspect/transaction-survey.ts'
import { surveyTransactions } from '../inspect/transaction-survey.ts'
import type { PartitionName } from '../storage/file-names.ts'
import { closestName } from '../util/closest-name.ts'
import type { CommandContext } from './command.ts'
import { Trouble } from './errors.ts'
import { dataDirectory, noTopic } from './log-directory.ts'
import type { Column } from './table.ts'
import { counted, durationText } from './text.ts'

export async function surveyed(context: CommandContext): Promise<TransactionSurvey> {
  const { fileSystem, signal, clock } = context
  const directory = await dataDirectory(context)
  return surveyTransactions({ fileSystem, directory, signal }, clock.now())
}

/** The partitions that `--topic` or an operand and `--partition` name; all where they name none. */
export async function chosenPartitions(
  { fileSystem, options }: CommandContext,
  directory: string,
  topic: string | undefined,
): Promise<readonly PartitionName[]> {
  const { partitions } = await listDirectory(fileSystem, directory)
  const names = [...new Set(partitions.map((each) => each.topic))]
  if (topic !== undefined && !names.includes(topic)) throw new Trouble(noTopic(topic, names))
  const ofTopic = partitions.filter((each) => topic === undefined || each.topic === topic)
  const wanted = options.partitions()
  if (wanted === undefined) return ofTopic
  if (topic !== undefined) {
    const missing = wanted.find((each) => !ofTopic.some(({ partition }) => partition === each))
    const message = `${topic} has no partition ${missing}; it has ${ofTopic.length}`
    if (missing !== undefined) throw new Trouble(message)
  }
  return ofTopic.filter(({ partition }) => wanted.includes(partition))
}

/** Says that a transactional id is not there, and what may have been meant. */
export function noTransaction(id: string, { stored }: TransactionSurvey): string {
  const names = stored.map(({ transactionalId }) => transactionalId)
  const closest = closestName(id, names)
  if (closest !== undefined) return `there is no transactional id '${id}'; did you mean ${closest}?`
  if (names.length === 0) return `there is no transactional id '${id}', and no other`
  return `there is no transactional id '${id}'; \`brokerless transactions\` lists those that are there`
}

/** `orders:0,1 payments:2` */
export function partitionsText(partitions: readonly PartitionName[]): string {
  const topics = new Map<string, number[]>()
  for (const { topic, partition } of partitions) {
    topics.set(topic, [...(topics.get(topic) ?? []), partition])
  }
  return [...topics].map(([topic, numbers]) => `${topic}:${numbers}`).join(' ')
}

/** How long ago; a dash where it never was. A clock that was set back shows 0 ms. */
export function agoText(timestamp: number, nowMs: number): string {
  return timestamp < 0 ? '-' : durationText(Math.max(0, nowMs - timestamp))
}

export const OPEN_COLUMNS: readonly Column[] = [
  { title: 'TOPIC' },
  { title: 'PARTITION', align: 'right' },
  { title: 'PRODUCER', align: 'right' },
  { title: 'EPOCH', align: 'right' },
  { title: 'OPEN FROM', align: 'right' },
  { title: 'LAST WRITE', align: 'right' },
  { title: 'TRANSACTIONAL ID' },
]

export function openRow(part: OpenTransactionPart, nowMs: number): readonly (string | number)[] {
  const { topic, partition, producerId, producerEpoch, firstOffset, lastTimestamp } = part
  const ago = agoText(lastTimestamp, nowMs)
  return [
    topic,
    partition,
    producerId,
    producerEpoch,
    firstOffset,
    ago,
    part.transactionalId ?? '-',
  ]
}

export function openJson(part: OpenTransactionPart, nowMs: number): object {
  const { isHanging: hanging, ...rest } = part
  return { ...rest, ageMs: Math.max(0, nowMs - part.lastTimestamp), hanging }
}

/** Told beside what could be read; undefined where all could. */
export function unreadNote({ unread }: TransactionSurvey): string | undefined {
  if (unread === 0) return undefined
  const records = counted(unread, 'record')
  return `brokerless: ${records} of __transaction_state cannot be read; \`brokerless verify\` tells where`
}
