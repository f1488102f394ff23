// Targets with faults of every kind, which the fuzzer must find. Each needs the byte 0x42 somewhere in its input.
import type { FuzzRandom } from './fuzz-random.ts'
import type { FuzzTarget } from './target.ts'

const TRIGGER = 0x42
const TIMEOUT_MS = 300
const LONG_TIMEOUT_MS = 20_000

const generate = (random: FuzzRandom): Buffer => random.bytes(1 + random.below(40))

function planted(name: string, misbehave: () => void | Promise<void>): FuzzTarget {
  return {
    name,
    timeoutMs: TIMEOUT_MS,
    generate,
    run: (input) => (input.includes(TRIGGER) ? misbehave() : undefined),
  }
}

const held: unknown[] = []

export const TARGETS: readonly FuzzTarget[] = [
  { name: 'sound', generate, run() {} },
  planted('throws', () => {
    throw new TypeError('planted')
  }),
  planted('rejects', async () => {
    await Promise.resolve()
    throw new TypeError('planted')
  }),
  planted('floats', async () => {
    void Promise.reject(new TypeError('planted'))
  }),
  planted('loops', () => {
    for (;;) held.length = 0
  }),
  planted('waits', () => new Promise(() => {})),
  planted('allocates', () => {
    held.push(Buffer.allocUnsafe(64 * 1024 * 1024))
  }),
  {
    ...planted('exhausts', () => {
      for (;;) held.push(new Array(1000).fill(held.length))
    }),
    timeoutMs: LONG_TIMEOUT_MS,
  },
  planted('ends', () => process.exit(3)),
]
