// Kafka's own DumpLogSegments as a judge: it exits 0 whatever it finds, so its words are read.
import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { dumpLogSegmentsClass, javaArguments } from './java.ts'

/** A record batch, as Kafka's tool prints it. */
export interface DumpedBatch {
  readonly baseOffset: number
  readonly lastOffset: number
  readonly count: number
  readonly position: number
  /** In bytes. */
  readonly size: number
  readonly timestampType: string
  readonly maxTimestamp: number
  readonly isControl: boolean
  /** Set by the compaction that first met it with a tombstone, or a marker that nothing refers to. */
  readonly hasDeleteHorizon: boolean
  readonly leaderEpoch: number
  /** Its name, or `none`. */
  readonly codec: string
  readonly records: DumpedRecord[]
}

export interface DumpedRecord {
  readonly offset: number
  readonly timestamp: number
  /** In bytes; -1: null. */
  readonly keySize: number
  readonly valueSize: number
  /** Names joined by commas, as printed. */
  readonly headerKeys: string
}

/** By path of the .log file. */
export type Dump = ReadonlyMap<string, readonly DumpedBatch[]>

/** Kafka's tool found fault with a file; the message holds its words. */
export class KafkaComplaint extends Error {
  override readonly name = 'KafkaComplaint'
}

/** A tool takes a second; with many files several. */
const LONGEST_MS = 120_000
/** One argument of a process is at most 128 KiB on Linux. */
const MAX_ARGUMENT_LENGTH = 100_000
const MAX_OUTPUT_BYTES = 1 << 30

const INDEX = /\.(?:time)?index$/
const OTHER = /\.(?:txnindex|snapshot)$/
const BATCH =
  /^baseOffset: (?<baseOffset>\d+) lastOffset: (?<lastOffset>\d+) count: (?<count>\d+) .* partitionLeaderEpoch: (?<leaderEpoch>-?\d+) .*isControl: (?<isControl>true|false) deleteHorizonMs: OptionalLong(?<horizon>\.empty|\[\d+\]) position: (?<position>\d+) (?<timestampType>\w+): (?<maxTimestamp>-?\d+) size: (?<size>\d+) magic: 2 compresscodec: (?<codec>\w+) .*isvalid: (?<isValid>true|false)$/
const RECORD =
  /^\| offset: (?<offset>\d+) \w+: (?<timestamp>-?\d+) keySize: (?<keySize>-?\d+) valueSize: (?<valueSize>-?\d+) .*headerKeys: \[(?<headerKeys>.*?)\]/s

function run(
  options: readonly string[],
  files: readonly string[],
): Promise<{ out: string; err: string }> {
  const args = javaArguments(dumpLogSegmentsClass(), 'warn')
  return new Promise((resolve, reject) => {
    execFile(
      'java',
      [...args, ...options, '--files', files.join(',')],
      { maxBuffer: MAX_OUTPUT_BYTES, timeout: LONGEST_MS },
      (error, out, err) => {
        if (error === null) resolve({ out, err })
        else reject(new KafkaComplaint(`${err.trim() || error.message}\n${out.slice(-2000)}`))
      },
    )
  })
}

/** As few groups of files as fit one argument each: starting Java takes longer than reading the files. */
function argumentsOf(files: readonly string[]): string[][] {
  const groups: string[][] = []
  let length = Number.POSITIVE_INFINITY
  for (const file of files) {
    if (length + file.length + 1 > MAX_ARGUMENT_LENGTH) {
      groups.push([])
      length = 0
    }
    groups.at(-1)?.push(file)
    length += file.length + 1
  }
  return groups
}

function filesIn(directories: readonly string[], pattern: RegExp): string[] {
  return directories.flatMap((directory) =>
    readdirSync(directory)
      .filter((name) => pattern.test(name))
      .sort()
      .map((name) => path.join(directory, name)),
  )
}

/** A topic that is compacted has gaps between its offsets. */
export type HasGaps = (file: string) => boolean

/**
 * Given several files, the tool expects each to go on where the one before it ended, and says so of every
 * segment that does not begin at 0. That alone is harmless, as are all gaps of a file that may have some.
 */
function withoutHarmless(err: string, hasGaps: HasGaps): string {
  const gaps = /^Non-consecutive offsets in (.*)\n((?: {2}-?\d+ is followed by \d+\n)+)/gm
  return err
    .replace(gaps, (said: string, file: string, list: string) => {
      const isHarmless = hasGaps(file) || /^ {2}-1 is followed by \d+\n$/.test(list)
      return isHarmless ? '' : said
    })
    .trim()
}

const integer = (text: string | undefined): number => Number.parseInt(text ?? '', 10)

/** Reads what the tool prints of .log files; every line that is not a sound batch or record is a complaint. */
class DumpReader {
  readonly batches = new Map<string, DumpedBatch[]>()
  readonly complaints: string[] = []
  #file = ''

  line(line: string): void {
    const file = /^Dumping (.*)$/.exec(line)?.[1]
    if (file !== undefined) {
      this.#file = file
      this.batches.set(file, [])
      return
    }
    if (line === '' || /^Log starting offset: \d+$/.test(line)) return
    const understood = this.#batch(line) || this.#record(line)
    if (!understood) this.complaints.push(`${this.#file}: ${line}`)
  }

