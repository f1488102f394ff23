/**
 * Brings one segment back after a crash. From `crcFrom` on (the recovery point) every byte is checked; before it the batches
 * are only walked over. A region that fails is
 *
 *   - a torn tail, where nothing valid follows in this segment and there is no later one: it is cut off; unless it is all zeros it is
 *     first copied to `<base offset>.log.<position>.torn`. So is what ends, past the recovery point, with the marker of a transaction that has no
 *     records before it: they were written with the marker, in one write, of which a power cut has taken the first part;
 *   - a lost write, where it is all zeros past the recovery point and something valid follows: an empty file
 *     `<base offset>.log.<position>.lost` says so from then on, and readers pass it;
 *   - damage otherwise: kept and told, also past the recovery point, which is a lazy checkpoint: acknowledged records may lie beyond it.
 *
 * What is kept from `crcFrom` on is then written again, the same bytes in place, and synced: after a failed sync the kernel shows
 * bytes that are not on the disk, and this process cannot know whether there was one.
 *
 * Order: copy aside and sync it, cut, write again, sync. Killed at any step, the next recovery finds the same state or the one before
 * it and does the rest: a second copy replaces the first, a cut file ends in a valid batch, rewriting changes no byte.
 */
import path from 'node:path'
import { CONTROL_BATCH_BYTES } from '../codec/batch-encoder.ts'
import type { DamagedRegion } from '../types.ts'
import { nextTurn, turnIsLong } from '../util/turn.ts'
import { replaceFile } from './checkpoint.ts'
import type { StorageEnvironment } from './environment.ts'
import { regionFileName } from './file-names.ts'
import type { Segment } from './segment.ts'
import type { BatchVisitor, ScanEnd } from './segment-scan.ts'
import { findNextBatch, isZero, readRange, scanBatches } from './segment-scan.ts'

const COPY_BYTES = 1024 * 1024

export interface SegmentRecovery {
  /** End of what is kept. */
  readonly end: number
  readonly nextOffset: number
  /** Where a torn tail begins; undefined where there is none. It has not been cut yet. */
  readonly torn: number | undefined
  readonly damage: DamagedRegion[]
}

export interface RecoveryRange {
  /** Where a batch starts, from which on the segment is walked. */
  readonly from: number
  /** Position of the recovery point's batch, or of the first region that cannot even be walked over. */
  readonly crcFrom: number
  readonly recoveryPoint: number
  /** No batch at `from` or behind has a lower base offset. */
  readonly nextOffset: number
  /** Base offset of the next segment; undefined where this is the last one. */
  readonly nextBaseOffset: number | undefined
  /** Whether a batch is a marker, and none of those that were visited is of the transaction that it ends. */
  endsNothing(buffer: Buffer, at: number): boolean
}

/** Finds out what a segment holds. Changes nothing; `visit` is told of every good batch. */
export async function examineSegment(
  segment: Segment,
  range: RecoveryRange,
  visit: BatchVisitor,
): Promise<SegmentRecovery> {
  const to = await segment.measure()
  const damage: DamagedRegion[] = []
  const { crcFrom, recoveryPoint } = range
  const { offsetLimit } = segment
  let { from: position, nextOffset } = range
  for (;;) {
    const scanned = await scanBatches(
      segment.file,
      { from: position, to, nextOffset, crcFrom, offsetLimit },
      visit,
    )
    nextOffset = scanned.nextOffset
    position = scanned.position
    if (scanned.fault === undefined) return { end: to, nextOffset, torn: undefined, damage }
    const next = await findNextBatch(segment.file, { position, to, nextOffset }, offsetLimit)
    if (await isTorn(segment, range, scanned, next)) {
      return { end: position, nextOffset, torn: position, damage }
    }
    const end = next === -1 ? to : next
    // With an offset out of order the bytes are not zeros.
    const mayBeLost = nextOffset >= recoveryPoint && scanned.fault !== 'offset-order'
    damage.push(await describeDamage(segment, position, end, mayBeLost))
    if (next === -1) return { end: to, nextOffset, torn: undefined, damage }
    position = next
  }
}

