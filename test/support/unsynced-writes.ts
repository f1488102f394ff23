// What a power cut makes of a file whose last writes were not synced.
import type { GrowableBytes } from '../../src/testing/growable-bytes.ts'
import { randomInteger } from './random.ts'

const SECTOR_BYTES = 512

export interface UnsyncedWrite {
  readonly kind: 'write'
  readonly sequence: number
  readonly position: number
  readonly bytes: Uint8Array
}

export interface UnsyncedTruncate {
  readonly kind: 'truncate'
  readonly sequence: number
  readonly size: number
}

export type UnsyncedChange = UnsyncedWrite | UnsyncedTruncate

export type CutMode = 'lose-all' | 'keep-all' | 'random'

/** `torn`: some sectors arrived. `sized`: the file grew, its new bytes are zeros. */
type Fate = 'kept' | 'lost' | 'torn' | 'sized'

export function applyChange(file: GrowableBytes, change: UnsyncedChange): void {
  if (change.kind === 'truncate') file.resize(change.size)
  else file.write(change.bytes, change.position)
}

/** The file as it comes back. */
export function afterPowerCut(
  synced: GrowableBytes,
  changes: readonly UnsyncedChange[],
  mode: CutMode,
  random: () => number,
): GrowableBytes {
  const file = synced.clone()
  if (mode === 'lose-all') return file
  const fateOf = mode === 'keep-all' ? () => 'kept' as const : chooseFates(changes.length, random)
  for (const [index, change] of changes.entries()) applyFate(file, change, fateOf(index), random)
  return file
}

/** Disks mostly write in order up to some point; the other fates are as legal, and rarer. */
function chooseFates(count: number, random: () => number): (index: number) => Fate {
  const style = random()
  if (style < 0.15) return () => 'lost'
  if (style < 0.3) return () => 'kept'
  if (style < 0.65) {
    const lastIndex = randomInteger(random, count + 1)
    return (index) => {
      if (index === lastIndex) return anyFate(random)
      return index < lastIndex ? 'kept' : 'lost'
    }
  }
  return () => anyFate(random)
}

function anyFate(random: () => number): Fate {
  const fates = ['kept', 'lost', 'torn', 'sized'] as const
  return fates[randomInteger(random, fates.length)] ?? 'kept'
}

function applyFate(
  file: GrowableBytes,
  change: UnsyncedChange,
  fate: Fate,
  random: () => number,
): void {
  if (fate === 'lost') return
  if (fate === 'kept' || change.kind === 'truncate') applyChange(file, change)
  else if (fate === 'sized') grow(file, change.position + change.bytes.length)
  else tear(file, change, random)
}

function grow(file: GrowableBytes, size: number): void {
  if (size > file.size) file.resize(size)
}

function tear(file: GrowableBytes, write: UnsyncedWrite, random: () => number): void {
  const end = write.position + write.bytes.length
  let from = write.position
  while (from < end) {
    const to = Math.min(end, (Math.floor(from / SECTOR_BYTES) + 1) * SECTOR_BYTES)
    const sector = write.bytes.subarray(from - write.position, to - write.position)
    if (random() < 0.5) file.write(sector, from)
    from = to
  }
  if (random() < 0.5) grow(file, end)
}
