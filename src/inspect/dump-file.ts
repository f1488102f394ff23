import path from 'node:path'
import { readFileIfThere, readOffsetCheckpoint } from '../storage/checkpoint.ts'
import { DataFile, FileCache } from '../storage/file-cache.ts'
import {
  CLEANED_SUFFIX,
  CLEANER_CHECKPOINT,
  DELETED_SUFFIX,
  LEADER_EPOCH_CHECKPOINT,
  LOG_START_CHECKPOINT,
  PARTITION_METADATA,
  parseDeletingDirectoryName,
  parsePartitionDirectoryName,
  parseRegionFileName,
  parseSegmentFileName,
  RECOVERY_POINT_CHECKPOINT,
  REPLICATION_CHECKPOINT,
  SWAP_SUFFIX,
  TEMPORARY_SUFFIX,
} from '../storage/file-names.ts'
import type { FileSystem } from '../types.ts'
import { asError, errorCode } from '../util/error-code.ts'
import { Semaphore } from '../util/semaphore.ts'
import { directoryState } from './directory-state.ts'
import type { DumpedFile, DumpedFileKind, Emit } from './dump-entry.ts'
import { dumpLog } from './dump-log.ts'
import { sideFileEntries } from './dump-side-file.ts'
import { partitionFilesOf } from './partition-files.ts'
import type { RegionPlace } from './region-finding.ts'

export interface DumpOptions {
  readonly fileSystem: FileSystem
  readonly file: string
  /** Where the name does not say what it is. */
  readonly kind?: DumpedFileKind | undefined
  /** Default true. */
  readonly hasRecords?: boolean
  readonly signal?: AbortSignal | undefined
  /** So many more bytes of a .log have been looked at. */
  readonly onProgress?: (bytes: number) => void
  readonly emit: Emit
}

/** What a file is by its name; undefined where that says nothing. */
export function dumpedKindOf(name: string): DumpedFileKind | undefined {
  const stem = withoutSuffix(name)
  const segment = parseSegmentFileName(stem)
  if (segment !== undefined) return segment.kind
  if (parseRegionFileName(stem)?.kind === 'torn') return 'log'
  if (stem === LEADER_EPOCH_CHECKPOINT || stem === PARTITION_METADATA) return stem
  return OFFSET_CHECKPOINTS.has(stem) ? 'offset-checkpoint' : undefined
}

const OFFSET_CHECKPOINTS: ReadonlySet<string> = new Set([
  RECOVERY_POINT_CHECKPOINT,
  LOG_START_CHECKPOINT,
  CLEANER_CHECKPOINT,
  REPLICATION_CHECKPOINT,
])
const SUFFIXES = [DELETED_SUFFIX, CLEANED_SUFFIX, SWAP_SUFFIX, TEMPORARY_SUFFIX]

function withoutSuffix(name: string): string {
  const suffix = SUFFIXES.find((each) => name.endsWith(each))
  return suffix === undefined ? name : name.slice(0, -suffix.length)
}

/**
 * Tells of all that stands in a file. Memory is bounded: a .log is read in windows.
 * @throws TypeError where neither name nor `kind` says what it is; the file system's error where it cannot be read.
 */
export async function dumpFile(options: DumpOptions): Promise<void> {
  const { fileSystem, file, emit } = options
  const name = path.basename(file)
  const kind = options.kind ?? dumpedKindOf(name)
  if (kind === undefined)
    throw new TypeError(`${file}: its name does not say what kind of file it is`)
  const stat = await fileSystem.stat(file)
  if (stat === undefined) throw missing(file)
  const directory = path.basename(path.dirname(path.resolve(file)))
  const partition = parsePartitionDirectoryName(directory) ?? parseDeletingDirectoryName(directory)
  const entry: DumpedFile = {
    type: 'file',
    file,
    kind,
    sizeBytes: stat.size,
    baseOffset: baseOffsetOf(withoutSuffix(name)),
    topic: partition?.topic,
    partition: partition?.partition,
  }
  await emit(entry)
  if (kind === 'log') return await dumpData(options, entry)
  const bytes = await readFileIfThere(fileSystem, file)
  if (bytes === undefined) throw missing(file)
  for (const each of sideFileEntries(entry, kind, bytes)) {
    options.signal?.throwIfAborted()
    const emitted = emit(each)
    if (emitted !== undefined) await emitted
  }
}

function baseOffsetOf(stem: string): number | undefined {
  return (parseSegmentFileName(stem) ?? parseRegionFileName(stem))?.baseOffset
}

function missing(file: string): Error {
  return Object.assign(new Error(`there is no file ${file}`), { code: 'ENOENT' })
}

async function dumpData(options: DumpOptions, { file, topic }: DumpedFile): Promise<void> {
  const { fileSystem, emit, signal, hasRecords = true, onProgress = () => {} } = options
  const files = new FileCache(fileSystem, new Semaphore(1), 1)
  const data = DataFile.existing(files, file, true)
  try {
    const { place, lost } = await placeOf(fileSystem, file)
    const progress = onProgress
    await dumpLog({ file: data, topic, hasRecords, place, lost, signal, progress, emit })
  } finally {
    await data.close()
  }
}

interface Place {
  readonly place: Omit<RegionPlace, 'isMarkedLost'>
  readonly lost: ReadonlySet<number>
}

/** What stands around a .log says what the bytes at its end mean: its writer's lock, later segments, the recovery point. */
async function placeOf(fileSystem: FileSystem, file: string): Promise<Place> {
  const partition = path.dirname(path.resolve(file))
  const data = path.dirname(partition)
  const name = path.basename(file)
  const segments = partitionFilesOf(await fileSystem.readdir(partition)).segments
  const own = segments.find(({ log }) => log === name)
  const { state } = await directoryState(fileSystem, data)
  const points = await readOffsetCheckpoint(
    fileSystem,
    path.join(data, RECOVERY_POINT_CHECKPOINT),
  ).catch(unlessDamaged)
  return {
    place: {
      state,
      isActive: own !== undefined && own === segments.at(-1),
      recoveryPoint: points.get(path.basename(partition)) ?? 0,
    },
    lost: own?.lost ?? new Set(),
  }
}

function unlessDamaged(error: unknown): Map<string, number> {
  if (errorCode(error) === 'CORRUPT_LOG') return new Map()
  throw asError(error)
}
