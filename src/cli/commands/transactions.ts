import type { StoredTransaction } from '../../inspect/transaction-states.ts'
import type { OpenTransactionPart, TransactionSurvey } from '../../inspect/transaction-survey.ts'
import { isUnderWay } from '../../inspect/transaction-survey.ts'
import type { PartitionName } from '../../storage/file-names.ts'
import type { Command, CommandContext } from '../command.ts'
import { EXIT_OK, EXIT_TROUBLE, Trouble } from '../errors.ts'
import { DIR_OPTION } from '../help.ts'
import { jsonDocument } from '../json.ts'
import type { Column } from '../table.ts'
import { formatFields, formatTable } from '../table.ts'
import { durationText, timeText } from '../text.ts'
import {
  agoText,
  noTransaction,
  OPEN_COLUMNS,
  openJson,
  openRow,
  partitionsText,
  surveyed,
  unreadNote,
} from '../transactions.ts'

export const transactions: Command = {
  name: 'transactions',
  summary: 'List transactional ids and their transactions, or describe one',
  usage: '[TRANSACTIONAL-ID] --dir DIR [options]',
  operands: { least: 0, most: 1 },
  details: [
    'STATE is what __transaction_state says: Empty and Complete… have nothing open; Ongoing and Prepare… wait for markers in PARTITIONS, or for these to come to the disk. BEGUN tells how long ago the last transaction began, UPDATED when its state was stored. A transaction that is committed at one go is stored there when it is decided, and not at all where it touched one partition.',
    'Below stands what hangs: transactions that are open in a partition, and that nothing in __transaction_state will decide. Readers of committed records stop before them. Without a writer the next open to write aborts them; beside a live one only those count that are older than their time-out (15 minutes where it is not known).',
  ],
  options: [
    DIR_OPTION,
    { name: 'hanging', summary: 'Only what hangs' },
    { name: 'open', summary: 'Only ids that are waiting for markers, and all that is open' },
  ],
  examples: [
    { command: 'brokerless transactions --dir ./data', does: 'all, and what hangs' },
    { command: 'brokerless transactions payments --dir ./data', does: 'one transactional id' },
    {
      command: "brokerless transactions -d ./data --json | jq '.open[] | select(.hanging)'",
      does: 'what hangs, for programs',
    },
  ],
  run,
}

const COLUMNS: readonly Column[] = [
  { title: 'TRANSACTIONAL ID' },
  { title: 'STATE' },
  { title: 'PRODUCER', align: 'right' },
  { title: 'EPOCH', align: 'right' },
  { title: 'BEGUN', align: 'right' },
  { title: 'UPDATED', align: 'right' },
  { title: 'TIME-OUT', align: 'right' },
  { title: 'PARTITIONS' },
]

async function run(context: CommandContext): Promise<number> {
  const { options, operands, output, errors, clock } = context
  const survey = await surveyed(context)
  const nowMs = clock.now()
  const [id] = operands
  const chosen = chosenOf(survey, id, options.flag('hanging'), options.flag('open'))
  if (options.flag('json')) {
    output.write(
      jsonDocument({
        state: survey.state,
        transactions: chosen.stored.map((each) => storedJson(each, nowMs)),
        open: chosen.open.map((each) => openJson(each, nowMs)),
      }),
    )
  } else if (id !== undefined) output.write(detailsOf(chosen, nowMs, output.columns))
  else output.write(listOf(chosen, nowMs, output.columns))
  const note = unreadNote(survey)
  if (note === undefined) return EXIT_OK
  errors.line(note)
  return EXIT_TROUBLE
}

interface Chosen {
  readonly stored: readonly StoredTransaction[]
  readonly open: readonly OpenTransactionPart[]
  readonly showsAllOpen: boolean
}

