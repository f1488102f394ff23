/**
 * A segment is asked for its files and has none any more: it was deleted or replaced. Who asked looks in the list of segments for the
 * one that has its offsets now. The code is that of a file that is not there, since it may be found to be so as well.
 */
export class SegmentGoneError extends Error {
  override readonly name = 'SegmentGoneError'
  readonly code = 'ENOENT'

  constructor(file: string) {
    super(`${file} is of a segment that is gone`)
  }
}

/** A partition, as far as it says when its segments are known again. */
interface ChangingPartition {
  /** Resolves when the list of segments is again what the directory has. */
  settled(): Promise<void>
}

/** Looks at the segments of a partition, and anew where one of them went while they were looked at. */
export async function overChanges<T>(
  partition: ChangingPartition,
  look: () => Promise<T>,
): Promise<T> {
  for (;;) {
    try {
      return await look()
    } catch (error) {
      if (!(error instanceof SegmentGoneError)) throw error
      await partition.settled()
    }
  }
}
