import path from 'node:path'
import type { PartitionName } from '../storage/file-names.ts'
import {
  CLEAN_MARKER,
  CLEANER_CHECKPOINT,
  directoryKind,
  KAFKA_LOCK,
  LOG_START_CHECKPOINT,
  METADATA_FILE,
  OWN_LOCK,
  parsePartitionDirectoryName,
  partitionDirectoryName,
  RECOVERY_POINT_CHECKPOINT,
  REPLICATION_CHECKPOINT,
  TEMPORARY_SUFFIX,
} from '../storage/file-names.ts'
import type { FileSystem } from '../types.ts'
import { comparePartitions } from '../util/compare.ts'
import type { FindingKind, Severity } from './finding.ts'

/** Plain files of a data directory, those of a broker's included. */
const KNOWN_FILES: ReadonlySet<string> = new Set([
  METADATA_FILE,
  OWN_LOCK,
  KAFKA_LOCK,
  CLEAN_MARKER,
  RECOVERY_POINT_CHECKPOINT,
  LOG_START_CHECKPOINT,
  CLEANER_CHECKPOINT,
  REPLICATION_CHECKPOINT,
  'meta.properties',
  'bootstrap.checkpoint',
])

/** What is said about a name, before anything is read. */
export interface DirectoryRemark {
  readonly kind: FindingKind
  readonly name: string
  readonly message: string
  readonly severity?: Severity
}

/** What stands in a data directory. */
export interface DirectoryListing {
  /** Partitions, by topic and number. */
  readonly partitions: readonly PartitionName[]
  readonly remarks: readonly DirectoryRemark[]
}

export async function listDirectory(
  fileSystem: FileSystem,
  directory: string,
): Promise<DirectoryListing> {
  const partitions: PartitionName[] = []
  const remarks: DirectoryRemark[] = []
  for (const name of (await fileSystem.readdir(directory)).sort()) {
    const stat = await fileSystem.stat(path.join(directory, name))
    if (stat === undefined) continue
    const partition = stat.isDirectory ? parsePartitionDirectoryName(name) : undefined
    if (partition !== undefined && directoryKind(name) === 'partition') partitions.push(partition)
    else remarks.push(...(stat.isDirectory ? directoryRemark(name) : fileRemark(name)))
  }
  partitions.sort(comparePartitions)
  return { partitions, remarks }
}

function directoryRemark(name: string): DirectoryRemark[] {
  const kind = directoryKind(name)
  if (kind === 'deleting') {
    return [{ kind: 'half-done', name, message: 'a deleted partition; the next open removes it' }]
  }
  if (kind === 'untouched') return []
  const message = 'no partition is called so; a broker does not start where it stands'
  return [{ kind: 'unknown-name', name, message }]
}

function fileRemark(name: string): DirectoryRemark[] {
  if (KNOWN_FILES.has(name) || name.startsWith(`${OWN_LOCK}.`)) return []
  if (name.endsWith(TEMPORARY_SUFFIX)) {
    return [{ kind: 'half-done', name, message: 'a replacement that was not finished' }]
  }
  const message = 'no file of a data directory is called so'
  return [{ kind: 'unknown-name', name, message, severity: 'information' }]
}

export function nameOf({ topic, partition }: PartitionName): string {
  return partitionDirectoryName(topic, partition)
}
