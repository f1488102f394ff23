import type { Durability, ProduceOptions, TopicDescription } from '../../index.ts'
import { COMPRESSION_TYPES, resolveProduceOptions } from '../../options.ts'
import { checkTopicName } from '../../storage/file-names.ts'
import type { Command, CommandContext } from '../command.ts'
import { EXIT_OK, messageOf, Trouble, UsageError } from '../errors.ts'
import { BREAK_LOCK_OPTION, DIR_OPTION } from '../help.ts'
import { jsonDocument } from '../json.ts'
import { LineSplitter } from '../line-splitter.ts'
import type { RawLog } from '../log-directory.ts'
import { newDirectory, openToWrite, openWriter } from '../log-directory.ts'
import { Progress } from '../progress.ts'
import type { RecordParser } from '../record-parser.ts'
import { jsonParser, lineParser } from '../record-parser.ts'
import { RecordSender } from '../record-sender.ts'
import { counted, unescaped } from '../text.ts'
import { serializerNamed } from '../value-text.ts'

const SERIALIZERS = ['string', 'json', 'msgpack', 'bytes'] as const
const DURABILITIES: readonly Durability[] = ['disk', 'os']
/** One without end would fill the memory. */
const LONGEST_LINE_BYTES = 256 * 1024 * 1024

export const produce: Command = {
  name: 'produce',
  summary: 'Append records from standard input to a topic',
  usage: 'TOPIC --dir DIR [options]',
  operands: { least: 1, most: 1 },
  details: [
    'Each line is the value of a record: text, bytes or JSON as it stands, and JSON where the values of the topic are msgpack. With --json each line is an object with value, and where wanted key, headers, timestamp (milliseconds or ISO 8601) and partition, as `cat --json` prints it; keyBase64 and valueBase64 give stored bytes, { "base64": ... } those of a header; topic and offset are passed over; a null value is a tombstone.',
    'At a line that is no record it ends: the lines before it have been appended, none behind it. How many were appended is told on standard error, with --json as a document on standard output. At Ctrl-C the lines that were read are appended.',
  ],
  options: [
    DIR_OPTION,
    { name: 'json', summary: 'Lines are JSON objects, and so is what is told in the end' },
    { name: 'key', short: 'k', value: 'KEY', summary: 'The key of all records' },
    {
      name: 'key-separator',
      short: 'K',
      value: 'TEXT',
      summary: 'In each line the key stands before this text, the value behind it',
    },
    { name: 'delimiter', short: 'D', value: 'TEXT', summary: 'What ends a line (default: \\n)' },
    {
      name: 'partition',
      short: 'p',
      value: 'N',
      summary: 'For records that name none (default: by key, else any)',
    },
    {
      name: 'durability',
      value: 'LEVEL',
      summary: "disk or os (default: the topic's); at the end all is synced in any case",
    },
    {
      name: 'compression',
      value: 'TYPE',
      summary: `${COMPRESSION_TYPES.join(', ')} (default: the topic's)`,
    },
    {
      name: 'compression-level',
      value: 'N',
      summary: "1 to 9 of gzip, 1 to 22 of zstd (default: the codec's own)",
    },
    { name: 'create', summary: 'Create the topic, and the directory, where they are missing' },
    { name: 'partitions', value: 'N', summary: 'With --create: how many (default: 1)' },
    {
      name: 'values',
      value: 'TYPE',
      summary: `With --create: ${SERIALIZERS.join(', ')} (default: string; with --json json)`,
    },
    BREAK_LOCK_OPTION,
  ],
  examples: [
    {
      command: 'echo hello | brokerless produce greetings --dir ./data --create',
      does: 'one record, in a topic that is made for it',
    },
    {
      command: 'brokerless produce orders --dir ./data --key-separator : < orders.txt',
      does: 'lines such as o-1:{"cents":1999}',
    },
    {
      command: 'brokerless cat t -d ./a --json | brokerless produce t -d ./b --json --create',
      does: 'copy a topic',
    },
  ],
  endsBySignal: true,
  run,
}

async function run(context: CommandContext): Promise<number> {
  const { operands, signal } = context
  const [topic = ''] = operands
  const request = requestOf(context, topic)
  await using log = await openFor(context, topic)
  const description = await topicToFill(context, log, topic)
  const { partitions } = description
  const { partition = 0 } = request.produce
  if (partition >= partitions.length) {
    throw new Trouble(`${topic} has no partition ${partition}; it has ${partitions.length}`)
  }
  const sender = new RecordSender(log, {
    topic,
    produce: request.produce,
    maxBatchBytes: Math.min(description.config.maxMessageBytes, description.config.segmentBytes),
    // Who waits for the next line of a terminal would not see it before that.
    onFailure: () => void context.input.destroy(),
  })
  using progress = new Progress(context, () => `produce: ${counted(sender.records, 'record')}`)
  if (isTerminal(context.input)) {
    progress.stop()
    await say(context, 'one record a line; Ctrl-D ends')
  }
  try {
    await sendAll(context, request, request.parserFor(description), sender)
  } finally {
    progress.stop()
    sumUp(context, topic, sender)
  }
  signal.throwIfAborted()
  return EXIT_OK
}

// --------------------------------------------------------------------------------------- options

interface Request {
  readonly delimiter: Buffer
  /** Lines without anything in them are no records. */
  readonly skipsEmpty: boolean
  readonly produce: ProduceOptions
  parserFor(topic: TopicDescription): RecordParser
}

