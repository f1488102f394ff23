import { listDirectory } from '../../inspect/directory-listing.ts'
import { logBytes } from '../../inspect/log-bytes.ts'
import type { CodecStatistics, TopicStatistics } from '../../inspect/topic-statistics.ts'
import { topicStatistics } from '../../inspect/topic-statistics.ts'
import type { PartitionName } from '../../storage/file-names.ts'
import { partitionDirectoryName } from '../../storage/file-names.ts'
import { ByteProgress } from '../byte-progress.ts'
import type { Command, CommandContext } from '../command.ts'
import { EXIT_OK, Trouble } from '../errors.ts'
import { DIR_OPTION, INTERNAL_OPTION } from '../help.ts'
import { jsonDocument } from '../json.ts'
import { dataDirectory, INTERNAL_TOPICS, noTopic } from '../log-directory.ts'
import { Progress } from '../progress.ts'
import type { Column } from '../table.ts'
import { formatFields, formatTable } from '../table.ts'
import { counted, durationText, sizeText, timeText } from '../text.ts'

export const stats: Command = {
  name: 'stats',
  summary: 'Tell sizes, rates, compression and keys of topics',
  usage: '[TOPIC...] --dir DIR [options]',
  operands: { least: 0, most: Number.POSITIVE_INFINITY },
  details: [
    'Goes through all records that stand in the files, those below the log start included. KEYS is the number of different keys: exact up to 200,000, beyond that an estimate (~, standard error 0.8 %). RATIO is how many bytes of records without compression one stored byte stands for. Rates are over the span of the timestamps.',
    'Topics that are named are told in detail: codecs, partitions, the greatest records.',
  ],
  options: [DIR_OPTION, INTERNAL_OPTION],
  examples: [
    { command: 'brokerless stats --dir ./data', does: 'all topics' },
    { command: 'brokerless stats orders --dir ./data', does: 'one topic in detail' },
    {
      command: "brokerless stats -d ./data --json | jq '.[] | {topic, keys: .keys.count}'",
      does: 'how many keys each topic has',
    },
  ],
  run,
}

async function run(context: CommandContext): Promise<number> {
  const { options, operands, output, fileSystem, clock, signal } = context
  const directory = await dataDirectory(context)
  const { partitions } = await listDirectory(fileSystem, directory)
  const topics = chosenTopics(partitions, operands, options.flag('internal'))
  const gone = new ByteProgress(clock)
  gone.total = await logBytes(fileSystem, directory, [...topics.values()].flat())
  using progress = new Progress(context, () => `stats: ${gone.text()}`)
  const all: StatisticsWithRates[] = []
  for (const [topic, names] of topics) {
    const statistics = await topicStatistics({
      fileSystem,
      directory,
      topic,
      partitions: names.map(({ partition }) => partition),
      signal,
      onProgress: (bytes) => {
        gone.done += bytes
      },
    })
    all.push(withRates(statistics))
  }
  progress.stop()
  if (options.flag('json')) output.write(jsonDocument(all))
  else if (operands.length === 0) output.write(formatTable(COLUMNS, all.map(row), output.columns))
  else output.write(all.map((each) => detailsOf(each, output.columns)).join('\n'))
  return EXIT_OK
}

/** Partitions by topic, in order. */
function chosenTopics(
  partitions: readonly PartitionName[],
  wanted: readonly string[],
  withInternal: boolean,
): Map<string, PartitionName[]> {
  const topics = new Map<string, PartitionName[]>()
  for (const each of partitions) topics.set(each.topic, [...(topics.get(each.topic) ?? []), each])
  const names = [...topics.keys()]
  for (const topic of wanted) {
    if (!topics.has(topic)) throw new Trouble(noTopic(topic, names))
  }
  for (const topic of names) {
    const isHidden = INTERNAL_TOPICS.has(topic) && !withInternal
    if (wanted.length === 0 ? isHidden : !wanted.includes(topic)) topics.delete(topic)
  }
  return topics
}

// ----------------------------------------------------------------------------------------- rates

interface StatisticsWithRates extends TopicStatistics {
  /** Averages are null where there is nothing. */
  readonly batchBytes: number | null
  /** Without compression. */
  readonly recordBytes: number | null
  /** Bytes of records without compression to bytes stored. */
  readonly ratio: number | null
  readonly spanMs: number | null
  /** Over the span; null where that is 0. */
  readonly recordsPerSecond: number | null
  readonly bytesPerSecond: number | null
}

function withRates(statistics: TopicStatistics): StatisticsWithRates {
  const { firstTimestamp, lastTimestamp, dataBytes, batches, records, codecs } = statistics
  const stored = codecs.reduce((sum, each) => sum + each.storedBytes, 0)
  const plain = codecs.reduce((sum, each) => sum + each.recordBytes, 0)
  const spanMs =
    firstTimestamp === null || lastTimestamp === null ? null : lastTimestamp - firstTimestamp
  const perSecond = (count: number): number | null => quotient(count * 1000, spanMs ?? 0)
  return {
    ...statistics,
    batchBytes: quotient(dataBytes, batches),
    recordBytes: quotient(plain, records),
    ratio: quotient(plain, stored),
    spanMs,
    recordsPerSecond: perSecond(records),
    bytesPerSecond: perSecond(dataBytes),
  }
}

