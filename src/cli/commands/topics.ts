import type { TopicDescription } from '../../index.ts'
import type { Command, CommandContext } from '../command.ts'
import { EXIT_OK } from '../errors.ts'
import { DIR_OPTION } from '../help.ts'
import { openToRead } from '../log-directory.ts'
import type { Column } from '../table.ts'
import { formatTable } from '../table.ts'
import { sizeText } from '../text.ts'

/** The topic in which committed offsets are kept. */
const INTERNAL_TOPIC = '__consumer_offsets'

export const topics: Command = {
  name: 'topics',
  summary: 'List the topics',
  usage: '--dir DIR [options]',
  options: [DIR_OPTION, { name: 'internal', summary: `List ${INTERNAL_TOPIC} too` }],
  examples: [
    { command: 'brokerless topics --dir ./data', does: 'all topics, with their sizes' },
    { command: "brokerless topics --dir ./data --json | jq '.[].name'", does: 'their names' },
  ],
  run,
}

const COLUMNS: readonly Column[] = [
  { title: 'TOPIC' },
  { title: 'PARTITIONS', align: 'right' },
  { title: 'RECORDS', align: 'right' },
  { title: 'SIZE', align: 'right' },
  { title: 'VALUES' },
]

async function run(context: CommandContext): Promise<number> {
  const { options, output } = context
  await using log = await openToRead(context)
  const names = log.topics()
  const described = await Promise.all(names.map((name) => log.describeTopic(name)))
  const summaries = described.map(summaryOf)
  if (options.flag('json')) output.line(JSON.stringify(summaries, undefined, 2))
  else {
    const rows = summaries.map(({ name, partitions, records, sizeBytes, serializer }) => [
      name,
      partitions,
      records,
      sizeText(sizeBytes),
      serializer,
    ])
    output.write(formatTable(COLUMNS, rows, output.columns))
  }
  return EXIT_OK
}

interface TopicSummary {
  readonly name: string
  readonly partitions: number
  readonly records: number
  readonly sizeBytes: number
  readonly serializer: string
}

function summaryOf({ name, partitions, serializer }: TopicDescription): TopicSummary {
  return {
    name,
    partitions: partitions.length,
    records: partitions.reduce((sum, each) => sum + each.highWatermark - each.logStartOffset, 0),
    sizeBytes: partitions.reduce((sum, each) => sum + each.sizeBytes, 0),
    serializer,
  }
}
