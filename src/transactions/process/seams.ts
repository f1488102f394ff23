/** What the processor asks of what stands around it: where its input comes from, and where its transactions go. */
import type { ConsumedRecord, TakenPage } from '../../groups/consumer/page-source.ts'
import type { OffsetCommit } from '../../groups/types.ts'

export type Consumed = ConsumedRecord<unknown, unknown>
export type InputPage = TakenPage<unknown, unknown>

/** The pages of a consumer whose offsets are committed by who takes them. */
export interface InputSource {
  /** See `PageSource`. */
  take(): Promise<InputPage | undefined>
  /** False where no page is given before one is put down. */
  readonly hasRoom: boolean
  /** What is to be committed where all of the page's partition below `offset` is finished. */
  commitOf(page: InputPage, offset: number): OffsetCommit
  /** Throws `FENCED` where one of the partitions is not the consumer's own any more. */
  judge(pages: Iterable<InputPage>): void
  /** It is committed: all below `offset` is finished. */
  committed(page: InputPage, commit: OffsetCommit): void
}

/** Input that a transaction consumes. */
export interface ConsumedInput {
  readonly offsets: readonly OffsetCommit[]
  /** Throws where they are not to be committed any more. */
  readonly judge: () => void
}

/** Writes transactions. `P`: records for one partition, serialized, with bytes of their own. */
export interface TransactionWriter<P> {
  /**
   * Throws what is wrong with the records: nothing of the call is taken then. Bytes that are those of a record in `given` need no copy: who was
   * handed it does not change them.
   */
  prepare(
    topic: string,
    records: unknown,
    options: unknown,
    given: readonly Consumed[],
  ): readonly P[]
  /** The bytes that they take, about. */
  bytesOf(prepared: P): number
  /** A record with what became of it, for the topic of dead letters. */
  deadLetter(record: Consumed, error: unknown): Promise<readonly P[]>
  /** Outputs and input at once, now and after any crash. Where it rejects, nothing of them; of `STORAGE_FAILED` the next open tells. */
  commit(outputs: readonly P[], input: ConsumedInput): Promise<void>
}
