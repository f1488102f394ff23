/** What is done to a log at the same time, in an order that the input decides, save for what the thread pool does in its own time. */
import { BusyLog } from '../busy-log.ts'
import { FuzzRandom } from '../fuzz-random.ts'
import type { FuzzTarget } from '../target.ts'

export const interleaving: FuzzTarget = {
  name: 'interleaving',
  memoryBytes: 256 * 1024 * 1024,
  timeoutMs: 60_000,
  generate: (random) => random.bytes(4),
  run: (input) => new BusyLog(new FuzzRandom(input.toString('hex'))).run(),
  shrink: () => [],
}
