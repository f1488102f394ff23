import { LogError } from '../../index.ts'
import type { VerifyReport } from '../../inspect/directory-check.ts'
import { verifyDirectory } from '../../inspect/directory-check.ts'
import { listDirectory } from '../../inspect/directory-listing.ts'
import type { Finding } from '../../inspect/finding.ts'
import { ByteProgress } from '../byte-progress.ts'
import type { Command, CommandContext } from '../command.ts'
import { EXIT_OK, EXIT_TROUBLE, Trouble } from '../errors.ts'
import { DIR_OPTION } from '../help.ts'
import { jsonDocument } from '../json.ts'
import { dataDirectory, noTopic } from '../log-directory.ts'
import { Progress } from '../progress.ts'
import { counted, durationText, printable, sizeText } from '../text.ts'

export const verify: Command = {
  name: 'verify',
  summary: 'Check every byte of a data directory',
  usage: '[TOPIC...] --dir DIR [options]',
  operands: { least: 0, most: Number.POSITIVE_INFINITY },
  details: [
    'Checks the batches and records of all topics, or of those named, and holds all that speaks of them against them: indexes, aborted transactions, producer snapshots, the states of transactions, leader epochs, checkpoints, brokerless.json, names. Producers are held to what Kafka would take of them: epochs, sequences, markers. Nothing is changed.',
    'Each finding is a line: file and position in bytes, damage, warning or information, what it is, the offsets concerned, and more. Damage is what makes the exit code 1. Gaps in the offsets are information: compaction leaves them.',
    'Beside a live writer each file is verified up to where it reached when it was looked at; a last batch that is being written is no damage then. Without a writer, and where the last one did not close the directory, zeros behind the last batch are a warning: the next open cuts them off.',
  ],
  options: [
    DIR_OPTION,
    { name: 'quiet', short: 'q', summary: 'Leave information out' },
    { name: 'all', summary: 'List all findings of a kind in a file, not the first 20' },
  ],
  examples: [
    { command: 'brokerless verify --dir ./data', does: 'everything' },
    { command: 'brokerless verify orders emails --dir ./data', does: 'two topics' },
    {
      command: "brokerless verify -d ./data --json | jq '.findings[] | .file' | sort -u",
      does: 'the files of which something is to be told',
    },
  ],
  run,
}

async function run(context: CommandContext): Promise<number> {
  const { options, operands, fileSystem, signal, clock, output } = context
  const directory = await dataDirectory(context)
  const isJson = options.flag('json')
  const isQuiet = options.flag('quiet')
  const gone = new ByteProgress(clock)
  using progress = new Progress(context, () => `verify: ${gone.text()}`)
  const kept: Finding[] = []
  const report = await verifyDirectory({
    fileSystem,
    directory,
    topics: operands.length === 0 ? undefined : operands,
    signal,
    findingsPerKind: options.flag('all') ? Number.POSITIVE_INFINITY : undefined,
    onTotal: (bytes) => {
      gone.total += bytes
    },
    onProgress: (bytes) => {
      gone.done += bytes
    },
    onFinding: (finding) => {
      if (isQuiet && finding.severity === 'information') return
      if (isJson) kept.push(finding)
      else {
        if (output.isTerminal) progress.hide()
        output.line(lineOf(finding))
        // It is the exit that waits for what is on the way.
        void output.flush().catch(() => {})
      }
    },
  }).catch((error: unknown) => refuseTopic(error, context, directory))
  progress.stop()
  if (isJson) output.write(jsonDocument(jsonOf(directory, report, kept, gone)))
  else output.write(summaryOf(report, gone))
  return report.findings.damage > 0 ? EXIT_TROUBLE : EXIT_OK
}

async function refuseTopic(
  error: unknown,
  { operands, fileSystem }: CommandContext,
  directory: string,
): Promise<never> {
  if (!(error instanceof LogError && error.code === 'UNKNOWN_TOPIC')) throw error
  const { partitions } = await listDirectory(fileSystem, directory)
  const names = [...new Set(partitions.map(({ topic }) => topic))]
  const missing = operands.find((name) => !names.includes(name)) ?? ''
  throw new Trouble(noTopic(missing, names), { cause: error })
}

/** `orders-0/00000000000000000000.log:955: damage: batch-crc, offsets 14 to 16: …`, as compilers write theirs. */
function lineOf(finding: Finding): string {
  const { file, position, severity, kind, firstOffset, lastOffset, message } = finding
  const where = position === undefined ? printable(file) : `${printable(file)}:${position}`
  return `${where}: ${severity}: ${kind}${offsetsText(firstOffset, lastOffset)}: ${printable(message)}`
}

function offsetsText(first: number | undefined, last: number | undefined): string {
  if (first === undefined) return ''
  if (last === undefined) return `, from offset ${first} on`
  return first === last ? `, offset ${first}` : `, offsets ${first} to ${last}`
}

function summaryOf({ looked, findings }: VerifyReport, gone: ByteProgress): string {
  const { partitions, segments, batches, records, logBytes, otherBytes } = looked
  const { bytesPerSecond } = gone
  const rate = bytesPerSecond === undefined ? '' : `, ${sizeText(bytesPerSecond)}/s`
  const { damage, warning, information } = findings
  const found = [
    damage === 0 ? 'no damage' : `${damage} of damage`,
    counted(warning, 'warning'),
    `${information} for information`,
  ]
  return [
    `${counted(partitions, 'partition')}, ${counted(segments, 'segment')}, `,
    `${counted(batches, 'batch', 'batches')}, ${counted(records, 'record')}; `,
    `${sizeText(logBytes)} of data and ${sizeText(otherBytes)} of other files`,
    ` in ${durationText(gone.elapsedMs)}${rate}\n`,
    `Findings: ${found.join(', ')}\n`,
  ].join('')
}

function jsonOf(
  directory: string,
  { state, looked, findings: counts }: VerifyReport,
  findings: readonly Finding[],
  { elapsedMs, bytesPerSecond }: ByteProgress,
): object {
  const summary = { ...looked, ...counts, elapsedMs, bytesPerSecond: bytesPerSecond ?? null }
  return { directory, state, findings, summary }
}
