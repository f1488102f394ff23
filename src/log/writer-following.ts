import path from 'node:path'
import { readFileIfThere } from '../storage/checkpoint.ts'
import { METADATA_FILE } from '../storage/file-names.ts'
import { TopicStore } from '../topics/topic-store.ts'
import type { FileSystem } from '../types.ts'
import { nextTurn, turnIsLong } from '../util/turn.ts'
import type { DataDirectory } from './data-directory.ts'
import type { TopicRegistry } from './topic-registry.ts'

export interface WriterFollowingOptions {
  readonly data: DataDirectory
  readonly fileSystem: FileSystem
  readonly topics: TopicRegistry
  readonly isClosing: () => boolean
}

/** Of a reader beside a writer: looks for what the writer has done since. */
export class WriterFollowing {
  readonly #with: WriterFollowingOptions
  /** `brokerless.json` as it was last looked at. */
  #store: Buffer | undefined

  constructor(options: WriterFollowingOptions) {
    this.#with = options
  }

  async poll(): Promise<void> {
    const { data, fileSystem, topics, isClosing } = this.#with
    const file = path.join(data.path, METADATA_FILE)
    const bytes = await readFileIfThere(fileSystem, file)
    const state = {
      isClean: false,
      recoveryPoints: new Map(),
      logStarts: await data.readLogStarts(),
    }
    if (bytes !== undefined && this.#store?.equals(bytes) !== true) {
      const { store } = await TopicStore.load(fileSystem, file)
      if (store !== undefined) await topics.follow(store, state)
      this.#store = bytes
    }
    for (const partition of topics.partitions()) {
      if (turnIsLong()) await nextTurn()
      if (isClosing()) return
      await partition.poll(state.logStarts.get(partition.name) ?? 0)
    }
  }
}
