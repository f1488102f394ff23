import { BATCH_HEADER_BYTES, baseOffsetAt } from '../codec/batch.ts'
import { CorruptLogError, LogError } from '../errors.ts'
import { nextTurn, turnIsLong } from '../util/turn.ts'
import type { StorageEnvironment } from './environment.ts'
import { positionIn, rebuildIndexesOnce } from './index-rebuild.ts'
import { KnownBatches } from './known-batches.ts'
import type { Page, PageRequest } from './page.ts'
import { emptyPage } from './page.ts'
import type { Parsed, Window } from './page-parser.ts'
import {
  beginsWithWholeBatch,
  faultText,
  nextOffsetOf,
  parseWindow,
  readWindow,
  wholeBatches,
} from './page-parser.ts'
import type { AheadRange } from './read-ahead.ts'
import { ReadAhead } from './read-ahead.ts'
import type { ReadHint } from './read-hints.ts'
import { ReadHints } from './read-hints.ts'
import type { Segment } from './segment.ts'
import { SegmentGoneError } from './segment-gone.ts'
import type { SegmentList } from './segment-list.ts'
import { findNextBatch, readRange } from './segment-scan.ts'
import type { Tail } from './tail.ts'

/** Up to this size a read is made at once; a larger one goes to the thread pool. */
const SYNC_READ_BYTES = 64 * 1024
/** So is a batch that a look-up comes to up to this size: a look-up that goes through the pool takes five times as long. */
const SYNC_BATCH_BYTES = 256 * 1024
/** A request for at most this many records is a look-up: it reads little, and remembers where the records stand. */
export const LOOKUP_RECORDS: number = 64
const LOOKUP_BYTES = 16 * 1024

/** A walk from where the index leads that is longer shows that the index is short of entries. */
const LONG_WALK_BYTES = 4 * 1024 * 1024

/** Where a read begins, and how it was found. */
interface Place {
  readonly segment: Segment
  readonly position: number
  readonly hint: ReadHint | undefined
}

/** A read that goes through files. */
interface Walk {
  segment: Segment
  position: number
  /** No batch at `position` or behind has a lower base offset. */
  nextOffset: number
  /** Bytes to read at least. */
  needed: number
  /** Where the index of this segment led to, as long as it may still prove wrong. */
  indexed: number | undefined
  /** Where it began in this segment. */
  start: { readonly position: number; readonly nextOffset: number }
  /** Batches before the offset are passed by their headers alone. */
  trustsHeaders: boolean
}

/**
 * Reads pages of one partition: from the tail in memory, else by one read of a range of a file. A batch is verified
 * when it is first read from the disk. An index is a hint: if the batch that it leads to is not what it says, the
 * index is built again from the data, and only what then still fails is damage.
 */
export class PageReader {
  readonly #where: string
  readonly #segments: SegmentList
  readonly #tail: Tail
  readonly known: KnownBatches
  readonly #hints = new ReadHints()
  readonly #ahead: ReadAhead
  readonly #isReadOnly: boolean
  /** Told the name of an index that was wrong, and was built again. */
  onIndexRebuilt: ((file: string) => void) | undefined = undefined

  constructor(where: string, segments: SegmentList, tail: Tail, environment: StorageEnvironment) {
    this.#where = where
    this.#segments = segments
    this.#tail = tail
    this.known = new KnownBatches(environment)
    this.#ahead = new ReadAhead(environment.cache)
    this.#isReadOnly = environment.readOnly
  }

  /** Answers at once where the bytes are in memory or few. */
  read(request: PageRequest): Page | Promise<Page> {
    const isFew = isLookup(request)
    const page = this.#fromTail(request) ?? (isFew ? this.known.lookUp(request) : undefined)
    if (page !== undefined) return page
    const mayTake = !isFew && request.allBatches !== true
    const ahead = mayTake ? this.#ahead.take(request.offset) : undefined
    if (ahead === undefined) return this.#fromFile(request)
    if (ahead.buffer !== undefined) return this.#fromAhead(ahead, request)
    return this.#afterReading(ahead, request)
  }

