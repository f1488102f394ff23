import type { GroupOffset, OffsetCommit } from '../../index.ts'
import type { Command, CommandContext } from '../command.ts'
import { EXIT_OK, Trouble, UsageError } from '../errors.ts'
import { describedGroup } from '../groups.ts'
import { BREAK_LOCK_OPTION, DIR_OPTION, partitionsOption } from '../help.ts'
import { jsonDocument } from '../json.ts'
import type { RawLog } from '../log-directory.ts'
import { describedTopic, openToRead, openToWrite } from '../log-directory.ts'
import type { Position } from '../position.ts'
import { offsetAt, POSITION_DETAILS, POSITIONS, positionOption } from '../position.ts'
import type { Column } from '../table.ts'
import { formatTable } from '../table.ts'
import { counted, isIntegerText, printable, timeText } from '../text.ts'

export const offsets: Command = {
  name: 'offsets',
  summary: 'Show, reset or delete the offsets that groups have committed',
  usage: '[show | reset | delete] --dir DIR [options]',
  operands: { least: 0, most: 1 },
  details: [
    'show tells the offsets of all groups, or of those and for what is named. reset commits for --group and --topic, in all partitions or those named, what --to or --by says. delete takes away what --group has committed: for --topic, or all, and then the group is gone. reset and delete write, and so need the directory to be held by nobody else; with --dry-run they change nothing and run beside a writer.',
    POSITION_DETAILS,
  ],
  options: [
    DIR_OPTION,
    { name: 'group', short: 'g', value: 'GROUP', summary: 'The group' },
    { name: 'topic', short: 't', value: 'TOPIC', summary: 'The topic' },
    partitionsOption('This partition of the topic (default: all)'),
    { name: 'to', value: 'WHERE', summary: `Reset to: ${POSITIONS}` },
    { name: 'by', value: 'N', summary: 'Reset by N offsets, back where N is negative' },
    { name: 'dry-run', summary: 'Only tell what would change' },
    BREAK_LOCK_OPTION,
  ],
  examples: [
    {
      command: 'brokerless offsets -d ./data --group billing',
      does: 'what a group has committed',
    },
    {
      command: 'brokerless offsets reset -d ./data -g billing -t orders --to start --dry-run',
      does: 'what reading a topic again would change',
    },
    {
      command: 'brokerless offsets reset -d ./data -g billing -t orders --by -100',
      does: 'go back 100 offsets in each partition',
    },
    {
      command: 'brokerless offsets delete -d ./data -g billing -t orders',
      does: 'forget how far a group has read a topic',
    },
  ],
  endsBySignal: true,
  run,
}

const ACTIONS = { show, reset, delete: deleteOffsets }

async function run(context: CommandContext): Promise<number> {
  const [action = 'show'] = context.operands
  if (!isAction(action)) {
    throw new UsageError(`offsets: '${action}' is none of ${Object.keys(ACTIONS).join(', ')}`)
  }
  const { options } = context
  const isReset = action === 'reset'
  for (const name of ['to', 'by', 'dry-run', 'break-lock']) {
    const fits = isReset || (action === 'delete' && name !== 'to' && name !== 'by')
    if (options.flag(name) && !fits) throw new UsageError(`offsets ${action} takes no --${name}`)
  }
  if (options.flag('partition')) options.needed('topic', 'TOPIC')
  await ACTIONS[action](context)
  return EXIT_OK
}

function isAction(action: string): action is keyof typeof ACTIONS {
  return Object.hasOwn(ACTIONS, action)
}

// ------------------------------------------------------------------------------------------ show

const COLUMNS: readonly Column[] = [
  { title: 'GROUP' },
  { title: 'TOPIC' },
  { title: 'PARTITION', align: 'right' },
  { title: 'OFFSET', align: 'right' },
  { title: 'COMMITTED' },
  { title: 'METADATA' },
]

async function show(context: CommandContext): Promise<void> {
  const { options, output } = context
  await using log = await openToRead(context)
  const group = options.text('group')
  if (group !== undefined) await describedGroup(log, group)
  const found: (GroupOffset & { readonly group: string })[] = []
  for (const name of group === undefined ? await log.groups() : [group]) {
    const wanted = chosen(await log.committedOffsets(name), context)
    found.push(...wanted.map((offset) => ({ group: name, ...offset })))
  }
  if (options.flag('json')) output.write(jsonDocument(found))
  else {
    const rows = found.map((each) => [
      each.group,
      each.topic,
      each.partition,
      each.offset,
      timeText(each.commitTimestamp),
      each.metadata,
    ])
    output.write(formatTable(COLUMNS, rows, output.columns))
  }
}

/** Those for the topic and the partitions that were named, where any were. */
function chosen(committed: readonly GroupOffset[], { options }: CommandContext): GroupOffset[] {
  const topic = options.text('topic')
  const partitions = options.partitions()
  return committed.filter(
    (each) =>
      (topic === undefined || each.topic === topic) &&
      (partitions === undefined || partitions.includes(each.partition)),
  )
}

