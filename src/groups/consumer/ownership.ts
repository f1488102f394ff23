import type { ResolvedConsumerOptions } from '../../options.ts'
import type { TopicPartition } from '../../types.ts'
import type { AssignedReader } from './assigned-reader.ts'
import { Claim } from './claim.ts'
import type { Commits } from './commits.ts'
import type { GroupAccess } from './group-access.ts'
import type { Holdings } from './holdings.ts'
import { startOf } from './start.ts'

export interface OwnershipOptions {
  readonly access: GroupAccess
  readonly options: ResolvedConsumerOptions
  readonly reader: AssignedReader
  readonly commits: Commits
  readonly holdings: Holdings
}

/**
 * What the group has assigned to a consumer and was not handed back, and the claim on each of these partitions: there is none before it has begun,
 * nor where the topic was deleted and the group has not taken it back yet.
 */
export class Ownership {
  /** By `<topic>-<partition>`. */
  readonly claims: Map<string, Claim> = new Map()
  readonly #owned = new Map<string, TopicPartition>()
  /** Names of those of which `onAssigned` was told. */
  readonly #told = new Set<string>()
  /** Of these, those of which `onRevoked` was told. */
  readonly #going = new Set<string>()
  readonly #with: OwnershipOptions

  constructor(options: OwnershipOptions) {
    this.#with = options
  }

  get partitions(): TopicPartition[] {
    return [...this.#owned.values()]
  }

  add(partitions: readonly TopicPartition[]): void {
    for (const each of partitions) this.#owned.set(nameOf(each), each)
  }

  /** `onAssigned` is about to be told of them. */
  telling(partitions: readonly TopicPartition[]): void {
    for (const each of partitions) this.#told.add(nameOf(each))
  }

  /** Those of which `onRevoked` is to be told now: once. */
  takeGoing(partitions: readonly TopicPartition[] = this.partitions): readonly TopicPartition[] {
    const going = this.told(partitions).filter((each) => !this.#going.has(nameOf(each)))
    for (const each of going) this.#going.add(nameOf(each))
    return going
  }

  /** Those of which it is to be told that they are gone, as it was told that they came. */
  told(partitions: readonly TopicPartition[] = this.partitions): readonly TopicPartition[] {
    return partitions.filter((each) => this.#told.has(nameOf(each)))
  }

  claimsOf(partitions: readonly TopicPartition[]): Claim[] {
    return partitions.flatMap((each) => this.claims.get(nameOf(each)) ?? [])
  }

  /** Makes a claim on each that has none; it is not read yet. Stops where `isStill` says so. */
  async begin(
    partitions: readonly TopicPartition[],
    isStill: () => boolean,
  ): Promise<readonly Claim[]> {
    const claims: Claim[] = []
    for (const each of partitions) {
      const claim = await this.#claim(each)
      if (!isStill()) return []
      if (claim === undefined) continue
      this.claims.set(claim.name, claim)
      this.#with.reader.add(claim)
      if (claim.isDirty) this.#with.commits.noted(claim)
      claims.push(claim)
    }
    return claims
  }

  async #claim(each: TopicPartition): Promise<Claim | undefined> {
    const { access, options } = this.#with
    const topic = access.findTopic(each.topic)
    const log = topic?.partitions[each.partition]
    if (topic === undefined || log === undefined || !this.#isWithout(each)) return undefined
    const deciding = access.decided(each)
    if (deciding !== undefined) {
      // Its former owner has called for a commit in time: what it comes to is where this one begins.
      await deciding
      return await this.#claim(each)
    }
    const { group, from, autoCommit, isolationLevel } = options
    const committed = access.committed(each)
    const begunAt = access.starts.get(log)
    if (committed === undefined && begunAt !== undefined) {
      return new Claim(topic, log, { position: begunAt, metadata: '', isolationLevel })
    }
    const isNew = access.hasSeenMade(each)
    const start = { group, from, committed, isNew, isolationLevel }
    const claim = new Claim(topic, log, await startOf(log, start))
    if (committed !== undefined || from.kind === 'earliest') return claim
    // Where the next owner begins must not depend on when it comes.
    access.starts.set(log, claim.position)
    if (autoCommit) claim.changes += 1
    return claim
  }

  /** Drops claims on topics that were deleted. Answers with partitions that have no claim and are there: a topic of the same name was made. */
  refresh(): readonly TopicPartition[] {
    for (const claim of [...this.claims.values()]) {
      if (claim.of.gone !== undefined) this.#drop(claim)
    }
    const { access } = this.#with
    return this.partitions.filter(
      (each) =>
        this.#isWithout(each) &&
        access.findTopic(each.topic)?.partitions[each.partition] !== undefined,
    )
  }

  /** Nothing more of them is to be handed out; answers with their claims. */
  withdraw(partitions: readonly TopicPartition[]): Claim[] {
    const claims = this.claimsOf(partitions)
    for (const claim of claims) {
      claim.isRevoking = true
      claim.withdraw()
    }
    return claims
  }

  /** They are not its own any more. */
  release(partitions: readonly TopicPartition[]): void {
    for (const claim of this.claimsOf(partitions)) this.#drop(claim)
    for (const each of partitions) {
      this.#owned.delete(nameOf(each))
      this.#told.delete(nameOf(each))
      this.#going.delete(nameOf(each))
    }
  }

  /** Nothing is its own any more. Answers with the names of those of which something was in hand, or done and not committed. */
  releaseAll(): string[] {
    this.#with.holdings.settle()
    const claims = [...this.claims.values()]
    const unsettled = claims.filter(({ isDirty, pages }) => isDirty || pages.size > 0)
    for (const claim of claims) this.#drop(claim)
    this.#with.holdings.forgetStrays()
    this.#owned.clear()
    this.#told.clear()
    this.#going.clear()
    return unsettled.map(({ name }) => name)
  }

  #drop(claim: Claim): void {
    const { reader, commits, holdings } = this.#with
    this.claims.delete(claim.name)
    reader.remove(claim)
    commits.forget(claim)
    holdings.lose(claim)
  }

  #isWithout(partition: TopicPartition): boolean {
    const name = nameOf(partition)
    return this.#owned.has(name) && !this.claims.has(name)
  }
}

function nameOf({ topic, partition }: TopicPartition): string {
  return `${topic}-${partition}`
}