/** What is wrong with the command line is told before anything is opened, or made. */
function requestOf({ options }: CommandContext, topic: string): Request {
  const delimiter = textOption(options, 'delimiter') ?? Buffer.from('\n')
  const separator = textOption(options, 'key-separator')
  const key = options.text('key')
  const isJson = options.flag('json')
  if (isJson && (separator !== undefined || key !== undefined)) {
    throw new UsageError('produce: with --json the key stands in each line')
  }
  if (separator !== undefined && key !== undefined) {
    throw new UsageError('produce: --key and --key-separator are both given; one is allowed')
  }
  if (options.flag('create')) refuseName(topic)
  options.choice('values', SERIALIZERS)
  options.integer('partitions', 1)
  for (const name of ['partitions', 'values']) {
    if (options.flag(name) && !options.flag('create')) {
      throw new UsageError(`produce: --${name} goes with --create`)
    }
  }
  return {
    delimiter,
    skipsEmpty: isJson,
    produce: produceOptions(options),
    parserFor({ name, serializer, config, partitions }) {
      const rule = {
        topic: name,
        serializer: serializerNamed(serializer),
        partitions: partitions.length,
        requiresKey: config.cleanupPolicy !== 'delete',
      }
      if (isJson) return jsonParser(rule)
      return lineParser(rule, separator, key === undefined ? null : Buffer.from(key))
    },
  }
}

/** Of a topic that is to be made. */
function refuseName(topic: string): void {
  try {
    checkTopicName(topic)
  } catch (error) {
    throw new UsageError(`produce: ${messageOf(error)}`, { cause: error })
  }
}

function produceOptions(options: CommandContext['options']): ProduceOptions {
  const given = {
    partition: options.integer('partition', 0),
    durability: options.choice('durability', DURABILITIES),
    compression: options.choice('compression', COMPRESSION_TYPES),
    compressionLevel: options.integer('compression-level', 1),
  }
  const named = Object.entries(given).filter(([, value]) => value !== undefined)
  const chosen: ProduceOptions = Object.fromEntries(named)
  try {
    resolveProduceOptions(chosen)
    return chosen
  } catch (error) {
    const message = messageOf(error).replace('compressionLevel', '--compression-level')
    throw new UsageError(`produce: ${message}`, { cause: error })
  }
}

function textOption(options: CommandContext['options'], name: string): Buffer | undefined {
  const text = options.text(name)
  if (text === undefined) return undefined
  if (text === '') throw options.refusal(name, text, 'at least one character')
  return Buffer.from(unescaped(text))
}

// ----------------------------------------------------------------------------------------- topic

async function openFor(context: CommandContext, topic: string): Promise<RawLog> {
  if (!context.options.flag('create')) return openToWrite(context, [topic])
  return openWriter(context, await newDirectory(context))
}

/** Creates the topic where it is missing and that is wanted. */
async function topicToFill(
  { options }: CommandContext,
  log: RawLog,
  topic: string,
): Promise<TopicDescription> {
  if (options.flag('create') && !log.topics().includes(topic)) {
    const partitions = options.integer('partitions', 1) ?? 1
    const value =
      options.choice('values', SERIALIZERS) ?? (options.flag('json') ? 'json' : 'string')
    await log.createTopic(topic, { partitions, value })
  }
  return log.describeTopic(topic)
}

// ----------------------------------------------------------------------------------------- lines

async function sendAll(
  { input, signal }: CommandContext,
  { delimiter, skipsEmpty }: Request,
  parse: RecordParser,
  sender: RecordSender,
): Promise<void> {
  const splitter = new LineSplitter(delimiter)
  let line = 0
  const take = (bytes: Buffer): Promise<void> | undefined => {
    line += 1
    if (skipsEmpty && bytes.every(isBlank)) return undefined
    return sender.add(parsed(parse, bytes, line), line)
  }
  try {
    for await (const chunk of untilAborted(input, signal)) {
      for (const bytes of splitter.push(chunk)) {
        const wait = take(bytes)
        if (wait !== undefined) await wait
      }
      if (splitter.pendingBytes > LONGEST_LINE_BYTES) {
        throw new Trouble(`line ${line + 1} has more than ${LONGEST_LINE_BYTES} bytes`)
      }
      sender.nudge()
    }
    const last = signal.aborted ? undefined : splitter.end()
    if (last !== undefined) await take(last)
  } finally {
    await sender.finish()
  }
}

function parsed(parse: RecordParser, bytes: Buffer, line: number): ReturnType<RecordParser> {
  try {
    return parse(bytes)
  } catch (error) {
    throw new Trouble(`line ${line}: ${messageOf(error)}`, { cause: error })
  }
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0d
}

/** What comes of a stream until it ends, or until the signal is aborted. */
async function* untilAborted(
  input: CommandContext['input'],
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const stop = (): void => void input.destroy()
  signal.addEventListener('abort', stop, { once: true })
  try {
    if (signal.aborted) return
    for await (const chunk of input) yield Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk)
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

// --------------------------------------------------------------------------------------- summary

function sumUp(
  { options, output, errors }: CommandContext,
  topic: string,
  sender: RecordSender,
): void {
  const { records, durability, sent } = sender
  if (options.flag('json')) {
    output.write(jsonDocument({ topic, records, durability, partitions: sent }))
    return
  }
  const [first, second] = sent
  const where =
    first === undefined
      ? ''
      : second === undefined
        ? `, partition ${first.partition}, offsets ${first.firstOffset} to ${first.lastOffset}`
        : `, ${sent.length} partitions`
  errors.line(`appended ${counted(records, 'record')} to ${topic}${where}`)
}

async function say({ errors }: CommandContext, text: string): Promise<void> {
  errors.line(text)
  await errors.flush()
}

function isTerminal(input: CommandContext['input']): boolean {
  return (input as { readonly isTTY?: boolean }).isTTY === true
}
