import type { TakenPage } from '../page-source.ts'
import type { HeldPage } from './progress.ts'
import { Progress } from './progress.ts'

/** The pages in hand, and how far their partitions have come. */
export class PagesInHand<K, V> {
  readonly #pages = new Set<HeldPage<K, V>>()
  /** By partition: what is in hand and not withdrawn. */
  readonly #partitions = new Map<string, Progress<K, V>>()

  get size(): number {
    return this.#pages.size
  }

  all(): HeldPage<K, V>[] {
    return [...this.#pages]
  }

  add(page: TakenPage<K, V>): HeldPage<K, V> {
    const name = nameOf(page)
    const progress = this.#partitions.get(name) ?? new Progress()
    this.#partitions.set(name, progress)
    const held = progress.add(page)
    this.#pages.add(held)
    return held
  }

  /** Nothing more of it is begun, and what is taken of its partition from now on begins anew. */
  withdraw(held: HeldPage<K, V>): void {
    held.isWithdrawn = true
    this.#forget(held)
  }

  putDown(held: HeldPage<K, V>): void {
    const { progress } = held
    progress.tell()
    progress.putDown(held)
    this.#pages.delete(held)
    if (progress.isEmpty) this.#forget(held)
  }

  #forget({ page, progress }: HeldPage<K, V>): void {
    const name = nameOf(page)
    if (this.#partitions.get(name) === progress) this.#partitions.delete(name)
  }
}

function nameOf({ topic, partition }: { topic: string; partition: number }): string {
  return `${topic}-${partition}`
}