function chosenOf(
  survey: TransactionSurvey,
  id: string | undefined,
  isHanging: boolean,
  isOpen: boolean,
): Chosen {
  const stored = survey.stored.filter((each) => id === undefined || each.transactionalId === id)
  if (id !== undefined && stored.length === 0) throw new Trouble(noTransaction(id, survey))
  const open = survey.open.filter((each) => id === undefined || each.transactionalId === id)
  const hanging = open.filter((each) => each.isHanging)
  if (isHanging) return { stored: [], open: hanging, showsAllOpen: false }
  if (!isOpen) return { stored, open, showsAllOpen: id !== undefined }
  const waiting = stored.filter(
    ({ transactionalId, state }) =>
      isUnderWay(state) || open.some((each) => each.transactionalId === transactionalId),
  )
  return { stored: waiting, open, showsAllOpen: true }
}

// ------------------------------------------------------------------------------------------ text

function listOf(chosen: Chosen, nowMs: number, columns: number | undefined): string {
  const rows = chosen.stored.map((each) => storedRow(each, nowMs))
  const parts = [formatTable(COLUMNS, rows, columns)]
  return [
    ...(chosen.stored.length > 0 || chosen.open.length === 0 ? parts : []),
    ...openText(chosen, nowMs, columns),
  ].join('\n')
}

function openText(chosen: Chosen, nowMs: number, columns: number | undefined): string[] {
  const { open, showsAllOpen } = chosen
  const hanging = open.filter(({ isHanging }) => isHanging)
  const waiting = showsAllOpen ? open.filter(({ isHanging }) => !isHanging) : []
  return (
    [
      ['Open', waiting],
      ['Hanging', hanging],
    ] as const
  )
    .filter(([, parts]) => parts.length > 0)
    .map(([title, parts]) => {
      const rows = parts.map((each) => openRow(each, nowMs))
      return `${title}:\n${formatTable(OPEN_COLUMNS, rows, columns)}`
    })
}

function storedRow(each: StoredTransaction, nowMs: number): readonly (string | number)[] {
  const { transactionalId, state } = each
  return [
    transactionalId,
    state.status,
    state.producerId,
    state.producerEpoch,
    agoText(state.startTimestamp, nowMs),
    agoText(state.lastUpdateTimestamp, nowMs),
    durationText(state.transactionTimeoutMs),
    partitionsText(partitionsOf(each)),
  ]
}

function detailsOf(chosen: Chosen, nowMs: number, columns: number | undefined): string {
  const fields = chosen.stored.map((each) => {
    const { transactionalId, state, partition, offset } = each
    return formatFields([
      ['TRANSACTIONAL ID', transactionalId],
      ['STATE', state.status],
      ['PRODUCER', state.producerId],
      ['EPOCH', state.producerEpoch],
      ['BEGUN', sinceText(state.startTimestamp, nowMs)],
      ['UPDATED', sinceText(state.lastUpdateTimestamp, nowMs)],
      ['TIME-OUT', durationText(state.transactionTimeoutMs)],
      ['PARTITIONS', partitionsText(partitionsOf(each)) || '-'],
      ['STORED', `__transaction_state-${partition}, offset ${offset}`],
    ])
  })
  return [...fields, ...openText(chosen, nowMs, columns)].join('\n')
}

function sinceText(timestamp: number, nowMs: number): string {
  return timestamp < 0 ? '-' : `${timeText(timestamp)}, ${agoText(timestamp, nowMs)} ago`
}

function partitionsOf({ state }: StoredTransaction): readonly PartitionName[] {
  return state.partitions.flatMap(({ topic, partitions }) =>
    partitions.map((partition) => ({ topic, partition })),
  )
}

function storedJson(each: StoredTransaction, nowMs: number): object {
  const { transactionalId, state } = each
  const { status, producerId, producerEpoch, transactionTimeoutMs } = state
  const { startTimestamp, lastUpdateTimestamp } = state
  return {
    transactionalId,
    state: status,
    producerId,
    producerEpoch,
    transactionTimeoutMs,
    startTimestamp: startTimestamp < 0 ? null : startTimestamp,
    lastUpdateTimestamp,
    ageMs: startTimestamp < 0 ? null : Math.max(0, nowMs - startTimestamp),
    sinceUpdateMs: Math.max(0, nowMs - lastUpdateTimestamp),
    partitions: partitionsOf(each),
  }
}