  #batch(line: string): boolean {
    const fields = BATCH.exec(line)?.groups
    if (fields === undefined || fields['isValid'] !== 'true') return false
    this.batches.get(this.#file)?.push({
      baseOffset: integer(fields['baseOffset']),
      lastOffset: integer(fields['lastOffset']),
      count: integer(fields['count']),
      position: integer(fields['position']),
      size: integer(fields['size']),
      timestampType: fields['timestampType'] ?? '',
      maxTimestamp: integer(fields['maxTimestamp']),
      isControl: fields['isControl'] === 'true',
      hasDeleteHorizon: fields['horizon'] !== '.empty',
      leaderEpoch: integer(fields['leaderEpoch']),
      codec: fields['codec']?.toLowerCase() ?? '',
      records: [],
    })
    return true
  }

  #record(line: string): boolean {
    const fields = RECORD.exec(line)?.groups
    const batch = this.batches.get(this.#file)?.at(-1)
    if (fields === undefined || batch === undefined) return false
    batch.records.push({
      offset: integer(fields['offset']),
      timestamp: integer(fields['timestamp']),
      keySize: integer(fields['keySize']),
      valueSize: integer(fields['valueSize']),
      headerKeys: fields['headerKeys'] ?? '',
    })
    return true
  }
}

/** Every batch and record of the .log files in partition directories. Throws `KafkaComplaint`. */
export async function dumpLogs(
  directories: readonly string[],
  hasGaps: HasGaps = () => false,
): Promise<Dump> {
  const files = filesIn(directories, /\.log$/)
  const reader = new DumpReader()
  for (const group of argumentsOf(files)) {
    const { out, err } = await run(['--deep-iteration'], group)
    for (const line of out.split('\n')) reader.line(line)
    const said = withoutHarmless(err, hasGaps)
    if (said !== '') reader.complaints.push(said)
  }
  for (const file of files) {
    if (!reader.batches.has(file)) reader.complaints.push(`${file}: not dumped`)
  }
  if (reader.complaints.length > 0) throw new KafkaComplaint(reader.complaints.join('\n'))
  return reader.batches
}

/** Reads the .snapshot and .txnindex files in partition directories. Throws `KafkaComplaint`. */
export async function dumpOthers(directories: readonly string[]): Promise<void> {
  const files = filesIn(directories, OTHER)
  await check([], files, /^Dumping |^producerId: |^version: /)
}

/** Everything in partition directories: `dumpLogs` and `dumpOthers`. */
export async function dumpDirectories(
  directories: readonly string[],
  hasGaps?: HasGaps,
): Promise<Dump> {
  const dump = await dumpLogs(directories, hasGaps)
  await dumpOthers(directories)
  return dump
}

/**
 * Has Kafka check every index in partition directories: the check a broker makes on start, then each entry
 * against the .log. The directories must have been closed. Throws `KafkaComplaint`.
 */
export async function verifyIndexes(directories: readonly string[]): Promise<void> {
  const files = filesIn(directories, INDEX)
  const quiet = /^Dumping |passed sanity check\.$| is empty\.$/
  await check(['--index-sanity-check'], files, quiet)
  await check(['--verify-index-only'], files, quiet)
}

/** Runs the tool over files of which it may say nothing but `quiet` lines, and must name each. */
async function check(options: string[], files: readonly string[], quiet: RegExp): Promise<void> {
  const complaints: string[] = []
  for (const group of argumentsOf(files)) {
    const { out, err } = await run(options, group)
    const lines = `${out}\n${err}`.split('\n').filter((line) => line !== '')
    const named = new Set(lines)
    complaints.push(...lines.filter((line) => !quiet.test(line)))
    for (const file of group)
      if (!named.has(`Dumping ${file}`)) complaints.push(`${file}: not read`)
  }
  if (complaints.length > 0) throw new KafkaComplaint(complaints.join('\n'))
}

/** A record of a coordinator's topic, as Kafka's tool decodes its key and its value; null: a tombstone. */
export interface DecodedRecord {
  readonly key: { readonly type: string; readonly data: Readonly<Record<string, unknown>> }
  readonly payload: { readonly data: Readonly<Record<string, unknown>> } | null
}

const DECODED = /^\| offset: .* key: (?<key>\{.*?\}) payload: (?<payload>.*)$/

/** The records of partitions of `__consumer_offsets`, in order. Throws `KafkaComplaint` where one cannot be decoded. */
export function dumpOffsets(directories: readonly string[]): Promise<DecodedRecord[]> {
  return dumpDecoded('--offsets-decoder', directories)
}

/** Those of `__transaction_state`. */
export function dumpTransactions(directories: readonly string[]): Promise<DecodedRecord[]> {
  return dumpDecoded('--transaction-log-decoder', directories)
}

async function dumpDecoded(
  decoder: string,
  directories: readonly string[],
): Promise<DecodedRecord[]> {
  const { out, err } = await run([decoder], filesIn(directories, /\.log$/))
  if (err.trim() !== '') throw new KafkaComplaint(err)
  const lines = out.split('\n').filter((line) => line.startsWith('| offset: '))
  return lines.map((line) => {
    const { key, payload } = DECODED.exec(line)?.groups ?? {}
    if (key === undefined || payload === undefined) throw new KafkaComplaint(line)
    return { key: JSON.parse(key), payload: payload === '<DELETE>' ? null : JSON.parse(payload) }
  })
}
