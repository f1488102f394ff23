import path from 'node:path'
import { CorruptLogError } from '../errors.ts'
import type { LeaderEpoch } from '../storage/checkpoint.ts'
import {
  parseLeaderEpochs,
  parseOffsetCheckpoint,
  parsePartitionMetadata,
  readFileIfThere,
} from '../storage/checkpoint.ts'
import {
  CLEANER_CHECKPOINT,
  LEADER_EPOCH_CHECKPOINT,
  LOG_START_CHECKPOINT,
  PARTITION_METADATA,
  RECOVERY_POINT_CHECKPOINT,
  REPLICATION_CHECKPOINT,
} from '../storage/file-names.ts'
import type { FindingKind } from './finding.ts'
import { reasonOf } from './finding.ts'
import type { PartitionEnd, VerifiedPartition, VerifyContext } from './verify-context.ts'
import { partitionFile } from './verify-context.ts'

export type OffsetCheckpoint =
  | typeof RECOVERY_POINT_CHECKPOINT
  | typeof LOG_START_CHECKPOINT
  | typeof CLEANER_CHECKPOINT
  | typeof REPLICATION_CHECKPOINT
const OFFSET_CHECKPOINTS: readonly OffsetCheckpoint[] = [
  RECOVERY_POINT_CHECKPOINT,
  LOG_START_CHECKPOINT,
  CLEANER_CHECKPOINT,
  REPLICATION_CHECKPOINT,
]

/** Offsets by `<topic>-<partition>`; undefined for a file that is not there or cannot be read. */
export type Checkpoints = Readonly<Partial<Record<OffsetCheckpoint, ReadonlyMap<string, number>>>>

/** Reads all of them; a damaged one is told, and left out. */
export async function readCheckpoints(context: VerifyContext): Promise<Checkpoints> {
  const read: Partial<Record<OffsetCheckpoint, ReadonlyMap<string, number>>> = {}
  for (const name of OFFSET_CHECKPOINTS) {
    const offsets = await parsed(context, name, 'checkpoint-damaged', parseOffsetCheckpoint)
    if (offsets !== undefined) read[name] = offsets
  }
  return read
}

/** The epochs of a partition; a damaged file is told, and has none. */
export async function readEpochs(
  context: VerifyContext,
  directoryName: string,
): Promise<LeaderEpoch[]> {
  const file = path.join(directoryName, LEADER_EPOCH_CHECKPOINT)
  const epochs = (await parsed(context, file, 'epochs-damaged', parseLeaderEpochs)) ?? []
  for (const [index, { epoch, startOffset }] of epochs.entries()) {
    const before = epochs[index - 1]
    if (before === undefined) continue
    if (epoch > before.epoch && startOffset >= before.startOffset) continue
    const message = `epoch ${epoch} from ${startOffset} on follows ${before.epoch} from ${before.startOffset} on`
    context.findings.add('epochs-damaged', file, message)
  }
  return epochs
}

/** The topic id of a partition; undefined where there is no file, or one that is damaged, which is told. */
export function readTopicId(
  context: VerifyContext,
  directoryName: string,
): Promise<string | undefined> {
  const file = path.join(directoryName, PARTITION_METADATA)
  return parsed(context, file, 'metadata-damaged', parsePartitionMetadata)
}

async function parsed<T>(
  context: VerifyContext,
  file: string,
  kind: FindingKind,
  parse: (bytes: Buffer, file: string) => T,
): Promise<T | undefined> {
  const bytes = await readFileIfThere(context.fileSystem, path.join(context.directory, file))
  if (bytes === undefined) return undefined
  context.looked.otherBytes += bytes.length
  try {
    return parse(bytes, file)
  } catch (error) {
    if (!(error instanceof CorruptLogError)) throw error
    context.findings.add(kind, file, reasonOf(error))
    return undefined
  }
}

/** Holds what the checkpoints say of a partition against what is there. */
export function checkEnds(
  context: VerifyContext,
  checkpoints: Checkpoints,
  partition: VerifiedPartition,
  end: PartitionEnd,
): void {
  recoveryPoint(context, checkpoints, partition, end)
  const { findings } = context
  const { name, epochs } = partition
  const { endOffset } = end
  const ahead = (checkpoint: OffsetCheckpoint, kind: FindingKind): void => {
    const offset = checkpoints[checkpoint]?.get(name) ?? 0
    if (offset <= endOffset) return
    findings.add(kind, checkpoint, `${name}: it says ${offset}, the log ends at ${endOffset}`, {
      firstOffset: endOffset,
      lastOffset: offset - 1,
    })
  }
  ahead(LOG_START_CHECKPOINT, 'log-start-ahead')
  ahead(CLEANER_CHECKPOINT, 'checkpoint-ahead')
  ahead(REPLICATION_CHECKPOINT, 'checkpoint-ahead')
  const last = epochs.at(-1)
  if (last === undefined || last.startOffset <= endOffset) return
  const file = partitionFile(partition, LEADER_EPOCH_CHECKPOINT)
  const message = `epoch ${last.epoch} begins at ${last.startOffset}, the log ends at ${endOffset}`
  findings.add('epoch-ahead', file, message)
}

function recoveryPoint(
  { findings, state }: VerifyContext,
  checkpoints: Checkpoints,
  { name }: VerifiedPartition,
  { endOffset, firstOffset }: PartitionEnd,
): void {
  const points = checkpoints[RECOVERY_POINT_CHECKPOINT]
  const point = points?.get(name)
  if (point === undefined) return
  if (point > endOffset) {
    const message = `${name}: offsets below ${point} were on the disk, the log ends at ${endOffset}`
    const range = { firstOffset: endOffset, lastOffset: point - 1 }
    findings.add('recovery-point-ahead', RECOVERY_POINT_CHECKPOINT, message, range)
  } else if (state === 'closed' && point < endOffset && endOffset > firstOffset) {
    const message = `${name}: it was closed at offset ${point}, the log ends at ${endOffset}`
    const range = { firstOffset: point, lastOffset: endOffset - 1 }
    findings.add('recovery-point-behind', RECOVERY_POINT_CHECKPOINT, message, range)
  }
}

/** Names in the checkpoints that no directory bears. */
export function checkNames(
  { findings }: VerifyContext,
  checkpoints: Checkpoints,
  directories: ReadonlySet<string>,
): void {
  for (const checkpoint of OFFSET_CHECKPOINTS) {
    for (const [name, offset] of checkpoints[checkpoint] ?? []) {
      if (directories.has(name)) continue
      const message = `${name} is not there; it says ${offset}`
      findings.add('checkpoint-unknown', checkpoint, message)
    }
  }
}
