import { abortedTransactions } from '../../inspect/producer-survey.ts'
import type { OpenTransactionPart, TransactionSurvey } from '../../inspect/transaction-survey.ts'
import type { Command, CommandContext } from '../command.ts'
import { EXIT_OK, EXIT_TROUBLE, Trouble, UsageError } from '../errors.ts'
import { BREAK_LOCK_OPTION, DIR_OPTION, partitionsOption } from '../help.ts'
import { jsonDocument } from '../json.ts'
import { dataDirectory, openToWrite } from '../log-directory.ts'
import type { Column } from '../table.ts'
import { formatTable } from '../table.ts'
import { chosenPartitions, noTransaction, surveyed } from '../transactions.ts'

export const abort: Command = {
  name: 'abort',
  summary: 'Abort transactions that a dead process left open',
  usage: '[TRANSACTIONAL-ID] --dir DIR [options]',
  operands: { least: 0, most: 1 },
  details: [
    'Opens the directory to write, which nobody else may hold, and tells what became of the transactions that were named: by transactional id, by --producer-id, or by --all. An open to write decides every transaction that is still open, so others are aborted, or completed, with them; --dry-run shows what would be done, and changes nothing.',
    'A transaction whose commit was decided is not aborted: the open completes it. Beside a live writer there is nothing to do here: it aborts what exceeds its time-out.',
  ],
  options: [
    DIR_OPTION,
    { name: 'producer-id', value: 'ID', summary: 'What this producer has open' },
    { name: 'topic', short: 't', value: 'TOPIC', summary: 'Only in this topic (default: all)' },
    partitionsOption('Only in this partition (default: all)'),
    { name: 'all', summary: 'All that is open and not decided' },
    { name: 'dry-run', short: 'n', summary: 'Tell what would be aborted, and change nothing' },
    BREAK_LOCK_OPTION,
  ],
  examples: [
    { command: 'brokerless abort payments --dir ./data', does: 'what one transactional id left' },
    { command: 'brokerless abort --all --dry-run --dir ./data', does: 'what there is to abort' },
    {
      command: 'brokerless abort --producer-id 1099511627777 -t orders -p 0 --dir ./data',
      does: 'what a producer has open in a partition',
    },
  ],
  endsBySignal: true,
  run,
}

const COLUMNS: readonly Column[] = [
  { title: 'TOPIC' },
  { title: 'PARTITION', align: 'right' },
  { title: 'PRODUCER', align: 'right' },
  { title: 'EPOCH', align: 'right' },
  { title: 'FROM', align: 'right' },
  { title: 'MARKER', align: 'right' },
  { title: 'OUTCOME' },
  { title: 'TRANSACTIONAL ID' },
]

type Outcome = 'to be aborted' | 'aborted' | 'committed' | 'still open'

interface Told {
  readonly part: OpenTransactionPart
  readonly outcome: Outcome
  /** Of its abort marker; null where there is none. */
  readonly markerOffset: number | null
}

async function run(context: CommandContext): Promise<number> {
  const { options, operands, output } = context
  const [id] = operands
  const producerId = options.integer('producer-id', 0)
  const given = [id !== undefined, producerId !== undefined, options.flag('all')]
  if (given.filter(Boolean).length !== 1) {
    throw new UsageError('abort needs one of TRANSACTIONAL-ID, --producer-id ID and --all')
  }
  const survey = await surveyed(context)
  const chosen = await chosenParts(context, survey, id, producerId)
  if (options.flag('dry-run')) {
    if (survey.state === 'live' && options.text('break-lock') === undefined) {
      const message = `${await dataDirectory(context)} is held by a live writer: nothing of it would be aborted here`
      throw new Trouble(message)
    }
    tell(
      context,
      chosen.map((part) => ({ part, outcome: 'to be aborted', markerOffset: null })),
    )
    return EXIT_OK
  }
  if (chosen.length === 0) {
    output.write(options.flag('json') ? jsonDocument([]) : 'Nothing is open.\n')
    return EXIT_OK
  }
  const told = await decided(context, chosen)
  tell(context, told)
  return told.every(({ outcome }) => outcome === 'aborted') ? EXIT_OK : EXIT_TROUBLE
}

