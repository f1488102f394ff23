import type { Codecs } from '../codec/codecs.ts'
import { CorruptLogError, OffsetOutOfRangeError } from '../errors.ts'
import { errorCode } from '../util/error-code.ts'
import type { Page, PageRequest } from './page.ts'
import type { PageReader } from './page-reader.ts'
import type { SegmentList } from './segment-list.ts'
import type { TimeRequest } from './time-lookup.ts'
import { findOffsetByTime } from './time-lookup.ts'

/** A partition, as far as its readers ask for it. */
export interface ReadPartition {
  readonly name: string
  readonly logStartOffset: number
  readonly highWatermark: number
  /** Resolves when the list of segments is again what the directory has. */
  settled(): Promise<void>
}

/**
 * Reads of one partition that go on over what becomes of its segments: one that is deleted or replaced under a read fails it, and the read
 * is made again on the segments that are there then. Nothing is skipped, and nothing given twice: a read is of one page.
 */
export class SteadyReads {
  readonly #partition: ReadPartition
  readonly #reader: PageReader
  readonly #segments: SegmentList

  constructor(partition: ReadPartition, reader: PageReader, segments: SegmentList) {
    this.#partition = partition
    this.#reader = reader
    this.#segments = segments
  }

  /** See `PartitionLog.read`. */
  read(request: PageRequest): Page | Promise<Page> {
    const { version } = this.#segments
    try {
      const page = this.#reader.read(request)
      return page instanceof Promise
        ? page.catch((error) => this.#readAgain(error, version, request))
        : page
    } catch (error) {
      return this.#readAgain(error, version, request)
    }
  }

  /** See `findOffsetByTime`. */
  async offsetForTime(request: TimeRequest, codecs: Codecs): Promise<number | undefined> {
    for (;;) {
      const { version } = this.#segments
      try {
        return await findOffsetByTime(this.#segments, request, codecs)
      } catch (error) {
        if (!(await this.#hasChanged(error, version))) throw error
      }
    }
  }

  async #readAgain(error: unknown, version: number, request: PageRequest): Promise<Page> {
    const hasChanged = await this.#hasChanged(error, version)
    const { name, logStartOffset: start, highWatermark: end } = this.#partition
    if (errorCode(error) === 'ENOENT' && request.offset < start) {
      throw new OffsetOutOfRangeError(name, request.offset, start, end)
    }
    if (!hasChanged) throw error
    return this.read(request)
  }

  /** Whether the error may be due to a change of the segments, and there was one: beside a writer that is known afterwards alone. */
  async #hasChanged(error: unknown, version: number): Promise<boolean> {
    const mayBe = errorCode(error) === 'ENOENT' || error instanceof CorruptLogError
    if (!mayBe) return false
    await this.#partition.settled()
    return this.#segments.version !== version
  }
}
