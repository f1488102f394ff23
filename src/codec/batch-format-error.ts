/** Bytes that pass for a record batch do not hold what its format asks for. Callers add file and position. */
export class BatchFormatError extends Error {
  override readonly name = 'BatchFormatError'
}
