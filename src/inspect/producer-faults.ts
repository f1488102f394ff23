/**
 * What Kafka would refuse of a producer's next batch, judged by what the batches before it have left. Pure.
 * Source: Kafka's `ProducerAppendInfo`, as it checks what clients and coordinators send.
 */
import type { BatchHeader, ControlRecord } from '../codec/batch.ts'
import type { ProducerEntry } from '../storage/producer-state.ts'

const MAX_SEQUENCE = 2 ** 31 - 1

export interface ProducerFault {
  readonly kind:
    | 'producer-epoch'
    | 'coordinator-epoch'
    | 'transaction-mixed'
    | 'sequence'
    | 'marker-alone'
  readonly message: string
}

/**
 * @param marker of a control batch that ends a transaction.
 * @param before the producer as the earlier batches have left it.
 * @param isWhole none of its batches since is missing: by a gap, by damage.
 */
export function producerFault(
  header: BatchHeader,
  marker: ControlRecord | undefined,
  before: ProducerEntry | undefined,
  isWhole: boolean,
): ProducerFault | undefined {
  const { producerId, producerEpoch, isControl } = header
  if (producerId < 0) return undefined
  const lastEpoch = before?.producerEpoch ?? -1
  if (producerEpoch < lastEpoch) {
    const message = `producer ${producerId} has epoch ${producerEpoch}, and had ${lastEpoch} before`
    return { kind: 'producer-epoch', message }
  }
  if (!isControl) return dataFault(header, before, isWhole)
  return marker === undefined ? undefined : markerFault(header, marker, before, isWhole)
}

function markerFault(
  { producerId }: BatchHeader,
  { coordinatorEpoch }: ControlRecord,
  before: ProducerEntry | undefined,
  isWhole: boolean,
): ProducerFault | undefined {
  const lastEpoch = before?.coordinatorEpoch ?? -1
  if (coordinatorEpoch < lastEpoch) {
    const message = `the marker of producer ${producerId} has coordinator epoch ${coordinatorEpoch}, one before it ${lastEpoch}`
    return { kind: 'coordinator-epoch', message }
  }
  if (!isWhole || before?.currentTxnFirstOffset !== undefined) return undefined
  return { kind: 'marker-alone', message: `producer ${producerId} has nothing open that it ends` }
}

function dataFault(
  { producerId, producerEpoch, baseSequence, isTransactional }: BatchHeader,
  before: ProducerEntry | undefined,
  isWhole: boolean,
): ProducerFault | undefined {
  if (!isWhole || before === undefined) return undefined
  const { currentTxnFirstOffset: firstOffset } = before
  if (firstOffset !== undefined && !isTransactional) {
    const message = `producer ${producerId} has a transaction open from offset ${firstOffset} on, and the batch is not of it`
    return { kind: 'transaction-mixed', message }
  }
  if (baseSequence < 0) return undefined
  const isSameEpoch = before.producerEpoch === producerEpoch
  const lastSequence = isSameEpoch ? (before.batches.at(-1)?.lastSequence ?? -1) : -1
  const due = lastSequence === MAX_SEQUENCE ? 0 : lastSequence + 1
  if (baseSequence === due) return undefined
  const message = `producer ${producerId} goes on with sequence ${baseSequence}, where ${due} is due`
  return { kind: 'sequence', message }
}
