/** How `dump --json` writes an entry: one object a line. Pure. */
import type { BatchHeader } from '../codec/batch.ts'
import { DELETE_HORIZON_BIT } from '../codec/batch.ts'
import { codecName } from '../codec/compression.ts'
import type { DumpEntry, DumpedBatch, DumpedRecord } from '../inspect/dump-entry.ts'
import type { ValueFormat } from './record-format.ts'
import { contentFields } from './record-format.ts'

const MAX_SEQUENCE = 2 ** 31 - 1

/** What stands in the file, for `jsonLine`. */
export function dumpJson(entry: DumpEntry, format: ValueFormat): object {
  if (entry.type === 'batch') return batchJson(entry)
  if (entry.type === 'record') return recordJson(entry, format)
  return entry
}

function batchJson({ position, header, isCrcRight, remark }: DumpedBatch): object {
  const horizon = deleteHorizonOf(header)
  return {
    type: 'batch',
    position,
    baseOffset: header.baseOffset,
    lastOffset: header.lastOffset,
    count: header.count,
    sizeBytes: header.sizeBytes,
    partitionLeaderEpoch: header.partitionLeaderEpoch,
    magic: header.magic,
    crc: header.crc,
    isCrcRight: isCrcRight ?? null,
    codec: codecName(header.codec),
    timestampType: timestampTypeOf(header),
    baseTimestamp: header.baseTimestamp,
    maxTimestamp: header.maxTimestamp,
    ...(horizon === undefined ? {} : { deleteHorizonMs: horizon }),
    producerId: header.producerId,
    producerEpoch: header.producerEpoch,
    baseSequence: header.baseSequence,
    lastSequence: lastSequenceOf(header),
    isTransactional: header.isTransactional,
    isControl: header.isControl,
    ...(remark === undefined ? {} : { remark }),
  }
}

function recordJson(record: DumpedRecord, format: ValueFormat): object {
  const { type, offset, timestamp, marker, internal } = record
  const isBytes = marker !== undefined || internal !== undefined
  return {
    type,
    offset,
    timestamp,
    ...contentFields(record, isBytes ? { ...format, isRaw: true } : format),
    ...(marker === undefined ? {} : { marker: { ...marker, name: markerName(marker.type) } }),
    ...(internal === undefined ? {} : { decoded: internal }),
  }
}

export function timestampTypeOf({ isLogAppendTime }: BatchHeader): string {
  return isLogAppendTime ? 'LogAppendTime' : 'CreateTime'
}

/** Where compaction has set it, it stands in the place of baseTimestamp. */
export function deleteHorizonOf({ attributes, baseTimestamp }: BatchHeader): number | undefined {
  return (attributes & DELETE_HORIZON_BIT) === 0 ? undefined : baseTimestamp
}

/** Sequences run from 0 to 2^31 - 1 and begin again; -1 is none. */
export function lastSequenceOf({ baseSequence, baseOffset, lastOffset }: BatchHeader): number {
  if (baseSequence < 0) return -1
  const last = baseSequence + lastOffset - baseOffset
  return last <= MAX_SEQUENCE ? last : last - MAX_SEQUENCE - 1
}

export function markerName(type: number): string {
  if (type === 0) return 'abort'
  return type === 1 ? 'commit' : `type ${type}`
}
