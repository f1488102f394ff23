import type { TopicDescription } from '../../index.ts'
import type { Command, CommandContext } from '../command.ts'
import { EXIT_OK } from '../errors.ts'
import { DIR_OPTION, INTERNAL_OPTION } from '../help.ts'
import { jsonDocument } from '../json.ts'
import { openToRead, topicNames } from '../log-directory.ts'
import type { Column } from '../table.ts'
import { formatTable } from '../table.ts'
import { sizeText } from '../text.ts'

export const topics: Command = {
  name: 'topics',
  summary: 'List the topics',
  usage: '--dir DIR [options]',
  details: [
    'RECORDS is the number of offsets between start and end: where a topic is compacted, or has transactions, there are fewer records.',
  ],
  options: [DIR_OPTION, INTERNAL_OPTION],
  examples: [
    { command: 'brokerless topics --dir ./data', does: 'all topics, with their sizes' },
    { command: "brokerless topics --dir ./data --json | jq -r '.[].name'", does: 'their names' },
  ],
  run,
}

const COLUMNS: readonly Column[] = [
  { title: 'TOPIC' },
  { title: 'PARTITIONS', align: 'right' },
  { title: 'RECORDS', align: 'right' },
  { title: 'SIZE', align: 'right' },
  { title: 'VALUES' },
  { title: 'CLEANUP' },
]

async function run(context: CommandContext): Promise<number> {
  const { options, output } = context
  await using log = await openToRead(context)
  const names = await topicNames(log, options.flag('internal'))
  const described = await Promise.all(names.map((name) => log.describeTopic(name)))
  const summaries = described.map(summaryOf)
  if (options.flag('json')) output.write(jsonDocument(summaries))
  else output.write(formatTable(COLUMNS, summaries.map(rowOf), output.columns))
  return EXIT_OK
}

interface TopicSummary {
  readonly name: string
  readonly internal: boolean
  readonly partitions: number
  /** Offsets between start and end. */
  readonly records: number
  readonly sizeBytes: number
  readonly serializer: string
  readonly cleanupPolicy: string
}

function summaryOf(topic: TopicDescription): TopicSummary {
  const { name, internal, partitions, serializer, config } = topic
  return {
    name,
    internal,
    partitions: partitions.length,
    records: partitions.reduce((sum, each) => sum + each.highWatermark - each.logStartOffset, 0),
    sizeBytes: partitions.reduce((sum, each) => sum + each.sizeBytes, 0),
    serializer,
    cleanupPolicy: config.cleanupPolicy,
  }
}

function rowOf(topic: TopicSummary): readonly (string | number)[] {
  const { name, partitions, records, sizeBytes, serializer, cleanupPolicy } = topic
  return [name, partitions, records, sizeText(sizeBytes), serializer, cleanupPolicy]
}