  async #afterReading(ahead: AheadRange, request: PageRequest): Promise<Page> {
    await ahead.reading
    if (turnIsLong()) await nextTurn()
    return this.#fromAhead(ahead, request)
  }

  #fromFile(request: PageRequest): Page | Promise<Page> {
    const hint = this.#hints.find(request.offset)
    const segment = hint?.segment ?? this.#segments.find(request.offset)
    if (!segment.file.isReady()) return this.#readLater(segment, request)
    const place = this.#placeIn(segment, hint, request)
    const bytes = Math.min(wantedBytes(request), segment.sizeBytes - place.position)
    if (bytes <= 0 || bytes > SYNC_READ_BYTES) return this.#readFrom(place, request)
    let window = readWindow(segment, place.position, bytes, firstOffset(place, request))
    if (leadsPast(window, place.hint, request)) return this.#readFrom(place, request)
    let parsed = parseWindow(window, request)
    if (parsed.kind === 'onward' && parsed.bytes > 0 && parsed.bytes <= SYNC_BATCH_BYTES) {
      window = readWindow(segment, parsed.position, parsed.bytes, parsed.nextOffset)
      parsed = parseWindow(window, request)
    }
    if (parsed.kind !== 'batches') return this.#readFrom(place, request)
    return this.#filePage(window, parsed, place.hint, request)
  }

  /** What cannot be used as it is, is read anew: that tells what is wrong with it. */
  #fromAhead(ahead: AheadRange, request: PageRequest): Page | Promise<Page> {
    const { buffer, segment, position } = ahead
    if (buffer === undefined) return this.#fromFile(request)
    const window = { buffer, segment, position, nextOffset: request.offset }
    const parsed = parseWindow(window, request)
    if (parsed.kind !== 'batches' || parsed.end === parsed.start) return this.#fromFile(request)
    return this.#filePage(window, parsed, this.#hints.find(request.offset), request)
  }

  /** What a page that was not taken to its end has from `at` on, where a batch begins, is given to who goes on there. */
  keepRest(page: Page, at: number): void {
    const { buffer, segment, start, end } = page
    if (page.run !== undefined || at >= end || segment.isRetired) return
    if (this.#tail.find(baseOffsetAt(buffer, at))) return
    const place = {
      offset: baseOffsetAt(buffer, at),
      segment,
      position: page.position + at - start,
    }
    this.#hints.add(place, undefined)
    this.#ahead.keep(place, buffer.subarray(at, end))
  }

  /** Segments were removed. */
  forget(): void {
    this.known.clear()
    this.#hints.clear()
    this.#ahead.clear()
  }

  /** The partition is closed. */
  close(): void {
    this.forget()
    this.#ahead.close()
  }

  #fromTail(request: PageRequest): Page | undefined {
    const run = this.#tail.find(request.offset)
    if (run === undefined) return undefined
    const { buffer } = run.chunk
    const start = run.placeOf(request.offset)
    const end = wholeBatches(buffer, start, run.end, request)
    run.chunk.isShared = true
    const place = {
      segment: run.segment,
      position: run.filePosition + start - run.start,
      hint: undefined,
    }
    return this.#page(buffer, { kind: 'batches', start, end }, place, request, start)
  }

  /** The file is ready. An index that cannot even be read counts as empty here; `#readFrom` builds it again. */
  #placeIn(segment: Segment, hint: ReadHint | undefined, request: PageRequest): Place {
    const position = hint?.position ?? positionIn(segment, request.offset) ?? segment.sizeBytes
    return { segment, position, hint }
  }

  async #readLater(segment: Segment, request: PageRequest): Promise<Page> {
    await segment.file.ready()
    return this.read(request)
  }

  async #readFrom(start: Place, request: PageRequest): Promise<Page> {
    const { segment, position, hint } = start
    const isTrusted = hint !== undefined || segment.wereIndexesRebuilt
    const walk = walkFrom(segment, position, firstOffset(start, request))
    if (!isTrusted) walk.indexed = position
    for (;;) {
      const page = await this.#step(walk, start, request)
      if (page !== undefined) return page
    }
  }

  /** One read of a walk: gives the page, or moves on. */
  async #step(walk: Walk, start: Place, request: PageRequest): Promise<Page | undefined> {
    const { segment, position, nextOffset, trustsHeaders } = walk
    const size = await segment.measure()
    if (position >= size) return this.#stepOut(walk, request)
    const bytes = Math.min(Math.max(wantedBytes(request), walk.needed), size - position)
    const buffer = await readRange(segment.file, position, bytes)
    if (turnIsLong()) await nextTurn()
    const window = { buffer, segment, position, nextOffset, trustsHeaders }
    const parsed = missingAsFault(parseWindow(window, request), buffer.length < bytes)
    if (isIndexWrong(walk, window, parsed, request)) {
      await this.#rebuild(walk, request)
      return undefined
    }
    if (parsed.kind === 'batches') {
      return this.#filePage(window, parsed, start.hint, request)
    }
    walk.nextOffset = parsed.nextOffset
    if (parsed.kind === 'onward') {
      walk.position = parsed.position
      walk.needed = parsed.bytes
    } else if (trustsHeaders && parsed.position > walk.start.position) {
      // A batch that was passed may be the one that fails: its length led here.
      Object.assign(walk, walk.start, { trustsHeaders: false })
    } else {
      walk.position = await this.#passDamage(segment, parsed, request)
    }
    return undefined
  }

  /** The end of the segment was reached: goes on in the next one. */
  async #stepOut(walk: Walk, request: PageRequest): Promise<Page | undefined> {
    const { segment, position } = walk
    // What comes after it now need not begin where it ended.
    if (segment.isRetired) throw new SegmentGoneError(segment.file.path)
    if (walk.indexed === position && position > 0) {
      await this.#rebuild(walk, request)
      return undefined
    }
    const next = this.#segments.after(segment)
    if (next === undefined) return emptyPage(segment, position, request.end)
    Object.assign(walk, walkFrom(next, 0, next.baseOffset))
    return undefined
  }

  async #rebuild(walk: Walk, request: PageRequest): Promise<void> {
    const { segment } = walk
    const isFirst = !segment.wereIndexesRebuilt
    await rebuildIndexesOnce(segment)
    const position = segment.positionFor(request.offset)
    Object.assign(walk, walkFrom(segment, position, segment.baseOffset))
    if (!isFirst) return
    this.onIndexRebuilt?.(segment.pathOf('index'))
    // Where it cannot be written it holds in memory; that of the active segment is written when it is sealed.
    const isKept = this.#isReadOnly || segment === this.#segments.active
    if (!isKept) await segment.saveIndexes().catch(ignore)
  }

  /** Throws what the reader is to be told, or answers with the position behind the damage. */
  async #passDamage(segment: Segment, fault: Fault, request: PageRequest): Promise<number> {
    const { position } = fault
    if (!segment.lostRegions.has(position) && request.onCorrupt === 'throw') {
      const file = segment.file.path
      if (fault.fault === 'unsupported-magic') {
        throw new LogError(
          'UNSUPPORTED_MAGIC',
          `${file}, byte ${position}: ${this.#where} holds a batch of magic 0 or 1`,
        )
      }
      throw new CorruptLogError(file, position, faultText(fault.fault))
    }
    const limit = this.#segments.after(segment)?.baseOffset ?? request.end
    const faulty = { position, to: segment.sizeBytes, nextOffset: fault.nextOffset }
    const next = await findNextBatch(segment.file, faulty, limit)
    return next === -1 ? segment.sizeBytes : next
  }

  /** A page of a window, which is also where the next one is got ready. */
  #filePage(
    window: Window,
    parsed: Batches,
    hint: ReadHint | undefined,
    request: PageRequest,
  ): Page {
    const { buffer, segment, position } = window
    const page = this.#page(buffer, parsed, { segment, position, hint }, request)
    const { start, end, nextOffset } = page
    if (segment.isRetired) return page
    if (end > start && nextOffset < request.end && !isLookup(request)) {
      const next = { offset: nextOffset, segment, position: page.position + end - start }
      const rest = buffer.subarray(end)
      if (beginsWithWholeBatch(rest)) this.#ahead.keep(next, rest)
      else if (hint !== undefined || page.position === 0) this.#readAhead(next, request)
    }
    return page
  }

  /** Who came from the page before, or began at a file's first byte, will want the next page: it is read while he is at work on this one. */
  #readAhead(next: ReadHint, request: PageRequest): void {
    if (this.#tail.find(next.offset) !== undefined) return
    const left = next.segment.sizeBytes - next.position
    if (left > SYNC_READ_BYTES) this.#ahead.begin(next, wantedBytes(request))
    if (left > 0) return
    const segment = this.#segments.after(next.segment)
    if (segment !== undefined) {
      this.#ahead.begin({ offset: next.offset, segment, position: 0 }, wantedBytes(request))
    }
  }

  /** `base`: the place in the buffer that `place.position` stands for. */
  #page(buffer: Buffer, parsed: Batches, place: Place, request: PageRequest, base = 0): Page {
    const { start, end } = parsed
    const { segment } = place
    const position = place.position + start - base
    if (end === start) return emptyPage(segment, position, request.end)
    const nextOffset = nextOffsetOf(buffer, start, end)
    if (!segment.isRetired) {
      this.#hints.add({ offset: nextOffset, segment, position: position + end - start }, place.hint)
    }
    return { buffer, start, end, nextOffset, segment, position, run: undefined }
  }
}