/** What is open and was not decided; what was named and is neither is refused. */
async function chosenParts(
  context: CommandContext,
  survey: TransactionSurvey,
  id: string | undefined,
  producerId: number | undefined,
): Promise<readonly OpenTransactionPart[]> {
  const { options } = context
  const directory = await dataDirectory(context)
  const partitions = await chosenPartitions(context, directory, options.text('topic'))
  const isWanted = (part: OpenTransactionPart): boolean =>
    (id === undefined || part.transactionalId === id) &&
    (producerId === undefined || part.producerId === producerId) &&
    partitions.some(({ topic, partition }) => topic === part.topic && partition === part.partition)
  const open = survey.open.filter(isWanted)
  const undecided = open.filter((part) => !isCommitted(survey, part))
  if (undecided.length > 0 || options.flag('all')) return undecided
  const who = id === undefined ? `producer ${producerId}` : `'${id}'`
  if (open.length > 0) {
    const message = `the transaction of ${who} is decided: it commits, and the next open completes it`
    throw new Trouble(message)
  }
  const isKnown = survey.stored.some(({ transactionalId }) => transactionalId === id)
  if (id !== undefined && !isKnown) throw new Trouble(noTransaction(id, survey))
  throw new Trouble(`${who} has no open transaction there; \`brokerless transactions\` tells more`)
}

function isCommitted({ stored }: TransactionSurvey, part: OpenTransactionPart): boolean {
  const owner = stored.find(({ transactionalId }) => transactionalId === part.transactionalId)
  return owner?.state.status === 'PrepareCommit' && !part.isHanging
}

/** Opens to write, which decides all that is open, and looks again. */
async function decided(
  context: CommandContext,
  chosen: readonly OpenTransactionPart[],
): Promise<readonly Told[]> {
  const { fileSystem, signal } = context
  const log = await openToWrite(context, [])
  await log.close()
  const directory = await dataDirectory(context)
  const after = await surveyed(context)
  const told: Told[] = []
  for (const part of chosen) {
    const { topic, partition, producerId, firstOffset } = part
    const isSame = (each: { readonly producerId: number; readonly firstOffset: number }): boolean =>
      each.producerId === producerId && each.firstOffset === firstOffset
    const aborted = await abortedTransactions({ fileSystem, directory, signal }, part)
    const markerOffset = aborted.find(isSame)?.lastOffset ?? null
    const isOpen = after.open.some(
      (each) => each.topic === topic && each.partition === partition && isSame(each),
    )
    const outcome = isOpen ? 'still open' : markerOffset === null ? 'committed' : 'aborted'
    told.push({ part, outcome, markerOffset })
  }
  return told
}

function tell({ options, output }: CommandContext, told: readonly Told[]): void {
  if (options.flag('json')) output.write(jsonDocument(told.map(jsonOf)))
  else if (told.length === 0) output.write('Nothing is open.\n')
  else output.write(formatTable(COLUMNS, told.map(row), output.columns))
}

function jsonOf({ part, outcome, markerOffset }: Told): object {
  const { topic, partition, producerId, producerEpoch, firstOffset, transactionalId } = part
  const names = { topic, partition, producerId, producerEpoch, transactionalId }
  return { ...names, firstOffset, markerOffset, outcome }
}

function row({ part, outcome, markerOffset }: Told): readonly (string | number)[] {
  const { topic, partition, producerId, producerEpoch, firstOffset, transactionalId } = part
  const names = [topic, partition, producerId, producerEpoch, firstOffset]
  return [...names, markerOffset ?? '-', outcome, transactionalId ?? '-']
}
