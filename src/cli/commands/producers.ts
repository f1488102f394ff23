import { listDirectory } from '../../inspect/directory-listing.ts'
import { partitionProducers } from '../../inspect/producer-survey.ts'
import { storedTransactions } from '../../inspect/transaction-states.ts'
import { ownersOf } from '../../inspect/transaction-survey.ts'
import type { ProducerEntry } from '../../storage/producer-state.ts'
import type { Command, CommandContext } from '../command.ts'
import { EXIT_OK } from '../errors.ts'
import { DIR_OPTION, INTERNAL_OPTION, partitionsOption } from '../help.ts'
import { jsonDocument } from '../json.ts'
import { dataDirectory, INTERNAL_TOPICS } from '../log-directory.ts'
import type { Column } from '../table.ts'
import { formatTable } from '../table.ts'
import { timeText } from '../text.ts'
import { chosenPartitions } from '../transactions.ts'

export const producers: Command = {
  name: 'producers',
  summary: 'List what partitions know of their producers',
  usage: '[TOPIC] --dir DIR [options]',
  operands: { least: 0, most: 1 },
  details: [
    'Of idempotent and transactional producers, in each partition that they wrote to: the epoch, the SEQUENCE of the last record and its OFFSET, the time of the last batch or marker, and the first offset of the transaction that is open there. Producers that were idle for longer than producerIdExpirationMs are forgotten with the next open or snapshot.',
  ],
  options: [
    DIR_OPTION,
    partitionsOption('This partition (default: all)'),
    { name: 'producer-id', value: 'ID', summary: 'This producer (default: all)' },
    { name: 'open', summary: 'Only those with an open transaction' },
    INTERNAL_OPTION,
  ],
  examples: [
    { command: 'brokerless producers --dir ./data', does: 'all producers of all topics' },
    { command: 'brokerless producers orders -p 0 --dir ./data', does: 'those of one partition' },
    {
      command: "brokerless producers -d ./data --open --json | jq '.[].producerId' | sort -u",
      does: 'the producers that keep a transaction open',
    },
  ],
  run,
}

const COLUMNS: readonly Column[] = [
  { title: 'TOPIC' },
  { title: 'PARTITION', align: 'right' },
  { title: 'PRODUCER', align: 'right' },
  { title: 'EPOCH', align: 'right' },
  { title: 'SEQUENCE', align: 'right' },
  { title: 'OFFSET', align: 'right' },
  { title: 'LAST TIME' },
  { title: 'OPEN FROM', align: 'right' },
  { title: 'TRANSACTIONAL ID' },
]

async function run(context: CommandContext): Promise<number> {
  const { options, operands, output, fileSystem, signal } = context
  const directory = await dataDirectory(context)
  const wantedId = options.integer('producer-id', 0)
  const [topic] = operands
  const isShown = (name: string): boolean =>
    topic !== undefined || options.flag('internal') || !INTERNAL_TOPICS.has(name)
  const partitions = await chosenPartitions(context, directory, topic)
  const survey = { fileSystem, directory, signal }
  const found: Found[] = []
  for (const each of partitions.filter((name) => isShown(name.topic))) {
    const { producers: entries } = await partitionProducers(survey, each)
    for (const entry of entries) {
      if (wantedId !== undefined && entry.producerId !== wantedId) continue
      if (options.flag('open') && entry.currentTxnFirstOffset === undefined) continue
      found.push(foundOf(each.topic, each.partition, entry))
    }
  }
  const all = (await listDirectory(fileSystem, directory)).partitions
  const owners = ownersOf(await storedTransactions(survey, all))
  const named = found.map((each) => ({
    ...each,
    transactionalId: owners.get(each.producerId)?.transactionalId ?? null,
  }))
  if (options.flag('json')) output.write(jsonDocument(named))
  else output.write(formatTable(COLUMNS, named.map(row), output.columns))
  return EXIT_OK
}

interface Found {
  readonly topic: string
  readonly partition: number
  readonly producerId: number
  readonly producerEpoch: number
  /** Null before its first marker. */
  readonly coordinatorEpoch: number | null
  /** Null where it has written nothing under this epoch. */
  readonly lastSequence: number | null
  readonly lastOffset: number | null
  readonly lastTimestamp: number
  readonly openFirstOffset: number | null
}

function foundOf(topic: string, partition: number, entry: ProducerEntry): Found {
  const { producerId, producerEpoch, coordinatorEpoch, lastTimestamp } = entry
  const last = entry.batches.at(-1)
  return {
    topic,
    partition,
    producerId,
    producerEpoch,
    coordinatorEpoch: coordinatorEpoch < 0 ? null : coordinatorEpoch,
    lastSequence: last === undefined || last.lastSequence < 0 ? null : last.lastSequence,
    lastOffset: last?.lastOffset ?? null,
    lastTimestamp,
    openFirstOffset: entry.currentTxnFirstOffset ?? null,
  }
}

function row(each: Found & { readonly transactionalId: string | null }): (string | number)[] {
  return [
    each.topic,
    each.partition,
    each.producerId,
    each.producerEpoch,
    each.lastSequence ?? '-',
    each.lastOffset ?? '-',
    each.lastTimestamp < 0 ? '-' : timeText(each.lastTimestamp),
    each.openFirstOffset ?? '-',
    each.transactionalId ?? '-',
  ]
}
