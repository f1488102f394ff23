/** One compression. What does not take long is done in the call; the rest leaves the event loop, or is done in slices. */
export interface BatchCodec {
  /** Throws `LogError` `UNSUPPORTED_CODEC` where the package for it is missing. */
  check(): void
  /** Throws or rejects as `check`, and with what the package says where it fails. */
  compress(records: Buffer, level: number | undefined): Buffer | Promise<Buffer>
  /**
   * Throws or rejects as `check`, with `BatchFormatError` for more than `maxBytes`, claimed or yielded, and with that or
   * what the package says for bytes that do not decompress.
   */
  decompress(bytes: Buffer, maxBytes: number): Buffer | Promise<Buffer>
}
