import type { TopicConfig, TopicDescription } from '../../index.ts'
import { TOPIC_CONFIG_DEFAULTS, TOPIC_CONFIG_NAMES } from '../../options.ts'
import type { Command, CommandContext } from '../command.ts'
import { EXIT_OK } from '../errors.ts'
import { DIR_OPTION, INTERNAL_OPTION } from '../help.ts'
import { jsonDocument } from '../json.ts'
import { describedTopic, openToRead, topicNames } from '../log-directory.ts'
import type { Column } from '../table.ts'
import { formatFields, formatTable } from '../table.ts'
import { sizeText } from '../text.ts'

export const describe: Command = {
  name: 'describe',
  summary: 'Tell the configuration and the partitions of a topic, or of all',
  usage: '[TOPIC] --dir DIR [options]',
  operands: { least: 0, most: 1 },
  details: [
    'END is the next offset to be written, EPOCH the latest leader epoch. Of the configuration is shown what is not the default; with --json all of it.',
  ],
  options: [DIR_OPTION, INTERNAL_OPTION],
  examples: [
    { command: 'brokerless describe orders --dir ./data', does: 'one topic' },
    {
      command: "brokerless describe --dir ./data --json | jq '.[].partitions[].logEndOffset'",
      does: 'the ends of all partitions',
    },
  ],
  run,
}

const COLUMNS: readonly Column[] = ['PARTITION', 'START', 'END', 'EPOCH', 'SEGMENTS', 'SIZE'].map(
  (title) => ({ title, align: 'right' }),
)

async function run(context: CommandContext): Promise<number> {
  const { options, operands, output } = context
  await using log = await openToRead(context)
  const [name] = operands
  const described: TopicDescription[] = []
  for (const each of name === undefined
    ? await topicNames(log, options.flag('internal'))
    : [name]) {
    described.push(await describedTopic(log, each))
  }
  if (options.flag('json'))
    output.write(jsonDocument(name === undefined ? described : described[0]))
  else output.write(described.map((each) => textOf(each, output.columns)).join('\n'))
  return EXIT_OK
}

function textOf(topic: TopicDescription, columns: number | undefined): string {
  const { name, topicId, key, serializer, config, partitions } = topic
  const fields = formatFields([
    ['TOPIC', name],
    ['ID', topicId],
    ['KEYS', key],
    ['VALUES', serializer],
    ['CONFIG', configText(config)],
  ])
  const rows = partitions.map((each) => [
    each.partition,
    each.logStartOffset,
    each.logEndOffset,
    each.leaderEpoch < 0 ? '-' : each.leaderEpoch,
    each.segments,
    sizeText(each.sizeBytes),
  ])
  return `${fields}\n${formatTable(COLUMNS, rows, columns)}`
}

function configText(config: Readonly<TopicConfig>): string {
  const names = TOPIC_CONFIG_NAMES.filter((name) => config[name] !== TOPIC_CONFIG_DEFAULTS[name])
  return names.length === 0
    ? 'the defaults'
    : names.map((name) => `${name}=${config[name]}`).join(' ')
}