type Fault = Extract<Parsed, { kind: 'fault' }>
type Batches = Extract<Parsed, { kind: 'batches' }>

function walkFrom(segment: Segment, position: number, nextOffset: number): Walk {
  const start = { position, nextOffset }
  return { segment, ...start, needed: 0, indexed: undefined, start, trustsHeaders: true }
}

/** No batch at the place has a lower base offset: who reads on begins where the last page ended. */
function firstOffset({ segment, hint }: Place, request: PageRequest): number {
  return hint === undefined ? segment.baseOffset : request.offset
}

/** The index led to a batch that lies behind what was asked for. */
function leadsPast(window: Window, hint: ReadHint | undefined, { offset }: PageRequest): boolean {
  if (hint !== undefined || window.position === 0) return false
  return window.buffer.length >= BATCH_HEADER_BYTES && baseOffsetAt(window.buffer, 0) > offset
}

/** It leads into a batch, behind what was asked for, or so far before it that it lacks entries. */
function isIndexWrong(walk: Walk, window: Window, parsed: Parsed, request: PageRequest): boolean {
  if (walk.indexed === undefined) return false
  if (walk.position === walk.indexed && walk.position > 0) {
    // With a sound header the batch is there, and damaged.
    const isHeaderBad = parsed.kind === 'fault' && parsed.fault !== 'bad-crc'
    if (isHeaderBad && parsed.position === walk.position) return true
    if (leadsPast(window, undefined, request)) return true
  }
  return parsed.kind === 'onward' && parsed.position - walk.indexed > LONG_WALK_BYTES
}

/** Of a file that is shorter than it was said to be there is no more to read. */
function missingAsFault(parsed: Parsed, isShort: boolean): Parsed {
  if (!isShort || parsed.kind !== 'onward' || parsed.bytes === 0) return parsed
  const { position, nextOffset } = parsed
  return { kind: 'fault', fault: 'truncated', position, nextOffset }
}

function isLookup({ maxRecords }: PageRequest): boolean {
  return maxRecords <= LOOKUP_RECORDS
}

function wantedBytes(request: PageRequest): number {
  const bytes = isLookup(request) ? Math.min(request.maxBytes, LOOKUP_BYTES) : request.maxBytes
  return Math.max(bytes, BATCH_HEADER_BYTES)
}

function ignore(): void {}
