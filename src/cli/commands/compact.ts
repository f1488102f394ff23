import type { PartitionCompaction } from '../../index.ts'
import type { Command, CommandContext } from '../command.ts'
import { EXIT_OK, EXIT_TROUBLE, Trouble } from '../errors.ts'
import { BREAK_LOCK_OPTION, DIR_OPTION, partitionsOption } from '../help.ts'
import { jsonDocument } from '../json.ts'
import type { RawLog } from '../log-directory.ts'
import { describedTopic, openToRead, openToWrite } from '../log-directory.ts'
import { Progress } from '../progress.ts'
import type { Column } from '../table.ts'
import { formatTable } from '../table.ts'
import { counted, durationText, sizeText } from '../text.ts'

export const compact: Command = {
  name: 'compact',
  summary: 'Compact topics now: of each key only the last record stays',
  usage: 'TOPIC... --dir DIR [options]',
  operands: { least: 1, most: Number.POSITIVE_INFINITY },
  details: [
    'For topics whose cleanupPolicy has compact; an open log does so by itself where it is worth it. It writes, and so needs the directory to be held by nobody else. A tombstone goes deleteRetentionMs after the first compaction that met it. At Ctrl-C what is compacted by then stays so, and nothing else has changed.',
  ],
  options: [
    DIR_OPTION,
    partitionsOption('This partition (default: all)'),
    { name: 'no-roll', summary: 'Leave the active segments as they are' },
    BREAK_LOCK_OPTION,
  ],
  examples: [
    { command: 'brokerless compact users --dir ./data', does: 'a topic' },
    {
      command: 'brokerless compact users -d ./data --json | jq "map(.bytesAfter) | add"',
      does: 'what is left of it',
    },
  ],
  endsBySignal: true,
  run,
}

const COLUMNS: readonly Column[] = [
  { title: 'TOPIC' },
  ...['PARTITION', 'RECORDS', 'LEFT', 'SIZE', 'LEFT', 'PASSES', 'TIME'].map(
    (title) => ({ title, align: 'right' }) as const,
  ),
]

async function run(context: CommandContext): Promise<number> {
  const { options, operands, output, errors, clock, signal } = context
  const partitions = options.partitions()
  const roll = !options.flag('no-roll')
  await checkTopics(context, partitions ?? [])
  await using log = await openToWrite(context, operands)
  const startMs = clock.now()
  using progress = new Progress(context, () => `compact: ${durationText(clock.now() - startMs)}`)
  const done: PartitionCompaction[] = []
  for (const topic of operands) {
    const chosen = partitions === undefined ? {} : { partitions }
    done.push(...(await log.compact(topic, { ...chosen, roll, signal })))
  }
  progress.stop()
  if (options.flag('json')) output.write(jsonDocument(done))
  else output.write(formatTable(COLUMNS, done.map(row), output.columns))
  const damaged = done.reduce((sum, each) => sum + each.damagedSegments, 0)
  if (damaged === 0) return EXIT_OK
  const left = `${counted(damaged, 'segment')} with damage left as they are`
  errors.line(`brokerless: ${left}; \`brokerless verify\` tells where`)
  return EXIT_TROUBLE
}

/** Before anything is opened to write. */
async function checkTopics(context: CommandContext, partitions: readonly number[]): Promise<void> {
  await using log = await openToRead(context)
  for (const topic of context.operands) await checkTopic(log, topic, partitions)
}

async function checkTopic(
  log: RawLog,
  topic: string,
  partitions: readonly number[],
): Promise<void> {
  const { config, partitions: there } = await describedTopic(log, topic)
  if (config.cleanupPolicy === 'delete') {
    throw new Trouble(`${topic} is not compacted: its cleanupPolicy is 'delete'`)
  }
  for (const partition of partitions) {
    if (partition < there.length) continue
    throw new Trouble(`${topic} has no partition ${partition}; it has ${there.length}`)
  }
}

function row(each: PartitionCompaction): readonly (string | number)[] {
  const { topic, partition, recordsBefore, recordsAfter, passes, durationMs } = each
  return [
    topic,
    partition,
    recordsBefore,
    recordsAfter,
    sizeText(each.bytesBefore),
    sizeText(each.bytesAfter),
    passes,
    durationText(durationMs),
  ]
}
