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
