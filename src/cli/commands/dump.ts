import path from 'node:path'
import type { Serializer } from '../../index.ts'
import type { DumpEntry, DumpedFileKind } from '../../inspect/dump-entry.ts'
import { dumpedKindOf, dumpFile } from '../../inspect/dump-file.ts'
import { storedSerializer } from '../../inspect/stored-serializer.ts'
import { ByteProgress } from '../byte-progress.ts'
import type { Command, CommandContext } from '../command.ts'
import { dumpJson } from '../dump-json.ts'
import { dumpText } from '../dump-text.ts'
import { EXIT_OK, EXIT_TROUBLE, Trouble, UsageError } from '../errors.ts'
import { jsonLine } from '../json.ts'
import { Progress } from '../progress.ts'
import { serializerNamed } from '../value-text.ts'

/** Characters of a key or value that are shown, unless all are asked for. */
const SHOWN_CHARACTERS = 120

const KINDS: readonly DumpedFileKind[] = [
  'log',
  'index',
  'timeindex',
  'txnindex',
  'snapshot',
  'leader-epoch-checkpoint',
  'offset-checkpoint',
  'partition.metadata',
]
const SERIALIZERS = ['msgpack', 'json', 'string', 'bytes'] as const

export const dump: Command = {
  name: 'dump',
  summary: 'Show what stands in the files of a data directory',
  usage: 'FILE... [options]',
  operands: { least: 1, most: Number.POSITIVE_INFINITY },
  details: [
    'Shows every batch and record of a .log; the entries of .index, .timeindex, .txnindex and .snapshot; leader-epoch-checkpoint, the other checkpoints and partition.metadata. Committed offsets, groups, transactions and their markers are shown decoded. Nothing is changed.',
    'Bytes that are no batch are told where they are, and it goes on behind them with the next batch that is whole; damage makes the exit code 1. A .log that grows is shown up to where it reached, and a last batch that is being written is no damage. Suffixes such as .deleted, .cleaned, .swap and .torn do not matter.',
    'Values are shown as the serializer says that brokerless.json names, else as text where they are UTF-8, else in hexadecimal.',
  ],
  options: [
    { name: 'no-records', summary: 'Show the batches alone' },
    {
      name: 'full',
      summary: `Show keys and values whole, not their first ${SHOWN_CHARACTERS} characters`,
    },
    {
      name: 'values',
      value: 'SERIALIZER',
      summary: `Read values so: ${SERIALIZERS.join(', ')}`,
    },
    {
      name: 'as',
      value: 'KIND',
      summary: `What the files are, where their names do not say: ${KINDS.join(', ')}`,
    },
  ],
  examples: [
    { command: 'brokerless dump data/orders-0/*.log', does: 'all batches and records' },
    { command: 'brokerless dump --no-records data/orders-0/*.log', does: 'the batches' },
    {
      command: 'brokerless dump data/orders-0/*.{index,timeindex,snapshot}',
      does: 'the side files of a partition',
    },
    {
      command: 'brokerless dump data/*-0/*.log --json | jq \'select(.type == "remark")\'',
      does: 'damage alone',
    },
  ],
  run,
}

async function run(context: CommandContext): Promise<number> {
  const { options, operands, fileSystem, clock } = context
  const kind = options.choice('as', KINDS)
  for (const file of operands) {
    if (kind !== undefined || dumpedKindOf(path.basename(file)) !== undefined) continue
    throw new UsageError(`dump: the name ${file} does not say what it is; --as KIND does`)
  }
  const gone = new ByteProgress(clock)
  for (const file of operands) gone.total += (await fileSystem.stat(file))?.size ?? 0
  using progress = new Progress(context, () => `dump: ${gone.text()}`)
  if (context.output.isTerminal) progress.stop()
  const dumper = new Dumper(context)
  for (const file of operands) {
    if ((await fileSystem.stat(file)) === undefined) throw new Trouble(`there is no file ${file}`)
    await dumper.dump(file, kind, (bytes) => {
      gone.done += bytes
    })
  }
  return dumper.isDamaged ? EXIT_TROUBLE : EXIT_OK
}

class Dumper {
  isDamaged = false
  readonly #context: CommandContext
  readonly #most: number
  readonly #isJson: boolean
  readonly #values: (typeof SERIALIZERS)[number] | undefined

  constructor(context: CommandContext) {
    this.#context = context
    const { options } = context
    this.#most = options.flag('full') ? Number.POSITIVE_INFINITY : SHOWN_CHARACTERS
    this.#isJson = options.flag('json')
    this.#values = options.choice('values', SERIALIZERS)
  }

  async dump(
    file: string,
    kind: DumpedFileKind | undefined,
    onProgress: (bytes: number) => void,
  ): Promise<void> {
    const { options, output, fileSystem, signal } = this.#context
    const format = { serializer: await this.#serializerOf(file), isRaw: false }
    const text = { ...format, file, most: this.#most }
    const emit = (entry: DumpEntry): void | Promise<void> => {
      if (entry.type === 'remark' && entry.severity === 'damage') this.isDamaged = true
      output.line(this.#isJson ? jsonLine(dumpJson(entry, format)) : dumpText(entry, text))
      return output.isFull ? output.flush() : undefined
    }
    const hasRecords = !options.flag('no-records')
    await dumpFile({ fileSystem, file, kind, hasRecords, signal, onProgress, emit })
  }

  async #serializerOf(file: string): Promise<Serializer> {
    if (this.#values !== undefined) return serializerNamed(this.#values)
    const partition = path.dirname(path.resolve(file))
    const name = path.basename(partition)
    const topic = name.slice(0, name.lastIndexOf('-'))
    const { fileSystem } = this.#context
    const stored = await storedSerializer(fileSystem, path.dirname(partition), topic)
    return serializerNamed(stored ?? 'bytes')
  }
}
