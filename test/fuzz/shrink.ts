/** Smaller inputs that fail in the same way. */

/** With a part removed or zeroed: halves first, then ever smaller parts. */
export function* simplerBytes(input: Buffer): Generator<Buffer> {
  for (let length = Math.ceil(input.length / 2); length >= 1; length = halfOf(length)) {
    for (let at = 0; at < input.length; at += length) {
      yield Buffer.concat([input.subarray(0, at), input.subarray(at + length)])
    }
    for (let at = 0; at < input.length; at += length) {
      const part = input.subarray(at, at + length)
      if (part.every((byte) => byte === 0)) continue
      const zeroed = Buffer.from(input)
      zeroed.fill(0, at, Math.min(at + length, input.length))
      yield zeroed
    }
  }
}

function halfOf(length: number): number {
  return length === 1 ? 0 : Math.ceil(length / 2)
}

/** Without some of its items: halves first, then ever fewer. */
export function* fewerOf<T>(items: readonly T[]): Generator<T[]> {
  for (let length = Math.ceil(items.length / 2); length >= 1; length = halfOf(length)) {
    for (let at = 0; at < items.length; at += length) {
      yield [...items.slice(0, at), ...items.slice(at + length)]
    }
  }
}

/** How an input fails; undefined where it does not. */
export type Failing = (input: Buffer) => Promise<string | undefined>

/**
 * The simplest input found that fails as `input` does, by taking the first simpler one again and again, until none fails so or
 * `deadline` (milliseconds, as `performance.now()`) has passed.
 */
export async function minimize(
  input: Buffer,
  signature: string,
  simpler: (input: Buffer) => Iterable<Buffer>,
  fails: Failing,
  deadline: number,
): Promise<Buffer> {
  let smallest = input
  for (let found = true; found; ) {
    found = false
    for (const candidate of simpler(smallest)) {
      if (performance.now() > deadline) return smallest
      if ((await fails(candidate)) !== signature) continue
      smallest = candidate
      found = true
      break
    }
  }
  return smallest
}
