import type { AssignmentInput, Assignor, AssignorMember } from './assignor.ts'
import { AssignmentBuilder, sortMembers, subscribersByTopic } from './assignor.ts'

/**
 * As even as the subscriptions allow, and with as few partitions on the move as that takes:
 *
 *   1. each member keeps what it has and may still have
 *   2. what is free goes to the subscriber with the least, topics with the fewest subscribers first
 *   3. while some member can pass a partition on, directly or by a chain of members, to one that has at least two less, it does
 *
 * What no chain can improve is as even as it can be (Harvey, Ladner, Lovász, Tamir: "Semi-matchings for bipartite graphs and load
 * balancing", theorem 3.1). Kafka's assignor of the name only looks at direct moves.
 */
export const stickyAssignor: Assignor = { name: 'sticky', assign: assignSticky }

/** The same as `sticky`: here every change of hands is incremental. Groups that Kafka's clients know by this name keep it. */
export const cooperativeStickyAssignor: Assignor = {
  name: 'cooperative-sticky',
  assign: assignSticky,
}

function assignSticky(input: AssignmentInput): ReturnType<Assignor['assign']> {
  const balance = new Balance(input)
  balance.keepOwned()
  balance.placeFree()
  balance.even()
  return balance.assignment()
}

interface Share {
  readonly member: AssignorMember
  /** By topic. What was its own before stands first, so that the others are passed on first. */
  readonly partitions: Map<string, number[]>
  count: number
}

/** A member that a chain has come to: over which topic, and from whom. */
interface Link {
  readonly share: Share
  readonly topic: string
  readonly from: Link | undefined
}

class Balance {
  readonly #shares: Share[]
  readonly #byTopic = new Map<string, Share[]>()
  readonly #free = new Map<string, Set<number>>()

  constructor({ members, partitionCounts }: AssignmentInput) {
    const sorted = sortMembers(members)
    this.#shares = sorted.map((member) => ({ member, partitions: new Map(), count: 0 }))
    const shareOf = new Map(this.#shares.map((share) => [share.member, share]))
    for (const [topic, subscribers] of subscribersByTopic(sorted, partitionCounts)) {
      const shares = subscribers.map((member) => shareOf.get(member) as Share)
      for (const { partitions } of shares) partitions.set(topic, [])
      this.#byTopic.set(topic, shares)
      this.#free.set(topic, new Set(Array(partitionCounts.get(topic) ?? 0).keys()))
    }
  }

  keepOwned(): void {
    for (const share of this.#shares) {
      for (const { topic, partitions } of share.member.ownedPartitions) {
        if (!share.partitions.has(topic)) continue
        const free = this.#free.get(topic)
        for (const partition of [...partitions].sort((a, b) => a - b)) {
          if (free?.delete(partition)) give(share, topic, partition)
        }
      }
    }
  }

  placeFree(): void {
    const topics = [...this.#byTopic].sort(([, a], [, b]) => a.length - b.length)
    for (const [topic, shares] of topics) {
      for (const partition of this.#free.get(topic) ?? []) give(leastOf(shares), topic, partition)
    }
  }

  /** One partition at a time, from who has the most: so nobody gives up more than it has to, or gets what it could have kept. */
  even(): void {
    for (let hasMoved = true; hasMoved; ) {
      const fullestFirst = [...this.#shares].sort((a, b) => b.count - a.count)
      hasMoved = fullestFirst.some((share) => this.#passOn(share))
    }
  }

  assignment(): ReturnType<AssignmentBuilder['build']> {
    const builder = new AssignmentBuilder(this.#shares.map(({ member }) => member))
    for (const { member, partitions } of this.#shares) {
      for (const [topic, each] of partitions) {
        for (const partition of each) builder.add(member, topic, partition)
      }
    }
    return builder.build()
  }

  #passOn(share: Share): boolean {
    const end = this.#chainFrom(share)
    for (let link = end; link !== undefined; link = link.from) {
      const giver = link.from?.share ?? share
      give(link.share, link.topic, take(giver, link.topic))
    }
    return end !== undefined
  }

  /** The shortest chain to the member with the least in reach; undefined where none has two less. */
  #chainFrom(start: Share): Link | undefined {
    const least = Math.min(...this.#shares.map(({ count }) => count))
    if (least > start.count - 2) return undefined
    let best: Link | undefined
    for (const link of this.#reachFrom(start)) {
      const { count } = link.share
      if (count < (best?.share.count ?? start.count - 1)) best = link
      if (count === least) break
    }
    return best
  }

  /** Who can be passed a partition, the nearest first. */
  *#reachFrom(start: Share): Iterable<Link> {
    const seenTopics = new Set<string>()
    const seen = new Set([start])
    const reached: Link[] = []
    for (let at = -1; at < reached.length; at += 1) {
      const from = reached[at]
      for (const topic of topicsOf(from?.share ?? start)) {
        if (seenTopics.has(topic)) continue
        seenTopics.add(topic)
        for (const share of this.#byTopic.get(topic) ?? []) {
          if (seen.has(share)) continue
          seen.add(share)
          const link = { share, topic, from }
          reached.push(link)
          yield link
        }
      }
    }
  }
}

/** Those of which it has partitions. */
function* topicsOf({ partitions }: Share): Iterable<string> {
  for (const [topic, each] of partitions) if (each.length > 0) yield topic
}

function leastOf(shares: readonly Share[]): Share {
  return shares.reduce((least, share) => (share.count < least.count ? share : least))
}

function give(share: Share, topic: string, partition: number): void {
  share.partitions.get(topic)?.push(partition)
  share.count += 1
}

function take(share: Share, topic: string): number {
  share.count -= 1
  return share.partitions.get(topic)?.pop() as number
}
