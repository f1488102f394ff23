import type { SegmentFileKind, SegmentFileName } from '../storage/file-names.ts'
import {
  CLEANED_SUFFIX,
  LEADER_EPOCH_CHECKPOINT,
  PARTITION_METADATA,
  parseRegionFileName,
  parseSegmentFileName,
  SWAP_SUFFIX,
  segmentFileName,
  TEMPORARY_SUFFIX,
} from '../storage/file-names.ts'
import type { FindingKind } from './finding.ts'

/** The files of a segment, by their names; an index that is not there is undefined. */
export interface SegmentFiles {
  readonly baseOffset: number
  readonly log: string
  readonly index: string | undefined
  readonly timeindex: string | undefined
  readonly txnindex: string | undefined
  /** A complete compaction output, which the next open puts in place of what it covers. */
  readonly isSwap: boolean
  /** Where recoveries have marked lost writes. */
  readonly lost: ReadonlySet<number>
}

export interface PartitionFiles {
  /** As the next open would see them, by rising base offset. */
  readonly segments: readonly SegmentFiles[]
  /** Offsets of the `.snapshot` files, rising. */
  readonly snapshots: readonly number[]
  readonly remarks: readonly NameRemark[]
}

/** What a name alone tells. */
export interface NameRemark {
  readonly kind: FindingKind
  readonly name: string
  readonly message: string
}

/** Sorts the names in a partition's directory; `segment-swap.ts` says what those of a compaction mean. Pure. */
export function partitionFilesOf(names: readonly string[]): PartitionFiles {
  const files = new Set(names)
  const swaps = committedSwaps(names)
  const bases = new Map<number, { isSwap: boolean; lost: Set<number> }>()
  const snapshots: number[] = []
  const lost: { readonly baseOffset: number; readonly position: number }[] = []
  for (const name of names) {
    const segment = parseSegmentFileName(name)
    const region = parseRegionFileName(name)
    if (region?.kind === 'lost') lost.push(region)
    if (segment?.kind === 'snapshot' && segment.pending === undefined) {
      snapshots.push(segment.baseOffset)
    }
    if (segment?.kind !== 'log') continue
    const isSwap = swaps.has(name)
    if (segment.pending !== undefined && !isSwap) continue
    const known = bases.get(segment.baseOffset)
    bases.set(segment.baseOffset, { isSwap: isSwap || known?.isSwap === true, lost: new Set() })
  }
  for (const { baseOffset, position } of lost) bases.get(baseOffset)?.lost.add(position)
  const sorted = [...bases].sort(([a], [b]) => a - b)
  return {
    segments: sorted.map(([base, { isSwap, lost: positions }]) => ({
      ...filesOf(base, isSwap, files, swaps),
      isSwap,
      lost: positions,
    })),
    snapshots: snapshots.sort((a, b) => a - b),
    remarks: [...names].sort().flatMap((name) => remarkOf(name, bases) ?? []),
  }
}

/** `.swap` files that are what they say: a `.cleaned` says that from its base offset on nothing was committed. */
function committedSwaps(names: readonly string[]): ReadonlySet<string> {
  const pending = names.flatMap((name) => {
    const file = parseSegmentFileName(name)
    return file?.pending === undefined ? [] : [{ name, ...file }]
  })
  const cleaned = pending.filter((each) => each.pending === CLEANED_SUFFIX)
  const from = Math.min(...cleaned.map((each) => each.baseOffset))
  const swaps = pending.filter((each) => each.pending === SWAP_SUFFIX && each.baseOffset < from)
  return new Set(swaps.map(({ name }) => name))
}

/** The files that the next open brings together. */
function filesOf(
  baseOffset: number,
  isSwap: boolean,
  files: ReadonlySet<string>,
  swaps: ReadonlySet<string>,
): Pick<SegmentFiles, 'baseOffset' | 'log' | 'index' | 'timeindex' | 'txnindex'> {
  const find = (kind: SegmentFileKind): string | undefined => {
    const name = segmentFileName(baseOffset, kind)
    // Beside `X.log` it is of the new one, which has its name already.
    if (swaps.has(name + SWAP_SUFFIX)) return name + SWAP_SUFFIX
    // Beside `X.log.swap` it is of the old one, and goes.
    return files.has(name) && (!isSwap || kind === 'log') ? name : undefined
  }
  return {
    baseOffset,
    log: find('log') ?? segmentFileName(baseOffset, 'log'),
    index: find('index'),
    timeindex: find('timeindex'),
    txnindex: find('txnindex'),
  }
}

const PENDING: Record<string, string> = {
  '.deleted': 'it is to be removed; the next open does so',
  '.cleaned': 'compaction output that is not complete; the next open removes it',
  '.swap': 'compaction output; the next open puts it in place of what it covers, or removes it',
}

function remarkOf(name: string, bases: ReadonlyMap<number, unknown>): NameRemark | undefined {
  const segment = parseSegmentFileName(name)
  if (segment !== undefined) return segmentRemark(name, segment, bases)
  if (name === LEADER_EPOCH_CHECKPOINT || name === PARTITION_METADATA) return undefined
  const region = parseRegionFileName(name)
  if (region?.kind === 'torn') {
    const message = `what a recovery cut off the segment at position ${region.position}`
    return { kind: 'kept-aside', name, message }
  }
  if (region !== undefined) return undefined
  if (name.endsWith(TEMPORARY_SUFFIX)) {
    const message = 'a replacement that was not finished; the next open removes it'
    return { kind: 'half-done', name, message }
  }
  return { kind: 'unknown-name', name, message: 'no file of a partition is called so' }
}

function segmentRemark(
  name: string,
  { baseOffset, kind, pending }: SegmentFileName,
  bases: ReadonlyMap<number, unknown>,
): NameRemark | undefined {
  if (pending !== undefined) {
    return { kind: 'half-done', name, message: PENDING[pending] ?? '' }
  }
  if (kind === 'log' || kind === 'snapshot' || bases.has(baseOffset)) return undefined
  return { kind: 'index-orphan', name, message: 'it has no .log; the next open removes it' }
}
