import type { BatchHeader, ControlRecord } from '../codec/batch.ts'
import { BATCH_HEADER_BYTES, readBatchHeader, readControlRecord } from '../codec/batch.ts'
import { BatchFormatError, readHeaders } from '../codec/batch-decoder.ts'
import { RecordLayout } from '../codec/record-layout.ts'
import type { DataFile } from '../storage/file-cache.ts'
import { readRange } from '../storage/segment-scan.ts'
import type { UnreadableRecords } from './batch-content.ts'
import { recordBytes, unreadable } from './batch-content.ts'
import type { DumpedRecord, Emit } from './dump-entry.ts'
import { severityOf } from './finding.ts'
import { decodeInternal } from './internal-record.ts'
import type { FaultyRegion, LogVisitor } from './log-walk.ts'
import { walkLog } from './log-walk.ts'
import type { RegionPlace } from './region-finding.ts'
import { isOldFormat, regionKind, regionMessage } from './region-finding.ts'

export interface DumpLogOptions {
  readonly file: DataFile
  /** Name of the topic, which tells how to decode records; undefined: not known. */
  readonly topic: string | undefined
  readonly hasRecords: boolean
  readonly place: Omit<RegionPlace, 'isMarkedLost'>
  readonly lost: ReadonlySet<number>
  readonly signal: AbortSignal | undefined
  readonly progress: (bytes: number) => void
  readonly emit: Emit
}

/** Tells of every batch of a .log and its records, and of what is neither. A file that grows is dumped up to where it reached at the start. */
export async function dumpLog(options: DumpLogOptions): Promise<void> {
  const { file, signal } = options
  const range = { from: 0, to: file.sizeSync(), nextOffset: 0, signal }
  await walkLog(file, range, new LogDump(options))
}

class LogDump implements LogVisitor {
  readonly #options: DumpLogOptions

  constructor(options: DumpLogOptions) {
    this.#options = options
  }

  progress(bytes: number): void {
    this.#options.progress(bytes)
  }

  async batch(buffer: Buffer, at: number, position: number): Promise<void> {
    const { emit, hasRecords } = this.#options
    const header = readBatchHeader(buffer, at)
    const isShown = hasRecords && header.count > 0
    const bytes = isShown ? await readable(recordBytes, buffer, at, header) : undefined
    const isMissing = bytes !== undefined && 'why' in bytes && bytes.why === 'codec'
    const remark = isMissing ? bytes.message : undefined
    await emit({ type: 'batch', position, header, isCrcRight: true, remark })
    if (bytes === undefined || isMissing) return
    const trouble = 'why' in bytes ? bytes : await this.#records(bytes, buffer, at, header)
    if (trouble === undefined) return
    await this.#remark('records', position, header.sizeBytes, trouble.message)
  }

  async largeBatch(bytes: Buffer, position: number): Promise<void> {
    const remark = 'too large to look into'
    const header = readBatchHeader(bytes, 0)
    await this.#options.emit({ type: 'batch', position, header, isCrcRight: true, remark })
  }

  async region(region: FaultyRegion): Promise<void> {
    const { file, emit, lost } = this.#options
    const { position, bytes } = region
    const place = { ...this.#options.place, isMarkedLost: lost.has(position) }
    const isOld = await isOldFormat(file, region)
    const kind = isOld ? 'old-format' : regionKind(region, place)
    const header = await readRange(file, position, Math.min(BATCH_HEADER_BYTES, bytes))
    // Its header makes sense: it says what was there.
    if (kind === 'batch-crc' || (kind === 'batch-cut' && header.length === BATCH_HEADER_BYTES)) {
      const said = readBatchHeader(header, 0)
      const isWhole = kind === 'batch-crc'
      const remark = isWhole ? undefined : 'its end is missing'
      const isCrcRight = isWhole ? false : undefined
      await emit({ type: 'batch', position, header: said, isCrcRight, remark })
    }
    await this.#remark(kind, position, bytes, regionMessage(kind, region, place))
  }

  #remark(
    kind: 'records' | ReturnType<typeof regionKind>,
    position: number,
    bytes: number,
    message: string,
  ): void | Promise<void> {
    const severity = severityOf(kind)
    return this.#options.emit({ type: 'remark', severity, kind, position, bytes, message })
  }

  /** Tells of the records, one after another, up to the first that does not decode; answers with what is wrong with that. */
  async #records(
    bytes: Buffer,
    buffer: Buffer,
    at: number,
    header: BatchHeader,
  ): Promise<UnreadableRecords | undefined> {
    try {
      const marker = header.isControl ? readControlRecord(buffer, at) : undefined
      const layout = new RecordLayout()
      let position = 0
      let previous = header.baseOffset - 1
      for (let index = 0; index < header.count; index += 1) {
        position = layout.read(bytes, position, bytes.length)
        const offset = header.baseOffset + layout.offsetDelta
        if (offset <= previous || offset > header.lastOffset) {
          throw new BatchFormatError(`offset ${offset} follows ${previous}`)
        }
        previous = offset
        const emitted = this.#options.emit(this.#record(layout, bytes, header, marker))
        if (emitted !== undefined) await emitted
      }
      const left = bytes.length - position
      if (left > 0) throw new BatchFormatError(`${left} bytes are left over at the end`)
      return undefined
    } catch (error) {
      return unreadable(error)
    }
  }

  #record(
    layout: RecordLayout,
    bytes: Buffer,
    header: BatchHeader,
    marker: ControlRecord | undefined,
  ): DumpedRecord {
    const { keyStart, keyLength, valueStart, valueLength, headersStart, headerCount } = layout
    const { isLogAppendTime, maxTimestamp, baseTimestamp, baseOffset } = header
    const key = keyLength < 0 ? null : bytes.subarray(keyStart, keyStart + keyLength)
    const value = valueLength < 0 ? null : bytes.subarray(valueStart, valueStart + valueLength)
    const { topic } = this.#options
    const isInternal = topic !== undefined && marker === undefined
    return {
      type: 'record',
      offset: baseOffset + layout.offsetDelta,
      timestamp: isLogAppendTime ? maxTimestamp : baseTimestamp + layout.timestampDelta,
      key,
      value,
      headers: readHeaders(bytes, headersStart, headerCount),
      marker,
      internal: isInternal ? decodeInternal(topic, key, value) : undefined,
    }
  }
}

/** What reading gives, or why it cannot. */
async function readable<A extends readonly unknown[], T>(
  read: (...args: A) => T | Promise<T>,
  ...args: A
): Promise<T | UnreadableRecords> {
  try {
    return await read(...args)
  } catch (error) {
    return unreadable(error)
  }
}
