/** How `dump` writes an entry for people: a line. Pure. */
import { codecName } from '../codec/compression.ts'
import type {
  DumpEntry,
  DumpedBatch,
  DumpedFile,
  DumpedRecord,
  DumpedRemark,
} from '../inspect/dump-entry.ts'
import type { InternalRecord } from '../inspect/internal-record.ts'
import type { ReadHeaders } from '../types.ts'
import { deleteHorizonOf, lastSequenceOf, markerName, timestampTypeOf } from './dump-json.ts'
import type { ValueFormat } from './record-format.ts'
import { counted, printable, sizeText, timeText } from './text.ts'
import { shownAsJson, textOf } from './value-text.ts'

export interface DumpTextOptions extends ValueFormat {
  /** Path of the file, for what is told of places in it. */
  readonly file: string
  /** Characters after which a key, value or header is cut. */
  readonly most: number
}

export function dumpText(entry: DumpEntry, options: DumpTextOptions): string {
  switch (entry.type) {
    case 'file':
      return fileText(entry)
    case 'batch':
      return batchText(entry)
    case 'record':
      return `  ${recordText(entry, options)}`
    case 'remark':
      return remarkText(entry, options.file)
    default:
      return entryText(entry)
  }
}

function fileText({ file, kind, sizeBytes, baseOffset, topic, partition }: DumpedFile): string {
  const where = topic === undefined ? '' : ` of ${topic}-${partition}`
  const from = baseOffset === undefined ? '' : `, offset ${baseOffset}`
  return `${printable(file)}: ${kind}${where}${from}, ${sizeText(sizeBytes)}`
}

function remarkText({ severity, kind, position, message }: DumpedRemark, file: string): string {
  return `${printable(file)}:${position}: ${severity}: ${kind}: ${printable(message)}`
}

// --------------------------------------------------------------------------------------- batches

function batchText({ position, header, isCrcRight, remark }: DumpedBatch): string {
  const { baseOffset, lastOffset, count, sizeBytes, partitionLeaderEpoch, crc } = header
  const parts = [
    rangeText('offset', baseOffset, lastOffset),
    counted(count, 'record'),
    counted(sizeBytes, 'byte'),
    `epoch ${partitionLeaderEpoch}`,
    timesText(header),
  ]
  const horizon = deleteHorizonOf(header)
  if (horizon !== undefined) parts.push(`delete horizon ${timeText(horizon)}`)
  if (header.codec !== 0) parts.push(codecName(header.codec))
  if (header.producerId >= 0) parts.push(producerText(header))
  if (header.isTransactional) parts.push('transactional')
  if (header.isControl) parts.push('control')
  const state = isCrcRight === undefined ? ' not checked' : isCrcRight ? '' : ' is wrong'
  parts.push(`crc 0x${crc.toString(16).padStart(8, '0')}${state}`)
  if (remark !== undefined) parts.push(printable(remark))
  return `batch at ${position}: ${parts.join(', ')}`
}

function timesText(header: DumpedBatch['header']): string {
  const { baseTimestamp, maxTimestamp } = header
  const max = timeText(maxTimestamp)
  // A batch that compaction has emptied has none; in one that a broker stamped it means nothing.
  const isFirst = deleteHorizonOf(header) === undefined && !header.isLogAppendTime
  const range =
    isFirst && baseTimestamp >= 0 && baseTimestamp < maxTimestamp
      ? `${timeText(baseTimestamp)} to ${max}`
      : max
  return `${timestampTypeOf(header)} ${range}`
}

function rangeText(what: string, first: number, last: number): string {
  return first === last ? `${what} ${first}` : `${what}s ${first} to ${last}`
}

function producerText(header: DumpedBatch['header']): string {
  const { producerId, producerEpoch, baseSequence } = header
  const range = rangeText('sequence', baseSequence, lastSequenceOf(header))
  const sequences = baseSequence < 0 ? '' : ` ${range}`
  return `producer ${producerId} epoch ${producerEpoch}${sequences}`
}

// --------------------------------------------------------------------------------------- records

function recordText(record: DumpedRecord, options: DumpTextOptions): string {
  const { offset, timestamp, key, value, headers, marker, internal } = record
  const start = `${offset} ${timeText(timestamp)}`
  if (marker !== undefined) {
    return `${start} ${markerName(marker.type)}, coordinator epoch ${marker.coordinatorEpoch}`
  }
  if (internal !== undefined && internal.kind !== 'unknown') {
    return `${start} ${internalText(internal)}`
  }
  const parts = [`key ${bytesText(key, options.most)}`, `value ${valueText(value, options)}`]
  const names = Object.keys(headers)
  if (names.length > 0) parts.push(`headers {${headersText(headers, options.most)}}`)
  if (internal !== undefined) parts.push(`not decoded: ${printable(internal.reason)}`)
  return `${start} ${parts.join(' ')}`
}

function valueText(value: Buffer | null, { serializer, isRaw, most }: DumpTextOptions): string {
  if (value === null || isRaw) return bytesText(value, most)
  const json = shownAsJson(serializer, value)
  if (json === undefined || serializer.name === 'bytes') return bytesText(value, most)
  return cut(printable(JSON.stringify(json)), most)
}

