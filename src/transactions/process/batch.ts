import type { OffsetCommit } from '../../groups/types.ts'
import type { Input } from './input.ts'
import type { InputSource } from './seams.ts'

/** What a transaction is made of: the outputs of records that were handled, and up to where each page was. */
export class Batch<P> {
  outputs: P[] = []
  /** Pages of which something is in it. */
  readonly inputs: Set<Input> = new Set()
  /** Of input. */
  records = 0
  /** Of outputs. */
  bytes = 0
  /** By page: the records below the index, once nothing more is taken. */
  #ends: ReadonlyMap<Input, number> = new Map()
  #last: Input | undefined
  /** What is told once it is committed. */
  readonly #tells: (() => void)[] = []

  get isEmpty(): boolean {
    return this.inputs.size === 0
  }

  has(input: Input): boolean {
    return this.inputs.has(input)
  }

  /** The records of the page up to `end` are handled, and came to these outputs. */
  add(input: Input, end: number, outputs: readonly P[], bytes: number): void {
    this.records += end - input.handled
    this.bytes += bytes
    for (const each of outputs) this.outputs.push(each)
    if (input !== this.#last) this.inputs.add(input)
    this.#last = input
    input.handled = end
  }

  /** Nothing more is taken: what is handled from now on is the next one's. */
  close(): void {
    this.#ends = new Map(Array.from(this.inputs, (input) => [input, input.handled]))
  }

  whenCommitted(tell: () => void): void {
    this.#tells.push(tell)
  }

  /**
   * Takes out what was lost. All of a member's pages are lost at once: then nothing is left. Where others are left it was a topic that was deleted: what
   * its records came to stays, as if it had been committed just before.
   */
  dropLost(): void {
    for (const input of [...this.inputs]) if (input.isLost) this.inputs.delete(input)
    if (this.inputs.size === 0) this.clear()
  }

  clear(): void {
    this.outputs = []
    this.inputs.clear()
    this.#last = undefined
    this.records = 0
    this.bytes = 0
    this.#tells.length = 0
  }

  /** What is to be committed of its input; of a partition with several pages, the last one says it. */
  commits(source: InputSource): Map<Input, OffsetCommit> {
    const byPartition = new Map<string, Input>()
    for (const input of this.inputs) byPartition.set(input.name, input)
    const commits = new Map<Input, OffsetCommit>()
    for (const input of byPartition.values()) {
      const offset = input.offsetBehind(this.#ends.get(input) ?? 0)
      commits.set(input, source.commitOf(input.page, offset))
    }
    return commits
  }

  /** Its transaction is committed. */
  committed(source: InputSource, commits: ReadonlyMap<Input, OffsetCommit>): void {
    for (const input of this.inputs) input.committed = this.#ends.get(input) ?? input.committed
    for (const [input, commit] of commits) if (!input.isDown) source.committed(input.page, commit)
    for (const tell of this.#tells) tell()
  }
}
