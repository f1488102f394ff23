import { BATCH_HEADER_BYTES, batchSizeAt, checkBatch, lastOffsetAt } from '../codec/batch.ts'
import { judgeOffsets, OFFSETS_FALSE, OFFSETS_SOUND } from './offset-order.ts'
import { ReusedMemory } from './reused-memory.ts'
import type { Segment } from './segment.ts'
import type { ScanFault } from './segment-scan.ts'
import { findNextBatch, headerFault } from './segment-scan.ts'

/** As much is read at once: a read through the thread pool costs 0.1 ms, whatever it reads. */
const WINDOW_BYTES = 1024 * 1024
const NOTHING = Buffer.alloc(0)

/** Told of bytes read, before they are handed out: the place to wait in. */
export type ReadPace = (bytes: number) => Promise<void>

/**
 * Goes through the batches of a segment that nothing is appended to, one after another: each is whole in memory and has passed its CRC.
 * `next` as long as it answers true; where it does not and there is a `fault`, `skip` goes on behind what is damaged.
 */
export class BatchCursor {
  /** Holds the batch from `at` on, up to the next call of `next`. */
  buffer: Buffer = NOTHING
  at = 0
  /** Of the batch, in bytes. */
  size = 0
  /** Of the batch in the .log. */
  position: number
  /** Why the bytes at `end` are no batch; undefined at the end of the segment. */
  fault: ScanFault | undefined
  /** Behind the batch. */
  #end: number
  #nextOffset: number
  /** The size of the .log, or where it was found to end; -1: not asked for yet. */
  #limit = -1
  /** It was found to end before its size. */
  #isShort = false
  #window: Buffer = NOTHING
  #windowPosition = 0
  /** Bytes that it takes to judge the offsets of the next batch, as far as that is known. */
  #toJudge = 0
  readonly #segment: Segment
  readonly #pace: ReadPace
  readonly #memory: ReusedMemory

  /**
   * @param position of a batch.
   * @param memory for all windows, of this cursor and of those before it.
   */
  constructor(
    segment: Segment,
    position: number,
    pace: ReadPace,
    memory: ReusedMemory = new ReusedMemory(),
  ) {
    this.#segment = segment
    this.#pace = pace
    this.#memory = memory
    this.position = position
    this.#end = position
    this.#nextOffset = segment.baseOffset
  }

  /** Where the next batch begins, or what is damaged. */
  get end(): number {
    return this.#end
  }

  /** Goes to the next batch; at once where it has been read already. */
  next(): boolean | Promise<boolean> {
    return this.#take() ?? this.#readOn()
  }

  /** Goes to the first sound batch behind the damage. False where there is none; the segment has ended then. */
  async skip(): Promise<boolean> {
    const faulty = { position: this.#end, to: this.#limit, nextOffset: this.#nextOffset }
    const next = await findNextBatch(this.#segment.file, faulty, this.#segment.offsetLimit)
    this.fault = undefined
    this.#end = next === -1 ? this.#limit : next
    return next !== -1 && (await this.next())
  }

  async #readOn(): Promise<boolean> {
    if (this.#limit === -1) this.#limit = await this.#segment.measure()
    for (let taken = this.#take(); ; taken = this.#take()) {
      if (taken !== undefined) return taken
      await this.#read()
    }
  }

  /** Undefined where more has to be read to tell. */
  #take(): boolean | undefined {
    const window = this.#window
    const at = this.#end - this.#windowPosition
    const available = this.#limit - this.#end
    if (available <= 0) return this.#atEnd()
    if (at + Math.min(BATCH_HEADER_BYTES, available) > window.length) return undefined
    const fault = headerFault(window, at, available, this.#nextOffset, this.#segment.offsetLimit)
    if (fault !== undefined) return this.#faulty(fault)
    const size = batchSizeAt(window, at)
    if (at + size > window.length) return undefined
    const bodyFault = checkBatch(window, at, size)
    if (bodyFault !== undefined) return this.#faulty(bodyFault)
    const judged = judgeOffsets(window, at, available, this.#nextOffset)
    if (judged === OFFSETS_FALSE) return this.#faulty('offset-order')
    this.#toJudge = judged
    if (judged !== OFFSETS_SOUND) return undefined
    this.buffer = window
    this.at = at
    this.size = size
    this.position = this.#end
    this.#end += size
    this.#nextOffset = lastOffsetAt(window, at) + 1
    return true
  }

  #atEnd(): false | undefined {
    if (this.#limit === -1) return undefined
    return this.#isShort ? this.#faulty('truncated') : false
  }

  #faulty(fault: ScanFault): false {
    this.fault = fault
    return false
  }

  async #read(): Promise<void> {
    const bytes = Math.min(this.#limit - this.#end, Math.max(WINDOW_BYTES, this.#neededBytes()))
    await this.#pace(bytes)
    const memory = this.#memory.take(bytes)
    const read = await this.#segment.file.read(memory, 0, bytes, this.#end)
    // What is missing is found to be truncated, also where it is missing behind a whole batch.
    this.#isShort = read < bytes
    if (this.#isShort) this.#limit = this.#end + read
    this.#window = memory.subarray(0, read)
    this.#windowPosition = this.#end
  }

  /** Of the next batch, as far as its header is there. */
  #neededBytes(): number {
    const at = this.#end - this.#windowPosition
    const isHeaderThere = at + BATCH_HEADER_BYTES <= this.#window.length
    return isHeaderThere
      ? Math.max(batchSizeAt(this.#window, at), this.#toJudge)
      : BATCH_HEADER_BYTES
  }
}