// ----------------------------------------------------------------------------------------- reset

/** What a reset changes in one partition. */
interface Change {
  readonly partition: number
  /** Undefined: nothing was committed. */
  readonly from: number | undefined
  readonly to: number
  readonly metadata: string
}

const CHANGE_COLUMNS: readonly Column[] = [
  { title: 'TOPIC' },
  { title: 'PARTITION', align: 'right' },
  { title: 'FROM', align: 'right' },
  { title: 'TO', align: 'right' },
]

async function reset(context: CommandContext): Promise<void> {
  const { options, output } = context
  const group = options.needed('group', 'GROUP')
  const topic = options.needed('topic', 'TOPIC')
  const target = targetOf(context)
  const isDry = options.flag('dry-run')
  const partitions = options.partitions()
  await using log = await (isDry ? openToRead(context) : openToWrite(context, [topic]))
  const description = await describedTopic(log, topic)
  const numbers = partitions ?? description.partitions.map(({ partition }) => partition)
  const changes = await changesOf(log, group, topic, numbers, target)
  if (!isDry) {
    const commits = changes.map(({ partition, to, metadata }): OffsetCommit => {
      return { topic, partition, offset: to, metadata }
    })
    await log.commitOffset(group, commits, { durability: 'disk' })
  }
  if (options.flag('json')) {
    const told = changes.map(({ partition, from, to }) => ({
      topic,
      partition,
      from: from ?? null,
      to,
    }))
    output.write(jsonDocument({ group, dryRun: isDry, changes: told }))
    return
  }
  const rows = changes.map(({ partition, from, to }) => [topic, partition, from ?? '-', to])
  output.write(formatTable(CHANGE_COLUMNS, rows, output.columns))
  if (isDry) context.errors.line('dry run: nothing was changed')
}

type Target = { readonly to: Position } | { readonly by: number }

function targetOf({ options }: CommandContext): Target {
  const to = positionOption(options, 'to')
  const by = options.text('by')
  if (to !== undefined && by === undefined) return { to }
  if (to !== undefined || by === undefined) {
    throw new UsageError(
      `offsets reset needs --to WHERE or --by N, and one of them; WHERE is ${POSITIONS}`,
    )
  }
  if (!isIntegerText(by)) throw options.refusal('by', by, 'an integer')
  return { by: Number(by) }
}

async function changesOf(
  log: RawLog,
  group: string,
  topic: string,
  partitions: readonly number[],
  target: Target,
): Promise<Change[]> {
  const committed = await log.committedOffsets(group)
  const changes: Change[] = []
  for (const partition of partitions) {
    const before = committed.find((each) => each.topic === topic && each.partition === partition)
    const range = await log.offsets(topic, partition)
    const position =
      'to' in target ? target.to : shifted(group, topic, partition, before, target.by)
    const to = await offsetAt(log, topic, partition, range, position)
    changes.push({ partition, from: before?.offset, to, metadata: before?.metadata ?? '' })
  }
  return changes
}

function shifted(
  group: string,
  topic: string,
  partition: number,
  before: GroupOffset | undefined,
  by: number,
): Position {
  if (before !== undefined) return { kind: 'offset', offset: before.offset + by }
  throw new Trouble(
    `${group} has committed nothing for ${topic}-${partition}, so --by has nothing to start from; --partition names those that it is for, --to sets an offset`,
  )
}

// ---------------------------------------------------------------------------------------- delete

async function deleteOffsets(context: CommandContext): Promise<void> {
  const { options, output } = context
  const group = options.needed('group', 'GROUP')
  const topic = options.text('topic')
  const isDry = options.flag('dry-run')
  await using log = await (isDry ? openToRead(context) : openToWrite(context, []))
  const { offsets: committed } = await describedGroup(log, group)
  const wanted = chosen(committed, context)
  if (topic !== undefined && wanted.length === 0) {
    throw new Trouble(`${group} has committed nothing for ${topic} that could be deleted`)
  }
  if (!isDry) {
    if (topic === undefined) await log.deleteGroup(group)
    else await log.deleteOffsets(group, wanted)
  }
  if (options.flag('json')) {
    const told = wanted.map(({ topic: name, partition, offset }) => ({
      topic: name,
      partition,
      offset,
    }))
    output.write(jsonDocument({ group, dryRun: isDry, deleted: told }))
    return
  }
  const offsetsText = counted(wanted.length, 'offset')
  const what =
    topic === undefined ? `group ${group} with ${offsetsText}` : `${offsetsText} of group ${group}`
  output.line(printable(`${isDry ? 'would delete' : 'deleted'} ${what}`))
  if (isDry) context.errors.line('dry run: nothing was changed')
}