/** What no text has, though UTF-8 has it: numbers in binary begin with zeros. */
const BINARY = /(?![\t\n\r])[\p{Cc}]/u

/** A text in quotes, else hexadecimal. */
function bytesText(bytes: Buffer | null, most: number): string {
  if (bytes === null) return 'null'
  const text = textOf(bytes)
  if (text !== undefined && !BINARY.test(text)) return cut(printable(JSON.stringify(text)), most)
  const shown = bytes.subarray(0, Math.ceil(most / 2)).toString('hex')
  const rest = bytes.length * 2 > shown.length ? `… (${bytes.length} bytes)` : ''
  return `0x${shown}${rest}`
}

function cut(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most)}… (${text.length} characters)`
}

function headersText(headers: ReadHeaders, most: number): string {
  return Object.entries(headers)
    .flatMap(([name, value]) => {
      const values = Array.isArray(value) ? value : [value as Buffer | null]
      return values.map((each) => `${printable(JSON.stringify(name))}: ${bytesText(each, most)}`)
    })
    .join(', ')
}

function internalText(record: Exclude<InternalRecord, { kind: 'unknown' }>): string {
  if (record.kind === 'offset') return offsetText(record)
  if (record.kind === 'group') {
    const { group, metadata } = record
    const of = `group ${JSON.stringify(group)}`
    if (metadata === null) return `${of} is deleted`
    const { protocolType, generation, protocol, leader, members } = metadata
    const ids = members.map(({ memberId }) => memberId).join(' ')
    const who = members.length === 0 ? 'no members' : `members ${ids}, leader ${leader}`
    const type = protocolType === '' ? 'no protocol,' : protocolType
    return printable(`${of}: ${type} generation ${generation}, ${protocol}, ${who}`)
  }
  const { transactionalId, state } = record
  const of = `transactional id ${JSON.stringify(transactionalId)}`
  if (state === null) return printable(`${of} is deleted`)
  const { status, producerId, producerEpoch, partitions } = state
  const where = partitions.flatMap((each) => each.partitions.map((one) => `${each.topic}-${one}`))
  const list = where.length === 0 ? '' : `, partitions ${where.join(' ')}`
  return printable(`${of}: ${status}, producer ${producerId} epoch ${producerEpoch}${list}`)
}

function offsetText(record: Extract<InternalRecord, { kind: 'offset' }>): string {
  const { group, topic, partition, committed } = record
  const of = `group ${JSON.stringify(group)}, ${topic}-${partition}`
  if (committed === null) return printable(`${of}: deleted`)
  const { offset, leaderEpoch, metadata, commitTimestamp } = committed
  const epoch = leaderEpoch === -1 ? '' : `, leader epoch ${leaderEpoch}`
  const words = metadata === '' ? '' : `, metadata ${JSON.stringify(metadata)}`
  return printable(`${of}: offset ${offset}${epoch}${words}, at ${timeText(commitTimestamp)}`)
}

// --------------------------------------------------------------------------------- other entries

type SideEntry = Exclude<DumpEntry, { type: 'file' | 'batch' | 'record' | 'remark' }>

function entryText(entry: SideEntry): string {
  switch (entry.type) {
    case 'index-entry':
      return `offset ${entry.offset} position ${entry.position}`
    case 'time-index-entry':
      return `timestamp ${entry.timestamp} (${timeText(entry.timestamp)}) offset ${entry.offset}`
    case 'aborted-transaction': {
      const { producerId, firstOffset, lastOffset, lastStableOffset } = entry
      return `producer ${producerId} aborted offsets ${firstOffset} to ${lastOffset}, last stable offset ${lastStableOffset}`
    }
    case 'producer':
      return snapshotText(entry)
    case 'leader-epoch':
      return `epoch ${entry.epoch} from offset ${entry.startOffset} on`
    case 'checkpoint-entry':
      return `${printable(entry.topic)}-${entry.partition} offset ${entry.offset}`
    case 'partition-metadata':
      return `topic id ${entry.topicId}`
  }
}

function snapshotText(entry: Extract<SideEntry, { type: 'producer' }>): string {
  const { producerId, producerEpoch, lastSequence, lastOffset, offsetDelta } = entry
  const parts = [`producer ${producerId} epoch ${producerEpoch}`]
  if (lastOffset >= 0) {
    parts.push(`last sequence ${lastSequence}`)
    parts.push(`last batch at offsets ${lastOffset - offsetDelta} to ${lastOffset}`)
  }
  parts.push(`last timestamp ${timeText(entry.lastTimestamp)}`)
  if (entry.coordinatorEpoch >= 0) parts.push(`coordinator epoch ${entry.coordinatorEpoch}`)
  const { currentTxnFirstOffset } = entry
  if (currentTxnFirstOffset !== undefined) {
    parts.push(`transaction open from offset ${currentTxnFirstOffset} on`)
  }
  return parts.join(', ')
}
