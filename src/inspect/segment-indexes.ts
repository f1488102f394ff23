import type { SegmentFileKind } from '../storage/file-names.ts'
import { segmentFileName } from '../storage/file-names.ts'
import type { FindingDetails, FindingKind, Severity } from './finding.ts'
import type { IndexProblem, IndexShape } from './index-check.ts'
import {
  OffsetIndexCheck,
  offsetIndexShape,
  TimeIndexCheck,
  timeIndexShape,
} from './index-check.ts'
import type { SegmentFiles } from './partition-files.ts'
import type { DirectoryState } from './verify-context.ts'

export type Tell = (
  kind: FindingKind,
  file: string,
  message: string,
  details?: FindingDetails,
) => void

export interface SegmentIndexesOptions {
  readonly segment: SegmentFiles
  /** The last segment, to which a writer appends. */
  readonly isActive: boolean
  readonly state: DirectoryState
  /** Content of the files; undefined where there is none. */
  readonly index: Buffer | undefined
  readonly timeindex: Buffer | undefined
  readonly tell: Tell
}

/** The two indexes of a segment, and what the state of the directory excuses in them. */
export class SegmentIndexes {
  readonly offsetIndex: OffsetIndexCheck | undefined
  readonly timeIndex: TimeIndexCheck | undefined
  readonly #options: SegmentIndexesOptions

  constructor(options: SegmentIndexesOptions) {
    this.#options = options
    const { segment, index, timeindex } = options
    const { baseOffset } = segment
    if (index === undefined) this.#missing('index')
    else {
      const { entries } = this.#shaped('index', offsetIndexShape(index), index.length)
      this.offsetIndex = new OffsetIndexCheck(index, entries, baseOffset, (problem) =>
        this.#problem('index', problem),
      )
    }
    if (timeindex === undefined) this.#missing('timeindex')
    else {
      const { entries } = this.#shaped('timeindex', timeIndexShape(timeindex), timeindex.length)
      this.timeIndex = new TimeIndexCheck(timeindex, entries, baseOffset, (problem) =>
        this.#problem('timeindex', problem),
      )
    }
  }

  /** The segment ends at a position, with this as its last offset. */
  end(position: number, lastOffset: number): void {
    this.offsetIndex?.end(position)
    this.timeIndex?.end(lastOffset)
    if (this.timeIndex === undefined || this.#isInUse) return
    const { lastTimestamp, greatestTimestamp } = this.timeIndex
    if (lastTimestamp >= greatestTimestamp) return
    const message = `it ends at timestamp ${lastTimestamp}, the segment has ${greatestTimestamp}`
    this.#tell('index-incomplete', 'timeindex', message)
  }

  /** Preallocated, and not complete before the next roll or close; after a crash it is built again. */
  get #isInUse(): boolean {
    return this.#options.isActive && this.#options.state !== 'closed'
  }

  /** A writer makes them with its first flush, so that a kill may come before. */
  #missing(kind: SegmentFileKind): void {
    if (this.#isInUse) return
    this.#tell('index-missing', kind, 'it is not there; the next open makes it')
  }

  #shaped(kind: SegmentFileKind, shape: IndexShape, size: number): IndexShape {
    const { leftOver, rest, entries } = shape
    const severity = this.#excuse()
    if (leftOver > 0) {
      const message = `${size} bytes are no whole entries, ${leftOver} are left over`
      this.#tell('index-size', kind, message, { position: size - leftOver, ...severity })
    }
    if (rest === 'disorder') {
      const message = `entry ${entries} does not rise above the one before it`
      this.#tell('index-order', kind, message, severity)
    } else if (rest === 'zeros' && !this.#isInUse) {
      const message = `zeros follow its ${entries} entries, which only an index in use may have`
      this.#tell('index-zeros', kind, message)
    }
    return shape
  }

  #problem(indexKind: SegmentFileKind, { kind, position, offset, message }: IndexProblem): void {
    const severity = kind === 'index-entry' ? this.#excuse() : {}
    const details = { position, firstOffset: offset, lastOffset: offset, ...severity }
    this.#tell(kind, indexKind, message, details)
  }

  #excuse(): { readonly severity?: Severity } {
    return this.#isInUse ? { severity: 'warning' } : {}
  }

  #tell(
    kind: FindingKind,
    indexKind: SegmentFileKind,
    message: string,
    details?: FindingDetails,
  ): void {
    const { segment, tell } = this.#options
    const name = indexKind === 'index' ? segment.index : segment.timeindex
    tell(kind, name ?? segmentFileName(segment.baseOffset, indexKind), message, details)
  }
}
