import type { FileSystem } from '../../src/index.ts'
import type { ForwardedName } from '../support/forwarding-file-system.ts'
import { ForwardingFileSystem } from '../support/forwarding-file-system.ts'
import type { FuzzRandom } from './fuzz-random.ts'

const MOST_TURNS = 4

/** A file system whose operations take some turns of the event loop, and end in another order than they began. */
export class SlowFileSystem extends ForwardingFileSystem {
  readonly #random: FuzzRandom

  constructor(inner: FileSystem, random: FuzzRandom) {
    super(inner)
    this.#random = random
  }

  /** The operation happens somewhere between its call and its answer. */
  override async forward<T>(
    _name: ForwardedName,
    _path: string,
    operation: () => Promise<T>,
  ): Promise<T> {
    await this.#turns()
    const result = await operation()
    await this.#turns()
    return result
  }

  async #turns(): Promise<void> {
    for (let left = this.#random.below(MOST_TURNS); left > 0; left -= 1) {
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}
