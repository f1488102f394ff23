/**
 * Puts a compacted segment in the place of those that it covers: X, whose base offset it has, and Y…, up to the next segment that stays.
 * As Kafka does it (`LocalLog.replaceSegments`), with a sync wherever the next step stands on the last one.
 *
 *   1. its files are written as `X.*.cleaned`, each synced; the directory is synced
 *   2. X.index, X.timeindex and X.txnindex (if it has one) are renamed from `.cleaned` to `.swap`; the directory is synced
 *   3. `X.log.cleaned` is renamed to `X.log.swap`, the commit point; the directory is synced
 *   4. the files of Y… are removed, and what X has beside its .log that gets no successor; the directory is synced
 *   5. `X.log.swap` is renamed to `X.log`, over the old one; the directory is synced
 *   6. the other `.swap` files are renamed to their names; the directory is synced
 *
 * What the next open finds after a kill or a power cut, and does (`finishSwaps`), as a broker would:
 *
 *   in 1 or 2   `X.log.cleaned`, and the old files whole: all of `.cleaned` and `.swap` is dropped
 *   in 3, 4     `X.log.swap`, and of the old files what is left: 4, 5 and 6 are done. What stands beside X.log without a suffix is the old
 *               one's, since none gets its name before 6. A Y that the new file does not reach to stays: it is whole, or gone
 *   in 5, 6     `X.log` is the new one: a `.swap` beside it, with no `.cleaned`, belongs to it, and 6 is done
 *
 * A reader in another process may look at any step: `tail-follower.ts`.
 *
 * There is an `X.log` at every moment, so the log never seems to begin later. All of it happens on closed files of segments that
 * nobody may use any more (`Segment.retire`). A step that fails up to 3 leaves the old segments as they are, and what was written is
 * removed before the next commit: a `.cleaned` that stayed would make a broker, and us, drop what was committed. After 3 the new one is
 * the truth, by whatever name it has, and the rest is done later.
 */
import path from 'node:path'
import { BATCH_HEADER_BYTES, batchSizeAt, checkBatchHeader, lastOffsetAt } from '../codec/batch.ts'
import type { FileSystem } from '../types.ts'
import { nextTurn, turnIsLong } from '../util/turn.ts'
import type { SegmentFileKind, SegmentFileName } from './file-names.ts'
import { CLEANED_SUFFIX, parseSegmentFileName, SWAP_SUFFIX, segmentFileName } from './file-names.ts'
import { syncNames } from './sync-error.ts'

/** What a segment has beside its .log. */
export const SIDE_KINDS: readonly SegmentFileKind[] = ['index', 'timeindex', 'txnindex']
const WINDOW_BYTES = 256 * 1024

/**
 * Steps 1, from where the files are written and synced, to 3. Where it throws, `undoCommit` undoes it. Nothing else of a compaction may be
 * in the directory: see `dropUncommitted`.
 */
export async function commitSwap(
  fileSystem: FileSystem,
  directory: string,
  baseOffset: number,
): Promise<void> {
  const pending = await pendingFiles(fileSystem, directory)
  if (pending.some((each) => each.baseOffset !== baseOffset || each.pending === SWAP_SUFFIX)) {
    throw new Error(`${directory}: what another compaction has left is still there`)
  }
  await syncNames(fileSystem, directory)
  const toSwap = async (kind: SegmentFileKind): Promise<void> => {
    const name = path.join(directory, segmentFileName(baseOffset, kind))
    await fileSystem.rename(name + CLEANED_SUFFIX, name + SWAP_SUFFIX)
  }
  for (const { kind } of pending) if (kind !== 'log') await toSwap(kind)
  await syncNames(fileSystem, directory)
  await toSwap('log')
  await syncNames(fileSystem, directory)
}

/**
 * Steps 4 to 6, or what is left of them; answers with the names that it dealt with.
 * @param lastOffset the last one that the segment covers.
 * @param isInPlace told when the .log has its name.
 */
export async function completeSwap(
  fileSystem: FileSystem,
  directory: string,
  baseOffset: number,
  lastOffset: number,
  isInPlace: () => void = () => {},
): Promise<string[]> {
  const files = new Set(await fileSystem.readdir(directory))
  const log = segmentFileName(baseOffset, 'log')
  const done: string[] = []
  if (files.has(log + SWAP_SUFFIX)) {
    for (const name of coveredFiles(files, baseOffset, lastOffset)) {
      await fileSystem.unlink(path.join(directory, name))
      done.push(name)
    }
    await syncNames(fileSystem, directory)
    await swapIn(fileSystem, directory, log)
    isInPlace()
    await syncNames(fileSystem, directory)
    done.push(log + SWAP_SUFFIX)
  }
  for (const kind of SIDE_KINDS) {
    const name = segmentFileName(baseOffset, kind)
    if (!files.has(name + SWAP_SUFFIX)) continue
    await swapIn(fileSystem, directory, name)
    done.push(name + SWAP_SUFFIX)
  }
  await syncNames(fileSystem, directory)
  return done
}

