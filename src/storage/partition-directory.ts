import path from 'node:path'
import { BATCH_HEADER_BYTES, batchSizeAt, checkBatchHeader, lastOffsetAt } from '../codec/batch.ts'
import type { FileSystem } from '../types.ts'
import { errorCode } from '../util/error-code.ts'
import type { RegionFileName } from './file-names.ts'
import {
  CLEANED_SUFFIX,
  DELETED_SUFFIX,
  parseRegionFileName,
  parseSegmentFileName,
  SWAP_SUFFIX,
  segmentFileName,
  TEMPORARY_SUFFIX,
} from './file-names.ts'

/** The files of a partition's directory that belong to its segments. */
export interface PartitionListing {
  /** By rising base offset. */
  readonly logs: number[]
  /** Base offsets of the segments that have an index file, by its kind. */
  readonly indexes: Readonly<Record<IndexKind, ReadonlySet<number>>>
  readonly files: readonly string[]
  /** Offsets of the `.snapshot` files, rising. */
  readonly snapshots: number[]
  /** Lost regions: segment and position. */
  readonly lost: readonly { readonly baseOffset: number; readonly position: number }[]
  /** A kill left something half done: see `finishHalfDone`. */
  readonly isHalfDone: boolean
}

type IndexKind = 'index' | 'timeindex' | 'txnindex'
const INDEX_KINDS: readonly IndexKind[] = ['index', 'timeindex', 'txnindex']

export async function listPartition(
  fileSystem: FileSystem,
  directory: string,
): Promise<PartitionListing> {
  return listingOf(await fileSystem.readdir(directory))
}

/** One pass over the names: an open of a partition with 1,000 segments has 4,000 of them. */
function listingOf(files: readonly string[]): PartitionListing {
  const logs: number[] = []
  const snapshots: number[] = []
  const indexes = {
    index: new Set<number>(),
    timeindex: new Set<number>(),
    txnindex: new Set<number>(),
  }
  let isHalfDone = false
  const others: string[] = []
  for (const name of files) {
    const segment = parseSegmentFileName(name)
    if (segment === undefined) others.push(name)
    else if (segment.pending !== undefined) isHalfDone = true
    else if (segment.kind === 'log') logs.push(segment.baseOffset)
    else if (segment.kind === 'snapshot') snapshots.push(segment.baseOffset)
    else indexes[segment.kind].add(segment.baseOffset)
  }
  logs.sort((a, b) => a - b)
  snapshots.sort((a, b) => a - b)
  isHalfDone ||= hasOrphans(indexes, logs) || others.some((name) => name.endsWith(TEMPORARY_SUFFIX))
  const lost = others.flatMap((name) => parseRegionFileName(name) ?? []).filter(isLost)
  return { logs, indexes, files, snapshots, lost, isHalfDone }
}

function isLost({ kind }: RegionFileName): boolean {
  return kind === 'lost'
}

/** Indexes without a .log. */
function hasOrphans(indexes: PartitionListing['indexes'], logs: readonly number[]): boolean {
  const known = new Set(logs)
  for (const kind of INDEX_KINDS) {
    for (const baseOffset of indexes[kind]) if (!known.has(baseOffset)) return true
  }
  return false
}

/** For a reader beside a writer: a directory that is still to be made is empty. */
export async function listPartitionIfThere(
  fileSystem: FileSystem,
  directory: string,
): Promise<PartitionListing> {
  try {
    return await listPartition(fileSystem, directory)
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error
    return listingOf([])
  }
}

/**
 * Finishes or undoes what a kill left half done: `.cleaned` and temporary files are dropped, a `.swap` takes the
 * place of what it covers, `.deleted` files and indexes without a .log are removed. Each step leaves a state in
 * which the same call does the rest. Answers with the names that it dealt with.
 */
