import type { GroupDescription, GroupMember, GroupOffset } from '../../index.ts'
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
    'LAG is the number of offsets from the committed one to the end, BEHIND how long the first unread record has been waiting. Members, and the OWNER of a partition, are those that were stored last: of a process that was killed they stay until the group is at work again.',
  ],
  options: [DIR_OPTION],
  examples: [
    { command: 'brokerless groups --dir ./data', does: 'all groups, with their lag' },
    {
      command: 'brokerless groups billing --dir ./data',
      does: 'one group: members, offsets, lag, owners',
    },
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
const PARTITION_COLUMNS: readonly Column[] = [
  { title: 'TOPIC' },
  { title: 'PARTITION', align: 'right' },
  { title: 'OFFSET', align: 'right' },
  { title: 'END', align: 'right' },
  { title: 'LAG', align: 'right' },
  { title: 'BEHIND', align: 'right' },
]
const OWNER_COLUMN: Column = { title: 'OWNER' }
const METADATA_COLUMN: Column = { title: 'METADATA' }
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
    if (options.flag('json')) output.write(jsonDocument(description))
    else output.write(textOf(description, output.columns))
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
  try {
    const { state, protocolType, members, offsets, lagRecords, lagMs } =
      await log.describeGroup(group)
    const counts = { members: members.length, partitions: offsets.length }
    return { group, state, protocolType, ...counts, lagRecords, lagMs }
  } catch (error) {
    if (!(error instanceof LogError && error.code === 'DECODE_FAILED')) throw error
    // One group whose metadata cannot be read keeps nobody from seeing the others.
    const { lagRecords, lagMs } = await log.lag(group)
    const counts = { members: 0, partitions: (await log.committedOffsets(group)).length }
    return { group, state: 'Unreadable', protocolType: '', ...counts, lagRecords, lagMs }
  }
}

function rowOf(summary: Summary): readonly (string | number)[] {
  const { group, state, members, partitions, lagRecords, lagMs } = summary
  return [group, state, members, partitions, lagRecords, durationText(lagMs)]
}

function textOf(description: GroupDescription, columns: number | undefined): string {
  const { group, state, protocolType, generation, protocol, members, lagRecords, lagMs } =
    description
  const fields = formatFields([
    ['GROUP', group],
    ['STATE', state],
    ...(protocolType === '' ? [] : [['PROTOCOL', protocolType] as const]),
    ...(protocol === null ? [] : [['ASSIGNOR', protocol] as const]),
    ...(generation < 0 ? [] : [['GENERATION', generation] as const]),
    ['LAG', `${lagRecords} (${durationText(lagMs)})`],
  ])
  const parts = [fields]
  if (members.length > 0) {
    parts.push(formatTable(MEMBER_COLUMNS, members.map(memberRow), columns))
  }
  const rows = partitionRows(description)
  if (rows.length > 0) {
    const owner = members.length > 0 ? [OWNER_COLUMN] : []
    const titles = [...PARTITION_COLUMNS, ...owner, METADATA_COLUMN]
    parts.push(formatTable(titles, rows, columns))
  }
  return parts.join('\n')
}

function memberRow(member: GroupMember): readonly string[] {
  const { memberId, groupInstanceId, clientId, clientHost, assignment } = member
  const assigned = assignment?.partitions.map(({ topic, partitions }) => `${topic}:${partitions}`)
  return [memberId, groupInstanceId ?? '', clientId, clientHost, assigned?.join(' ') ?? '']
}

/** Partitions with their owner, where there are any owners; then what is committed for partitions that are not there. */
function partitionRows({ members, offsets, partitions }: GroupDescription): (string | number)[][] {
  const committed = new Map(offsets.map((offset) => [nameOf(offset), offset]))
  const rows = partitions.map((each) => {
    const { topic, partition, endOffset, lagRecords, lagMs, owner } = each
    const { offset = '-', metadata = '' } = committed.get(nameOf(each)) ?? {}
    committed.delete(nameOf(each))
    const behind = lagMs === undefined ? '-' : durationText(lagMs)
    const figures = [topic, partition, offset, endOffset, lagRecords ?? '-', behind]
    return members.length > 0 ? [...figures, owner ?? '-', metadata] : [...figures, metadata]
  })
  for (const { topic, partition, offset, metadata } of committed.values()) {
    const figures = [topic, partition, offset, '-', '-', '-']
    rows.push(members.length > 0 ? [...figures, '-', metadata] : [...figures, metadata])
  }
  return rows
}

function nameOf({ topic, partition }: Pick<GroupOffset, 'topic' | 'partition'>): string {
  return `${topic}-${partition}`
}
