import path from 'node:path'
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
import type { SegmentName } from './segment.ts'
import { finishSwaps, lastOffsetOf } from './segment-swap.ts'

/** The files of a partition's directory that belong to its segments. */
export interface PartitionListing {
  /** By rising base offset. */
  readonly logs: number[]
  /** Base offsets of compacted segments that are committed, and not in their place yet: `.log.swap` files. By rising base offset. */
  readonly swaps: number[]
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
  const swaps = isHalfDone ? committedSwaps(files) : []
  return { logs, swaps, indexes, files, snapshots, lost, isHalfDone }
}

/** A `.cleaned` file says that no `.swap` from its base offset on was committed: see `dropUncommitted`. */
function committedSwaps(files: readonly string[]): number[] {
  const swaps: number[] = []
  let uncommittedFrom = Number.POSITIVE_INFINITY
  for (const name of files) {
    const { baseOffset = 0, kind, pending } = parseSegmentFileName(name) ?? {}
    if (pending === CLEANED_SUFFIX) uncommittedFrom = Math.min(uncommittedFrom, baseOffset)
    if (pending === SWAP_SUFFIX && kind === 'log') swaps.push(baseOffset)
  }
  return swaps.filter((baseOffset) => baseOffset < uncommittedFrom).sort((a, b) => a - b)
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
 * As `listPartitionIfThere`, where another process may be putting segments in their place. A single listing that is made meanwhile may
 * have missed a name that came or changed; what two agree on was all there between them.
 */
export async function listSteadily(
  fileSystem: FileSystem,
  directory: string,
): Promise<PartitionListing> {
  let before = await listPartitionIfThere(fileSystem, directory)
  for (;;) {
    const listing = await listPartitionIfThere(fileSystem, directory)
    if (haveSameSegments(listing, before)) return listing
    before = listing
  }
}

/** Of a segment that was replaced they tell nothing: it has the name of the one before it. */
export function haveSameSegments(one: PartitionListing, other: PartitionListing): boolean {
  return areEqual(one.logs, other.logs) && areEqual(one.swaps, other.swaps)
}

function areEqual(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((each, index) => each === b[index])
}

/**
 * The segments that a listing shows, by rising base offset. A committed `.swap` is one, in the place of those that it covers, for who only
 * reads or could not put it there. Rejects with `ENOENT` where it has got its name since.
 */
export async function segmentNames(
  fileSystem: FileSystem,
  directory: string,
  { logs, swaps }: PartitionListing,
): Promise<SegmentName[]> {
  const names = new Map<number, SegmentName>()
  for (const baseOffset of logs) names.set(baseOffset, { directory, baseOffset })
  for (const baseOffset of swaps) {
    const file = path.join(directory, segmentFileName(baseOffset, 'log') + SWAP_SUFFIX)
    const last = await lastOffsetOf(fileSystem, file)
    for (const base of logs) if (base > baseOffset && base <= last) names.delete(base)
    names.set(baseOffset, { directory, baseOffset, suffix: SWAP_SUFFIX })
  }
  return [...names.values()].sort((a, b) => a.baseOffset - b.baseOffset)
}

/**
 * Finishes or undoes what a kill left half done: temporary and `.deleted` files are dropped, a compaction is undone or finished (see
 * `segment-swap.ts`), indexes without a .log are removed. Each step leaves a state in which the same call does the rest. Answers with the
 * names that it dealt with.
 */
export async function finishHalfDone(fileSystem: FileSystem, directory: string): Promise<string[]> {
  const finished: string[] = []
  for (const name of await fileSystem.readdir(directory)) {
    const isDeleted = parseSegmentFileName(name)?.pending === DELETED_SUFFIX
    if (!isDeleted && !name.endsWith(TEMPORARY_SUFFIX)) continue
    await fileSystem.unlink(path.join(directory, name))
    finished.push(name)
  }
  finished.push(...(await finishSwaps(fileSystem, directory)))
  finished.push(...(await removeOrphans(fileSystem, directory)))
  return finished
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
