import type { IsolationLevel, Serializer } from '../../index.ts'
import { LogError } from '../../index.ts'
import type { Command, CommandContext } from '../command.ts'
import { EXIT_OK, Interrupted, messageOf, Trouble, UsageError } from '../errors.ts'
import { DIR_OPTION, partitionsOption } from '../help.ts'
import { describedTopic, openToRead } from '../log-directory.ts'
import type { Output } from '../output.ts'
import { POSITION_DETAILS, POSITIONS, positionOption } from '../position.ts'
import { Progress } from '../progress.ts'
import type { RawRecord, RecordWriter } from '../record-format.ts'
import { TEMPLATE_DETAILS, writerOf } from '../record-format.ts'
import { recordPages } from '../record-pages.ts'
import { counted, unescaped } from '../text.ts'
import { serializerNamed } from '../value-text.ts'

export const cat: Command = {
  name: 'cat',
  summary: 'Print the records of a topic',
  usage: 'TOPIC --dir DIR [options]',
  operands: { least: 1, most: 1 },
  details: [
    'Records come in the order of their offsets within a partition; several partitions take turns, up to 1 MiB each.',
    POSITION_DETAILS,
    'As a value are printed the bytes that are stored, MessagePack as JSON; a tombstone is empty. With json each record is a line that `produce --json` takes: topic, partition, offset, timestamp, key, value, headers. Where key or value alone would not bring the stored bytes back, keyBase64 or valueBase64 has them.',
    TEMPLATE_DETAILS,
    'Ctrl-C ends --follow with exit code 0.',
  ],
  options: [
    DIR_OPTION,
    partitionsOption('Read this partition (default: all)'),
    { name: 'from', value: 'WHERE', summary: `Start here: ${POSITIONS} (default: start)` },
    {
      name: 'until',
      value: 'WHERE',
      summary: `End before this place: ${POSITIONS} (default: the end as it is now)`,
    },
    { name: 'count', short: 'c', value: 'N', summary: 'End after N records' },
    {
      name: 'key',
      short: 'k',
      value: 'KEY',
      isRepeatable: true,
      summary: 'Only records of this key',
    },
    { name: 'follow', short: 'f', summary: 'At the end wait for more, and print it as it comes' },
    {
      name: 'format',
      value: 'FORMAT',
      summary: 'value, json or a TEMPLATE (default: value)',
    },
    { name: 'json', summary: 'The same as --format json' },
    {
      name: 'delimiter',
      short: 'D',
      value: 'TEXT',
      summary: 'What stands behind each value (default: \\n)',
    },
    { name: 'raw', summary: 'Print values as they are stored, MessagePack too; as base64 in JSON' },
    {
      name: 'isolation',
      value: 'LEVEL',
      summary:
        'read_committed ends at the last stable offset and leaves aborted records out, read_uncommitted does neither (default: read_committed)',
    },
    { name: 'skip-corrupt', summary: 'Go on behind damage, instead of ending there' },
  ],
  examples: [
    { command: 'brokerless cat orders --dir ./data', does: 'all values' },
    {
      command: "brokerless cat orders --dir ./data --from -10 --format '%p %o %k %s\\n'",
      does: 'the last 10 offsets of each partition',
    },
    {
      command: 'brokerless cat orders --dir ./data --follow --from end',
      does: 'what comes from now on',
    },
    {
      command: 'brokerless cat orders --dir ./data --json --from 2026-05-01 | jq .value.cents',
      does: 'a field of all records since May',
    },
  ],
  endsBySignal: true,
  run,
}

const ISOLATION_LEVELS: readonly IsolationLevel[] = ['read_committed', 'read_uncommitted']

function isolationOption(options: CommandContext['options']): IsolationLevel {
  return options.choice('isolation', ISOLATION_LEVELS) ?? 'read_committed'
}

async function run(context: CommandContext): Promise<number> {
  const { options, operands, signal } = context
  const [topic = ''] = operands
  const isFollowing = options.flag('follow')
  const request = {
    topic,
    isFollowing,
    partitions: options.partitions(),
    from: positionOption(options, 'from') ?? { kind: 'start' as const },
    until: positionOption(options, 'until'),
    skipCorrupt: options.flag('skip-corrupt'),
    isolationLevel: isolationOption(options),
    signal,
  }
  if (isFollowing && request.until !== undefined) {
    throw new UsageError('cat: --follow and --until are both given; one of them is allowed')
  }
  const writerFor = writerOption(options)
  const printer = new Printer(context, isFollowing)
  await using log = await openToRead(context)
  const { serializer, partitions } = await describedTopic(log, topic)
  const writer = writerFor(serializerNamed(serializer))
  using progress = new Progress(context, () => `cat: ${counted(printer.printed, 'record')}`)
  if (context.output.isTerminal || isFollowing) progress.stop()
  try {
    for await (const page of recordPages(log, partitions.length, request)) {
      if (await printer.print(page, writer)) break
      signal.throwIfAborted()
    }
  } catch (error) {
    if (isFollowing && error instanceof Interrupted && error.isAskedFor) return EXIT_OK
    if (!(error instanceof LogError && error.code === 'CORRUPT_LOG')) throw error
    throw new Trouble(`${messageOf(error)}; --skip-corrupt goes on behind it`, { cause: error })
  }
  return EXIT_OK
}

/** What `--format`, `--json`, `--delimiter` and `--raw` come to, once the serializer is known. */
function writerOption(
  options: CommandContext['options'],
): (serializer: Serializer) => RecordWriter {
  const format = options.text('format') ?? (options.flag('json') ? 'json' : 'value')
  const delimiter = unescaped(options.text('delimiter') ?? '\n')
  const isRaw = options.flag('raw')
  const bytes = serializerNamed('bytes')
  if (writerOf(format, delimiter, { serializer: bytes, isRaw }) === undefined) {
    throw options.refusal('format', format, 'value, json or a template such as %o %k %s\\n')
  }
  return (serializer) => writerOf(format, delimiter, { serializer, isRaw }) as RecordWriter
}

/** Prints the records that are wanted, and counts them. */
class Printer {
  printed = 0
  readonly #output: Output
  readonly #isFollowing: boolean
  readonly #keys: readonly Buffer[]
  readonly #most: number

  constructor({ options, output }: CommandContext, isFollowing: boolean) {
    this.#output = output
    this.#isFollowing = isFollowing
    this.#keys = options.texts('key').map((key) => Buffer.from(key))
    this.#most = options.integer('count', 0) ?? Number.POSITIVE_INFINITY
  }

  /** Answers with true where no more records are wanted. */
  async print(page: readonly RawRecord[], write: RecordWriter): Promise<boolean> {
    for (const record of page) {
      if (this.printed >= this.#most) break
      if (!this.#isWanted(record)) continue
      write(record, this.#output)
      this.printed += 1
      if (this.#output.isFull) await this.#output.flush()
    }
    if (this.#isFollowing) await this.#output.flush()
    return this.printed >= this.#most
  }

  #isWanted({ key }: RawRecord): boolean {
    if (this.#keys.length === 0) return true
    return key !== null && this.#keys.some((each) => each.equals(key))
  }
}