/** What step 4 removes: the .log of each first, so that a reader in another process meets a segment whole or not at all. */
function coveredFiles(
  files: ReadonlySet<string>,
  baseOffset: number,
  lastOffset: number,
): string[] {
  const covered = [...files]
    .map((name) => ({ name, file: parseSegmentFileName(name) }))
    .filter(({ name, file }) => {
      if (file === undefined || file.pending !== undefined || file.kind === 'snapshot') return false
      if (file.baseOffset > baseOffset) return file.baseOffset <= lastOffset
      const isSuperseded = file.kind === 'log' || files.has(name + SWAP_SUFFIX)
      return file.baseOffset === baseOffset && !isSuperseded
    })
  const isSide = ({ file }: { file: SegmentFileName | undefined }): number =>
    file?.kind === 'log' ? 0 : 1
  return covered.sort((a, b) => isSide(a) - isSide(b)).map(({ name }) => name)
}

async function swapIn(fileSystem: FileSystem, directory: string, name: string): Promise<void> {
  const file = path.join(directory, name)
  await fileSystem.rename(file + SWAP_SUFFIX, file)
}

/**
 * Undoes steps 1 to 3 of a swap whose commit has failed. What cannot be undone is left to the next open, which finishes or drops it.
 */
export async function undoCommit(
  fileSystem: FileSystem,
  directory: string,
  baseOffset: number,
): Promise<void> {
  const log = path.join(directory, segmentFileName(baseOffset, 'log'))
  if ((await fileSystem.stat(log + SWAP_SUFFIX)) !== undefined) {
    await fileSystem.rename(log + SWAP_SUFFIX, log + CLEANED_SUFFIX)
    await syncNames(fileSystem, directory)
  }
  await dropUncommitted(fileSystem, directory)
}

/**
 * Removes what compactions have left that were not committed; answers with the names. A `.cleaned` file says that neither was any
 * `.swap` from its base offset on, as a broker judges it, so those go first.
 */
export async function dropUncommitted(
  fileSystem: FileSystem,
  directory: string,
): Promise<string[]> {
  const pending = await pendingFiles(fileSystem, directory)
  const cleaned = pending.filter((each) => each.pending === CLEANED_SUFFIX)
  const from = Math.min(...cleaned.map((each) => each.baseOffset))
  const swaps = pending.filter((each) => each.pending === SWAP_SUFFIX && each.baseOffset >= from)
  for (const files of [swaps, cleaned]) {
    for (const { name } of files) await fileSystem.unlink(path.join(directory, name))
    if (files.length > 0) await syncNames(fileSystem, directory)
  }
  return [...swaps, ...cleaned].map(({ name }) => name)
}

/** For an open: drops what was not committed, and finishes what was. Answers with the names that it dealt with. */
export async function finishSwaps(fileSystem: FileSystem, directory: string): Promise<string[]> {
  const done = await dropUncommitted(fileSystem, directory)
  const swaps = await pendingFiles(fileSystem, directory)
  const bases = swaps.map(({ baseOffset }) => baseOffset).sort((a, b) => a - b)
  for (const base of new Set(bases)) {
    const log = path.join(directory, segmentFileName(base, 'log') + SWAP_SUFFIX)
    const isCommitted = (await fileSystem.stat(log)) !== undefined
    const last = isCommitted ? await lastOffsetOf(fileSystem, log) : -1
    done.push(...(await completeSwap(fileSystem, directory, base, last)))
  }
  return done
}

/** `.cleaned` and `.swap` files. */
async function pendingFiles(
  fileSystem: FileSystem,
  directory: string,
): Promise<(SegmentFileName & { readonly name: string })[]> {
  const names = await fileSystem.readdir(directory)
  return names.flatMap((name) => {
    const file = parseSegmentFileName(name)
    const isPending = file?.pending === CLEANED_SUFFIX || file?.pending === SWAP_SUFFIX
    return file !== undefined && isPending ? [{ name, ...file }] : []
  })
}

/** The last offset in a file of batches; -1 where it has none. */
export async function lastOffsetOf(fileSystem: FileSystem, file: string): Promise<number> {
  const handle = fileSystem.openSync(file, 'read')
  try {
    const size = handle.sizeSync()
    const buffer = Buffer.alloc(Math.min(WINDOW_BYTES, Math.max(size, BATCH_HEADER_BYTES)))
    let last = -1
    let [position, windowAt, windowEnd] = [0, 0, 0]
    while (position + BATCH_HEADER_BYTES <= size) {
      if (position + BATCH_HEADER_BYTES > windowEnd) {
        windowAt = position
        windowEnd = position + (await handle.read(buffer, 0, buffer.length, position))
        if (position + BATCH_HEADER_BYTES > windowEnd) break
        if (turnIsLong()) await nextTurn()
      }
      const at = position - windowAt
      if (checkBatchHeader(buffer, at, size - position) !== undefined) break
      last = lastOffsetAt(buffer, at)
      position += batchSizeAt(buffer, at)
    }
    return last
  } finally {
    handle.closeSync()
  }
}
