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

/** What the batches that are there tell of a producer. */
export interface KnownProducer {
  /** As the earlier batches have left it. */
  readonly before: ProducerEntry | undefined
  /** Nothing is missing since its last batch or marker: by a gap, by damage. */
  readonly isWhole: boolean
  /** Nor since its last batch, of which the next one's sequence follows. */
  readonly areSequencesWhole: boolean
}

/** @param marker of a control batch that ends a transaction. */
export function producerFault(
  header: BatchHeader,
  marker: ControlRecord | undefined,
  known: KnownProducer,
): ProducerFault | undefined {
  const { producerId, producerEpoch, isControl } = header
  const { before } = known
  if (producerId < 0) return undefined
  const lastEpoch = before?.producerEpoch ?? -1
  if (producerEpoch < lastEpoch) {
    const message = `producer ${producerId} has epoch ${producerEpoch}, and had ${lastEpoch} before`
    return { kind: 'producer-epoch', message }
  }
  if (!isControl) return dataFault(header, known)
  return marker === undefined ? undefined : markerFault(header, marker, known)
}

function markerFault(
  { producerId }: BatchHeader,
  { coordinatorEpoch }: ControlRecord,
  { before, isWhole }: KnownProducer,
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
  { before, isWhole, areSequencesWhole }: KnownProducer,
): ProducerFault | undefined {
  if (!isWhole || before === undefined) return undefined
  const { currentTxnFirstOffset: firstOffset } = before
  if (firstOffset !== undefined && !isTransactional) {
    const message = `producer ${producerId} has a transaction open from offset ${firstOffset} on, and the batch is not of it`
    return { kind: 'transaction-mixed', message }
  }
  if (baseSequence < 0 || !areSequencesWhole) return undefined
  const isSameEpoch = before.producerEpoch === producerEpoch
  const lastSequence = isSameEpoch ? (before.batches.at(-1)?.lastSequence ?? -1) : -1
  const due = lastSequence === MAX_SEQUENCE ? 0 : lastSequence + 1
  if (baseSequence === due) return undefined
  const message = `producer ${producerId} goes on with sequence ${baseSequence}, where ${due} is due`
  return { kind: 'sequence', message }
}
