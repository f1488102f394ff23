/**
 * The class that `Buffer.prototype.subarray` makes its results of. Made directly a view takes half as long: `subarray`
 * first brings its arguments into range, and asks for the memory each time.
 */
const View = (
  Buffer as unknown as {
    readonly [Symbol.species]: new (bytes: ArrayBufferLike, at: number, length: number) => Buffer
  }
)[Symbol.species]

/** `length` bytes of `bytes` from `at` on; a `RangeError` for what is outside of it. A page's own place there is its `byteOffset`. */
export function viewOf(bytes: ArrayBufferLike, at: number, length: number): Buffer {
  return new View(bytes, at, length)
}
