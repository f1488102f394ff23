import type { GroupDescription, GroupLag, GroupMember, PartitionLag } from '../../index.ts'
import { LogError } from '../../index.ts'
import type { Command, CommandContext } from '../command.ts'
import { EXIT_OK } from '../errors.ts'
import { describedGroup } from '../groups.ts'
import { DIR_OPTION } from '../help.ts'
import { jsonDocument } from '../json.ts'
import type { RawLog } from '../log-directory.ts'
import { openToRead } from '../log-directory.ts'
import type { Column } from '../table.ts'
import { formatFields, formatTable } from '../table.ts'
import { durationText } from '../text.ts'

export const groups: Command = {
  name: 'groups',
  summary: 'List the consumer groups, or describe one',
  usage: '[GROUP] --dir DIR [options]',
  operands: { least: 0, most: 1 },
  details: [
    'LAG is the number of offsets from the committed one to the end, BEHIND how long the first unread record has been waiting.',
  ],
  options: [DIR_OPTION],
  examples: [
    { command: 'brokerless groups --dir ./data', does: 'all groups, with their lag' },
    { command: 'brokerless groups billing --dir ./data', does: 'one group: members, offsets, lag' },
  ],
  run,
}

const LIST_COLUMNS: readonly Column[] = [
  { title: 'GROUP' },
  { title: 'STATE' },
  { title: 'MEMBERS', align: 'right' },
  { title: 'PARTITIONS', align: 'right' },
  { title: 'LAG', align: 'right' },
  { title: 'BEHIND', align: 'right' },
]
const OFFSET_COLUMNS: readonly Column[] = [
  { title: 'TOPIC' },
  { title: 'PARTITION', align: 'right' },
  { title: 'OFFSET', align: 'right' },
  { title: 'END', align: 'right' },
  { title: 'LAG', align: 'right' },
  { title: 'BEHIND', align: 'right' },
  { title: 'METADATA' },
]
const MEMBER_COLUMNS: readonly Column[] = [
  { title: 'MEMBER' },
  { title: 'INSTANCE' },
  { title: 'CLIENT' },
  { title: 'HOST' },
  { title: 'ASSIGNED' },
]

async function run(context: CommandContext): Promise<number> {
  const { options, operands, output } = context
  await using log = await openToRead(context)
  const [group] = operands
  if (group !== undefined) {
    const description = await describedGroup(log, group)
    const lag = await log.lag(group)
    if (options.flag('json')) output.write(jsonDocument(documentOf(description, lag)))
    else output.write(textOf(description, lag, output.columns))
    return EXIT_OK
  }
  const summaries: Summary[] = []
  for (const each of await log.groups()) {
    summaries.push(await summaryOf(log, each))
  }
  if (options.flag('json')) output.write(jsonDocument(summaries))
  else output.write(formatTable(LIST_COLUMNS, summaries.map(rowOf), output.columns))
  return EXIT_OK
}

interface Summary {
  readonly group: string
  readonly state: string
  readonly protocolType: string
  readonly members: number
  readonly partitions: number
  readonly lagRecords: number
  readonly lagMs: number
}

async function summaryOf(log: RawLog, group: string): Promise<Summary> {
  const { lagRecords, lagMs } = await log.lag(group)
  const { state, protocolType, members } = await described(log, group)
  const partitions = (await log.committedOffsets(group)).length
  return { group, state, protocolType, members: members.length, partitions, lagRecords, lagMs }
}

/** One group whose metadata cannot be read keeps nobody from seeing the others. */
async function described(
  log: RawLog,
  group: string,
): Promise<{ readonly state: string; readonly protocolType: string; readonly members: unknown[] }> {
  try {
    const { state, protocolType, members } = await log.describeGroup(group)
    return { state, protocolType, members: [...members] }
  } catch (error) {
    if (!(error instanceof LogError && error.code === 'DECODE_FAILED')) throw error
    return { state: 'Unreadable', protocolType: '', members: [] }
  }
}

function rowOf(summary: Summary): readonly (string | number)[] {
  const { group, state, members, partitions, lagRecords, lagMs } = summary
  return [group, state, members, partitions, lagRecords, durationText(lagMs)]
}

/** Offsets with their lag, where their partition is there. */
function documentOf(description: GroupDescription, lag: GroupLag): object {
  const { lagRecords, lagMs } = lag
  const offsets = description.offsets.map((offset) => {
    const { committedOffset: _, ...figures } = lagOf(lag, offset) ?? {}
    return { ...offset, ...figures }
  })
  return { ...description, offsets, lagRecords, lagMs }
}

function lagOf(
  lag: GroupLag,
  { topic, partition }: Pick<PartitionLag, 'topic' | 'partition'>,
): PartitionLag | undefined {
  return lag.partitions.find((each) => each.topic === topic && each.partition === partition)
}

function textOf(description: GroupDescription, lag: GroupLag, columns: number | undefined): string {
  const { group, state, protocolType, generation, protocol, members, offsets } = description
  const fields = formatFields([
    ['GROUP', group],
    ['STATE', state],
    ...(protocolType === '' ? [] : [['PROTOCOL', protocolType] as const]),
    ...(protocol === null ? [] : [['ASSIGNOR', protocol] as const]),
    ...(generation < 0 ? [] : [['GENERATION', generation] as const]),
    ['LAG', `${lag.lagRecords} (${durationText(lag.lagMs)})`],
  ])
  const parts = [fields]
  if (members.length > 0) {
    parts.push(formatTable(MEMBER_COLUMNS, members.map(memberRow), columns))
  }
  if (offsets.length > 0) {
    const rows = offsets.map((offset) => {
      const { endOffset, lagRecords, lagMs } = lagOf(lag, offset) ?? {}
      return [
        offset.topic,
        offset.partition,
        offset.offset,
        endOffset ?? '-',
        lagRecords ?? '-',
        lagMs === undefined ? '-' : durationText(lagMs),
        offset.metadata,
      ]
    })
    parts.push(formatTable(OFFSET_COLUMNS, rows, columns))
  }
  return parts.join('\n')
}

function memberRow(member: GroupMember): readonly string[] {
  const { memberId, groupInstanceId, clientId, clientHost, assignment } = member
  const assigned = assignment?.partitions.map(({ topic, partitions }) => `${topic}:${partitions}`)
  return [memberId, groupInstanceId ?? '', clientId, clientHost, assigned?.join(' ') ?? '']
}
