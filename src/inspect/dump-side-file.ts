/** The small files, each as its entries. What is behind the entries that make sense is told as a remark. */
import { readInt64 } from '../codec/int64.ts'
import { CorruptLogError } from '../errors.ts'
import { decodeAbortedTransactions } from '../storage/aborted-index.ts'
import {
  parseLeaderEpochs,
  parseOffsetCheckpoint,
  parsePartitionMetadata,
} from '../storage/checkpoint.ts'
import { OffsetIndex } from '../storage/offset-index.ts'
import { decodeSnapshot } from '../storage/producer-snapshot.ts'
import { TimeIndex } from '../storage/time-index.ts'
import type { DumpEntry, DumpedFile, DumpedFileKind, DumpedRemark } from './dump-entry.ts'
import type { FindingKind } from './finding.ts'
import { reasonOf, severityOf } from './finding.ts'
import type { IndexShape } from './index-check.ts'
import { offsetIndexShape, timeIndexShape } from './index-check.ts'

type SideFileKind = Exclude<DumpedFileKind, 'log'>

/** What a file of this kind that cannot be read is called. */
const DAMAGE: Readonly<Record<SideFileKind, FindingKind>> = {
  index: 'index-order',
  timeindex: 'index-order',
  txnindex: 'aborted-entry',
  snapshot: 'snapshot-damaged',
  'leader-epoch-checkpoint': 'epochs-damaged',
  'offset-checkpoint': 'checkpoint-damaged',
  'partition.metadata': 'metadata-damaged',
}

/** The entries of a file that is no .log. */
export function* sideFileEntries(
  { file, baseOffset = 0 }: DumpedFile,
  kind: SideFileKind,
  bytes: Buffer,
): Generator<DumpEntry> {
  try {
    if (kind === 'index') yield* offsetIndexEntries(bytes, baseOffset)
    else if (kind === 'timeindex') yield* timeIndexEntries(bytes, baseOffset)
    else yield* entriesOf(kind, bytes, file)
  } catch (error) {
    if (!(error instanceof CorruptLogError)) throw error
    const { position } = error
    yield remark(DAMAGE[kind], position, bytes.length - position, reasonOf(error))
  }
}

function* entriesOf(
  kind: Exclude<SideFileKind, 'index' | 'timeindex'>,
  bytes: Buffer,
  file: string,
): Generator<DumpEntry> {
  if (kind === 'txnindex') {
    for (const each of decodeAbortedTransactions(bytes, file))
      yield { type: 'aborted-transaction', ...each }
  } else if (kind === 'snapshot') {
    for (const each of decodeSnapshot(bytes, file)) yield { type: 'producer', ...each }
  } else if (kind === 'leader-epoch-checkpoint') {
    for (const each of parseLeaderEpochs(bytes, file)) yield { type: 'leader-epoch', ...each }
  } else if (kind === 'partition.metadata') {
    yield { type: 'partition-metadata', topicId: parsePartitionMetadata(bytes, file) }
  } else {
    for (const [name, offset] of parseOffsetCheckpoint(bytes, file)) {
      const dash = name.lastIndexOf('-')
      const [topic, partition] = [name.slice(0, dash), Number(name.slice(dash + 1))]
      yield { type: 'checkpoint-entry', topic, partition, offset }
    }
  }
}

function* offsetIndexEntries(bytes: Buffer, baseOffset: number): Generator<DumpEntry> {
  const shape = offsetIndexShape(bytes)
  for (let index = 0; index < shape.entries; index += 1) {
    const at = index * OffsetIndex.entryBytes
    const offset = baseOffset + bytes.readInt32BE(at)
    yield { type: 'index-entry', offset, position: bytes.readInt32BE(at + 4) }
  }
  yield* restOf(bytes, shape, OffsetIndex.entryBytes)
}

function* timeIndexEntries(bytes: Buffer, baseOffset: number): Generator<DumpEntry> {
  const shape = timeIndexShape(bytes)
  for (let index = 0; index < shape.entries; index += 1) {
    const at = index * TimeIndex.entryBytes
    const offset = baseOffset + bytes.readInt32BE(at + 8)
    yield { type: 'time-index-entry', timestamp: readInt64(bytes, at), offset }
  }
  yield* restOf(bytes, shape, TimeIndex.entryBytes)
}

/** Whether zeros are wrong depends on the state of the log, of which the file alone knows nothing. */
function* restOf(
  bytes: Buffer,
  { entries, rest, leftOver }: IndexShape,
  entryBytes: number,
): Generator<DumpedRemark> {
  const at = entries * entryBytes
  const size = bytes.length - leftOver - at
  if (rest === 'zeros') {
    const message = `${size} bytes of zeros behind the entries, as in an index in use`
    yield { ...remark('index-zeros', at, size, message), severity: 'information' }
  } else if (rest === 'disorder') {
    const message = `${size} bytes of entries of which the first does not rise above the last`
    yield remark('index-order', at, size, message)
  }
  if (leftOver === 0) return
  const message = `${leftOver} bytes are no whole entry`
  yield remark('index-size', bytes.length - leftOver, leftOver, message)
}

function remark(kind: FindingKind, position: number, bytes: number, message: string): DumpedRemark {
  return { type: 'remark', severity: severityOf(kind), kind, position, bytes, message }
}
