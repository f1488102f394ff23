import type { HeaderProducer } from '../codec/batch-encoder.ts'
import type { AppendCall, TransactionEnd } from './append-call.ts'
import type { Packing } from './packing.ts'
import type { Chunk } from './tail.ts'

const NO_CALLS: AppendCall[] = []

/** An encoded batch that waits to be written, and the calls that wait for it. */
export class PendingBatch {
  readonly baseOffset: number
  calls: AppendCall[] = NO_CALLS
  chunk: Chunk
  start: number
  end: number
  nextOffset: number
  maxTimestamp = 0
  /** What it holds of `PendingRoom`. */
  roomBytes = 0
  /** It is being compressed, in a chunk of its own; see `place`. */
  packing: Packing | undefined = undefined
  /** Whose it is, where it is one call's own; undefined: nobody's. */
  producer: HeaderProducer | undefined = undefined
  /** The marker that is, or follows, the batch: its last offset, and its bytes, are the marker's. */
  ending: TransactionEnd | undefined = undefined

  constructor(chunk: Chunk, baseOffset: number) {
    this.chunk = chunk
    this.start = chunk.end
    this.end = chunk.end
    this.baseOffset = baseOffset
    this.nextOffset = baseOffset
  }

  get sizeBytes(): number {
    return this.end - this.start
  }

  /** An array made with its one element has no room for sixteen more, as one that grows has. */
  add(call: AppendCall): void {
    if (this.calls.length === 0) this.calls = [call]
    else this.calls.push(call)
  }

  /** It is not written, or nobody knows: a write in the thread pool may still read its chunk, which is not used again. */
  abandon(): void {
    this.chunk.unwritten -= 1
    this.chunk.isShared = true
  }
}