export async function finishHalfDone(fileSystem: FileSystem, directory: string): Promise<string[]> {
  const { files: names, logs } = await listPartition(fileSystem, directory)
  const files = new Set(names)
  const finished: string[] = []
  const swaps: number[] = []
  for (const name of files) {
    const segment = parseSegmentFileName(name)
    if (segment?.pending === SWAP_SUFFIX && segment.kind === 'log') swaps.push(segment.baseOffset)
    const isDropped =
      name.endsWith(TEMPORARY_SUFFIX) ||
      segment?.pending === CLEANED_SUFFIX ||
      segment?.pending === DELETED_SUFFIX ||
      (segment?.pending === SWAP_SUFFIX && !files.has(swapLogOf(segment.baseOffset)))
    if (isDropped) {
      await fileSystem.unlink(path.join(directory, name))
      finished.push(name)
    }
  }
  for (const base of swaps.sort((a, b) => a - b)) {
    finished.push(...(await finishSwap(fileSystem, directory, base, files, logs)))
  }
  finished.push(...(await removeOrphans(fileSystem, directory)))
  return finished
}

/** The files of a swap get their names, the .log last, in place of the segments up to the next one that it leaves. */
async function finishSwap(
  fileSystem: FileSystem,
  directory: string,
  base: number,
  files: ReadonlySet<string>,
  logs: readonly number[],
): Promise<string[]> {
  const finished: string[] = []
  const covered = await lastOffsetOf(fileSystem, path.join(directory, swapLogOf(base)))
  for (const old of logs) {
    if (old <= base || old > covered) continue
    for (const kind of ['log', 'index', 'timeindex', 'txnindex'] as const) {
      const name = segmentFileName(old, kind)
      if (!files.has(name)) continue
      await fileSystem.unlink(path.join(directory, name))
      finished.push(name)
    }
  }
  for (const kind of ['index', 'timeindex', 'txnindex', 'log'] as const) {
    const name = segmentFileName(base, kind)
    if (files.has(`${name}${SWAP_SUFFIX}`)) {
      await fileSystem.rename(
        path.join(directory, `${name}${SWAP_SUFFIX}`),
        path.join(directory, name),
      )
      finished.push(`${name}${SWAP_SUFFIX}`)
    } else if (kind !== 'log' && files.has(name)) {
      // An index of the old data: it would not fit the new.
      await fileSystem.unlink(path.join(directory, name))
    }
  }
  await fileSystem.syncDirectory(directory)
  return finished
}

/** The last offset in a file of batches; -1 where it has none. */
async function lastOffsetOf(fileSystem: FileSystem, file: string): Promise<number> {
  const handle = fileSystem.openSync(file, 'read')
  try {
    const size = handle.sizeSync()
    const header = Buffer.alloc(BATCH_HEADER_BYTES)
    let last = -1
    for (let position = 0; position + BATCH_HEADER_BYTES <= size; ) {
      if ((await handle.read(header, 0, BATCH_HEADER_BYTES, position)) < BATCH_HEADER_BYTES) break
      if (checkBatchHeader(header, 0, size - position) !== undefined) break
      last = lastOffsetAt(header, 0)
      position += batchSizeAt(header, 0)
    }
    return last
  } finally {
    handle.closeSync()
  }
}

async function removeOrphans(fileSystem: FileSystem, directory: string): Promise<string[]> {
  const { files, logs } = await listPartition(fileSystem, directory)
  const known = new Set(logs)
  const removed: string[] = []
  for (const name of files) {
    const segment = parseSegmentFileName(name)
    if (segment === undefined || segment.pending !== undefined) continue
    if (segment.kind === 'log' || segment.kind === 'snapshot' || known.has(segment.baseOffset))
      continue
    await fileSystem.unlink(path.join(directory, name))
    removed.push(name)
  }
  return removed
}

function swapLogOf(baseOffset: number): string {
  return `${segmentFileName(baseOffset, 'log')}${SWAP_SUFFIX}`
}
