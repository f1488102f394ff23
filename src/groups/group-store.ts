/**
 * Generations, members and targets of groups, kept in `__consumer_offsets` as Kafka keeps those of classic groups.
 *
 *   1. a group has changed: what is to be stored of it is replaced, in memory
 *   2. where nothing of it is being written, it is written as it is by then; a thousand changes meanwhile are one record
 *   3. written, it is forgotten here
 *
 * Nobody waits for it. A kill before the write leaves the generation before: its members are gone with their process, whose consumers were
 * the only ones that it fenced. What could not be written is told, holds in memory, and is written with the next change, or at the close.
 */
import { DecodeError } from '../errors.ts'
import type { Clock } from '../types.ts'
import { asError } from '../util/error-code.ts'
import { metadataOf, restoredGroup } from './group-metadata.ts'
import type { GroupState } from './group-state.ts'
import { EMPTY_GROUP } from './group-state.ts'
import type { OffsetStore } from './offset-store.ts'

export interface GroupStoreOptions {
  readonly clock: Clock
  /** What is stored; undefined while there is nothing. */
  readonly stored: () => OffsetStore | undefined
  /** As `stored`, and made where there is nothing. */
  readonly writable: () => Promise<OffsetStore> | OffsetStore
  /** Told of what could not be written or read. It must not throw. */
  readonly failed: (error: Error) => void
}

/** A group as it is to be stored. */
interface Change {
  readonly state: GroupState
  readonly assignor: string
  readonly timestamp: number
}

interface Unsaved {
  latest: Change
  /** Undefined: the last attempt has failed. */
  writing: Promise<void> | undefined
}

export class GroupStore {
  readonly #options: GroupStoreOptions
  /** Since when nothing has been heard of the members that are stored. */
  #openedMs: number
  /** What is not stored yet, by group. */
  readonly #unsaved = new Map<string, Unsaved>()

  constructor(options: GroupStoreOptions) {
    this.#options = options
    this.#openedMs = options.clock.now()
  }

  /** Nobody could have joined before, as the log was being recovered: it does not count against static members. */
  begin(): void {
    this.#openedMs = this.#options.clock.now()
  }

  /**
   * What a group begins with that nobody in this process is, or is kept a place, in: it goes on with the generation that is known of it.
   * Metadata that cannot be read is told; its group goes on above its generation, where at least that can be read.
   */
  restore(group: string, now: number): GroupState {
    const unsaved = this.#unsaved.get(group)?.latest
    if (unsaved !== undefined) {
      const { state, assignor, timestamp } = unsaved
      return restoredGroup(metadataOf(state, assignor, timestamp), now, now)
    }
    const stored = this.#options.stored()
    try {
      const metadata = stored?.metadataOf(group)
      return metadata === undefined ? EMPTY_GROUP : restoredGroup(metadata, this.#openedMs, now)
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      this.#options.failed(error)
      return { ...EMPTY_GROUP, epoch: Math.max(stored?.generationOf(group) ?? 0, 0) }
    }
  }

  /** The group has changed. Its latest state is stored, in a moment; nothing is thrown. */
  store(group: string, state: GroupState, assignor: string): void {
    const latest = { state, assignor, timestamp: this.#options.clock.now() }
    const unsaved = this.#unsaved.get(group) ?? { latest, writing: undefined }
    unsaved.latest = latest
    this.#unsaved.set(group, unsaved)
    unsaved.writing ??= this.#write(group, unsaved)
  }

  /** Resolves when nothing of the group is being written. */
  async settled(group: string): Promise<void> {
    await this.#unsaved.get(group)?.writing
  }

  /** The group has been deleted: what could not be written of it is not to be. */
  forget(group: string): void {
    if (this.#unsaved.get(group)?.writing === undefined) this.#unsaved.delete(group)
  }

  /** Writes what is not stored yet, with one more try where there was a failure. After the last change. */
  async close(): Promise<void> {
    await Promise.all(
      [...this.#unsaved].map(([group, unsaved]) => unsaved.writing ?? this.#write(group, unsaved)),
    )
  }

  async #write(group: string, unsaved: Unsaved): Promise<void> {
    for (let change: Change | undefined; change !== unsaved.latest; ) {
      // What else changes in this turn is part of it.
      await null
      change = unsaved.latest
      if (await this.#hasStored(group, change)) {
        if (change === unsaved.latest) this.#unsaved.delete(group)
      }
    }
    unsaved.writing = undefined
  }

  async #hasStored(group: string, { state, assignor, timestamp }: Change): Promise<boolean> {
    try {
      const store = await this.#options.writable()
      await store.storeGroup(group, metadataOf(state, assignor, timestamp))
      return true
    } catch (error) {
      this.#options.failed(asError(error))
      return false
    }
  }
}
