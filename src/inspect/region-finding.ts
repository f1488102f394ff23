import type { DataFile } from '../storage/file-cache.ts'
import { readRange } from '../storage/segment-scan.ts'
import type { FindingKind } from './finding.ts'
import type { FaultyRegion } from './log-walk.ts'
import { isOldMessage } from './segment-check.ts'
import type { DirectoryState } from './verify-context.ts'

/** Where a region lies. */
export interface RegionPlace {
  readonly state: DirectoryState
  /** In the last segment, to which a writer appends. */
  readonly isActive: boolean
  /** A recovery has marked it as lost. */
  readonly isMarkedLost: boolean
  readonly recoveryPoint: number
}

/** What a region that is no batch is, as `recovery` would see it. */
export function regionKind(region: FaultyRegion, place: RegionPlace): FindingKind {
  const isTail = region.resumeOffset === undefined && place.isActive
  if (isTail && place.state === 'live') return 'growing-tail'
  if (region.isZero) return zeroKind(region, place, isTail)
  if (region.fault === 'truncated' && region.resumeOffset === undefined) return 'batch-cut'
  return region.fault === 'bad-crc' ? 'batch-crc' : 'batch-header'
}

function zeroKind(
  { nextOffset }: FaultyRegion,
  { state, isActive, isMarkedLost, recoveryPoint }: RegionPlace,
  isTail: boolean,
): FindingKind {
  if (isMarkedLost) return 'lost-write'
  if (state === 'closed') return 'zeros'
  if (isTail) return 'zero-tail'
  return isActive && nextOffset >= recoveryPoint ? 'lost-write' : 'zeros'
}

const WHAT: Partial<Record<FindingKind, string>> = {
  'growing-tail': 'behind the last whole batch: being written, or left by a write that failed',
  'lost-write': 'of zeros, a lost unsynced write, which readers pass',
  'zero-tail': 'of zeros behind the last batch, which the next open cuts off',
  zeros: 'of zeros where batches must be',
  'batch-cut': 'of a batch whose end is missing',
  'batch-crc': 'of a batch whose CRC does not hold',
  'batch-header': 'that are no batch: offsets, sizes or magic make no sense',
  'old-format': 'in the format of Kafka before 0.11 (magic 0 or 1), which is not read',
}

export function regionMessage(kind: FindingKind, region: FaultyRegion, place: RegionPlace): string {
  const what = `${region.bytes} bytes ${WHAT[kind] ?? ''}`
  if (region.resumeOffset !== undefined) {
    return `${what}; the next sound batch begins with offset ${region.resumeOffset}`
  }
  const isTorn = place.isActive && place.state === 'crashed' && kind.startsWith('batch-')
  return isTorn ? `${what}; the next open cuts them off and keeps a copy` : what
}

/** A region that `checkBatchHeader` takes for an old message is one if its CRC holds. */
export async function isOldFormat(file: DataFile, region: FaultyRegion): Promise<boolean> {
  if (region.fault !== 'unsupported-magic') return false
  const head = await readRange(file, region.position, Math.min(12, region.bytes))
  if (head.length < 12) return false
  const bytes = Math.min(12 + head.readInt32BE(8), region.bytes)
  const message = await readRange(file, region.position, bytes)
  return message.length > 16 && isOldMessage(message)
}