/** Whether what was scanned ends with a torn tail; `next`: where a whole batch follows, -1: nowhere. */
async function isTorn(
  segment: Segment,
  range: RecoveryRange,
  scanned: ScanEnd,
  next: number,
): Promise<boolean> {
  if (range.nextBaseOffset !== undefined) return false
  const to = await segment.measure()
  const valid = next === -1 ? await findHidden(segment, to, scanned) : next
  if (valid === -1) return true
  // A marker at the log end, whose records were before it and are not whole. Its own offset may be lost with them.
  if (scanned.nextOffset < range.recoveryPoint || to - valid !== CONTROL_BATCH_BYTES) return false
  return range.endsNothing(await readRange(segment.file, valid, CONTROL_BATCH_BYTES), 0)
}

/** Where whole batches follow that are not in order only because the last good one claims their offsets, and so are not torn; -1: there are none. */
async function findHidden(segment: Segment, to: number, scanned: ScanEnd): Promise<number> {
  const { position, nextOffset, precedingOffset } = scanned
  if (precedingOffset === nextOffset) return -1
  const faulty = { position, to, nextOffset: precedingOffset }
  return await findNextBatch(segment.file, faulty, segment.offsetLimit)
}

async function describeDamage(
  segment: Segment,
  position: number,
  end: number,
  mayBeLost: boolean,
): Promise<DamagedRegion> {
  const isMarked = segment.lostRegions.has(position)
  const isLost = isMarked || (mayBeLost && (await isZero(segment.file, position, end)))
  return {
    file: segment.file.path,
    position,
    bytes: end - position,
    kind: isLost ? 'lost-write' : 'damage',
  }
}

/** Marks a region of zeros for all readers to come. */
export async function markLost(
  environment: StorageEnvironment,
  segment: Segment,
  position: number,
): Promise<void> {
  segment.lostRegions.add(position)
  const name = regionFileName(segment.baseOffset, position, 'lost')
  const file = path.join(path.dirname(segment.file.path), name)
  await replaceFile(environment.fileSystem, file, Buffer.alloc(0))
}

/** Copies a torn tail aside; answers with the copy's name, undefined where the tail is all zeros and needs none. */
export async function keepTornTail(
  environment: StorageEnvironment,
  segment: Segment,
  position: number,
  size: number,
): Promise<string | undefined> {
  if (await isZero(segment.file, position, size)) return undefined
  const { fileSystem } = environment
  const directory = path.dirname(segment.file.path)
  const name = path.join(directory, regionFileName(segment.baseOffset, position, 'torn'))
  if ((await fileSystem.stat(name)) !== undefined) await fileSystem.unlink(name)
  const copy = fileSystem.openSync(name, 'create')
  try {
    for (let at = position; at < size; at += COPY_BYTES) {
      const bytes = await readRange(segment.file, at, Math.min(COPY_BYTES, size - at))
      await copy.write(bytes, 0, bytes.length, at - position)
    }
    await copy.sync()
  } catch (error) {
    copy.closeSync()
    await fileSystem.unlink(name)
    throw error
  }
  copy.closeSync()
  await fileSystem.syncDirectory(directory)
  return name
}

/** Writes [from, to) again, the same bytes in place. */
export async function rewrite(segment: Segment, from: number, to: number): Promise<void> {
  // Fresh memory for each part would be slower to touch than the part is to copy.
  const buffer = Buffer.allocUnsafeSlow(Math.min(COPY_BYTES, to - from))
  for (let at = from; at < to; ) {
    const bytes = await segment.file.read(buffer, 0, Math.min(buffer.length, to - at), at)
    if (bytes === 0) return
    await segment.file.write(buffer, 0, bytes, at)
    at += bytes
    if (turnIsLong()) await nextTurn()
  }
}
