import path from 'node:path'
import { BATCH_HEADER_BYTES, batchSizeAt, checkBatchHeader, lastOffsetAt } from '../codec/batch.ts'
import type { FileSystem } from '../types.ts'
import { errorCode } from '../util/error-code.ts'
import type { SegmentFileKind } from './file-names.ts'
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
  readonly files: ReadonlySet<string>
  /** Offsets of the `.snapshot` files, rising. */
  readonly snapshots: number[]
  /** Lost regions: segment and position. */
  readonly lost: readonly { readonly baseOffset: number; readonly position: number }[]
}

export async function listPartition(
  fileSystem: FileSystem,
  directory: string,
): Promise<PartitionListing> {
  const files = new Set(await fileSystem.readdir(directory))
  const logs: number[] = []
  const snapshots: number[] = []
  const lost: { baseOffset: number; position: number }[] = []
  for (const name of files) {
    const segment = parseSegmentFileName(name)
    if (segment?.pending === undefined) {
      if (segment?.kind === 'log') logs.push(segment.baseOffset)
      if (segment?.kind === 'snapshot') snapshots.push(segment.baseOffset)
    }
    const region = parseRegionFileName(name)
    if (region?.kind === 'lost') lost.push(region)
  }
  logs.sort((a, b) => a - b)
  snapshots.sort((a, b) => a - b)
  return { logs, files, snapshots, lost }
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
    return { logs: [], files: new Set(), snapshots: [], lost: [] }
  }
}

/**
 * Finishes or undoes what a kill left half done: `.cleaned` and temporary files are dropped, a `.swap` takes the
 * place of what it covers, `.deleted` files and indexes without a .log are removed. Each step leaves a state in
 * which the same call does the rest. Answers with the names that it dealt with.
 */
export async function finishHalfDone(fileSystem: FileSystem, directory: string): Promise<string[]> {
  const { files, logs } = await listPartition(fileSystem, directory)
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
  const kinds: readonly SegmentFileKind[] = ['index', 'timeindex', 'txnindex']
  for (const name of files) {
    const segment = parseSegmentFileName(name)
    if (segment === undefined || segment.pending !== undefined) continue
    if (!kinds.includes(segment.kind) || known.has(segment.baseOffset)) continue
    await fileSystem.unlink(path.join(directory, name))
    removed.push(name)
  }
  return removed
}

function swapLogOf(baseOffset: number): string {
  return `${segmentFileName(baseOffset, 'log')}${SWAP_SUFFIX}`
}