function quotient(part: number, whole: number): number | null {
  return whole === 0 ? null : part / whole
}

// ------------------------------------------------------------------------------------------ text

const COLUMNS: readonly Column[] = [
  { title: 'TOPIC' },
  ...['RECORDS', 'KEYS', 'TOMBSTONES', 'SIZE', 'RATIO', 'RECORD', 'BATCH', 'RECORDS/S'].map(
    (title) => ({ title, align: 'right' as const }),
  ),
]

function row(each: StatisticsWithRates): readonly (string | number)[] {
  const { topic, records, tombstones, dataBytes, ratio, recordBytes, batchBytes } = each
  return [
    topic,
    records,
    keysText(each),
    tombstones,
    sizeText(dataBytes),
    ratioText(ratio),
    averageText(recordBytes),
    averageText(batchBytes),
    rateText(each.recordsPerSecond),
  ]
}

function keysText({ keys }: TopicStatistics): string {
  return `${keys.isExact ? '' : '~'}${keys.count}`
}

function ratioText(ratio: number | null): string {
  return ratio === null ? '-' : ratio.toFixed(2)
}

function averageText(bytes: number | null): string {
  return bytes === null ? '-' : sizeText(Math.round(bytes))
}

/** Two digits at least. */
function rateText(perSecond: number | null): string {
  if (perSecond === null) return '-'
  return perSecond >= 10 ? String(Math.round(perSecond)) : perSecond.toPrecision(2)
}

function detailsOf(each: StatisticsWithRates, columns: number | undefined): string {
  const { topic, segments, dataBytes, otherBytes, batches, controlBatches, records } = each
  const { tombstones, keyless, unreadBytes, bytesPerSecond } = each
  const control = controlBatches === 0 ? '' : `, ${controlBatches} of transactions`
  const bytesRate = bytesPerSecond === null ? '' : `, ${sizeText(Math.round(bytesPerSecond))}/s`
  const fields: [string, string | number][] = [
    ['TOPIC', topic],
    ['SIZE', `${sizeText(dataBytes)}, and ${sizeText(otherBytes)} of indexes and the like`],
    ['PARTITIONS', `${each.partitions.length}, with ${counted(segments, 'segment')}`],
    ['RECORDS', `${records}, ${tombstones} of them tombstones, ${keyless} without a key`],
    ['KEYS', keysText(each)],
    ['BATCHES', `${batches}${control}`],
    [
      'AVERAGE',
      `a record ${averageText(each.recordBytes)}, a batch ${averageText(each.batchBytes)}`,
    ],
    ['TIME', spanText(each)],
    ['RATE', `${rateText(each.recordsPerSecond)} records/s${bytesRate}`],
  ]
  if (unreadBytes > 0) {
    fields.push(['UNREAD', `${sizeText(unreadBytes)} are damaged or of a codec that is missing`])
  }
  const parts = [formatFields(fields)]
  parts.push(formatTable(CODEC_COLUMNS, each.codecs.map(codecRow), columns))
  parts.push(
    formatTable(
      PARTITION_COLUMNS,
      each.partitions.map((one) => [
        one.partition,
        one.segments,
        one.records,
        sizeText(one.dataBytes),
      ]),
      columns,
    ),
  )
  const largest = each.largest.map(({ partition, offset, bytes }) => [
    partitionDirectoryName(topic, partition),
    offset,
    sizeText(bytes),
  ])
  if (largest.length > 0) parts.push(formatTable(LARGEST_COLUMNS, largest, columns))
  return parts.join('\n')
}

function spanText({ firstTimestamp, lastTimestamp, spanMs }: StatisticsWithRates): string {
  if (firstTimestamp === null || lastTimestamp === null || spanMs === null) return '-'
  return `${timeText(firstTimestamp)} to ${timeText(lastTimestamp)}, ${durationText(spanMs)}`
}

const right = (title: string): Column => ({ title, align: 'right' })
const CODEC_COLUMNS = [
  { title: 'CODEC' },
  ...['BATCHES', 'RECORDS', 'STORED', 'PLAIN', 'RATIO'].map(right),
]
const PARTITION_COLUMNS = ['PARTITION', 'SEGMENTS', 'RECORDS', 'SIZE'].map(right)
const LARGEST_COLUMNS = [{ title: 'LARGEST' }, ...['OFFSET', 'SIZE'].map(right)]

function codecRow(each: CodecStatistics): readonly (string | number)[] {
  const { codec, batches, records, storedBytes, recordBytes } = each
  const ratio = ratioText(quotient(recordBytes, storedBytes))
  return [codec, batches, records, sizeText(storedBytes), sizeText(recordBytes), ratio]
}
