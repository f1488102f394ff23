/**
 * A consumer as a member of its group: it joins, takes on what is assigned to it, commits, and hands back.
 *
 * Hand-over. A partition goes from one member to the next in these steps:
 *
 *   1. nothing more of it is handed out, and what is in hand of it is withdrawn
 *   2. what was begun of it ends, and is put down
 *   3. what is done is committed, where the consumer commits by itself
 *   4. `onRevoked` has ended
 *   5. the group is told; it gives the partition to its next owner, which begins at what is committed
 *
 * So a record is in the hands of one member at a time. The commit point is the append of step 3 (see `OffsetStore.commit`): a kill before it leaves
 * the commit before, and what was done since is handed out again; a kill after it leaves nothing to be done again, as members live no longer
 * than their process. A commit that fails does not keep the partition: it is told, and the next owner is handed again what was not committed.
 *
 * A member that was taken for dead leaves out all of these steps: the next owner begins at the last commit, and the member's own commits are
 * refused from then on (`FENCED`), those under way at that moment aside, which were sent before and are appended before any of the next owner's.
 * It joins again when it asks for more.
 */
import { randomUUID } from 'node:crypto'
import { LogError } from '../../errors.ts'
import type { ResolvedConsumerOptions } from '../../options.ts'
import type { ReadPage } from '../../topics/page-decoder.ts'
import type { TopicPartition } from '../../types.ts'
import { asError } from '../../util/error-code.ts'
import { Mutex } from '../../util/mutex.ts'
import type { Joining, MemberListener, Membership } from '../coordinator.ts'
import type { LostReason } from '../group-state.ts'
import type { OffsetCommit } from '../types.ts'
import { AssignedReader } from './assigned-reader.ts'
import type { Claim } from './claim.ts'
import { Commits } from './commits.ts'
import type { GroupAccess, TopicFollower } from './group-access.ts'
import type { HeldPage } from './held-page.ts'
import { Holdings } from './holdings.ts'
import { isIdle } from './idle-claim.ts'
import { Ownership } from './ownership.ts'
import { Pace } from './pace.ts'
import type { PageSource } from './page-source.ts'
import { isThenable } from './run/call.ts'
import type { ConsumerSignals } from './signals.ts'

export class ConsumerMember implements MemberListener, TopicFollower, PageSource<unknown, unknown> {
  readonly reader: AssignedReader
  readonly commits: Commits
  readonly holdings: Holdings
  readonly ownership: Ownership
  readonly #access: GroupAccess
  readonly #options: ResolvedConsumerOptions
  readonly #signals: ConsumerSignals
  readonly #takes = new Mutex()
  /** Callbacks, one after another. */
  readonly #changes = new Mutex()
  #membership: Membership | undefined
  readonly #pace = new Pace()
  /** Counts memberships: what was begun in one is not to go on in the next. */
  #life = 0
  /** What the next `take` rejects with. */
  #failure: unknown
  #hasFailed = false
  /** What was done, or in hand, and not committed when it was lost; to be told by the next commit. */
  readonly #lostNames = new Set<string>()
  #isClosing = false
  /** The last hand-back that has come to its commit and `onRevoked`. */
  #giving: Promise<void> | undefined

  constructor(access: GroupAccess, options: ResolvedConsumerOptions, signals: ConsumerSignals) {
    this.#access = access
    this.#options = options
    this.#signals = signals
    this.reader = new AssignedReader(options)
    this.commits = new Commits({
      clock: access.clock,
      autoCommit: options.autoCommit,
      autoCommitIntervalMs: options.autoCommitIntervalMs,
      settle: () => this.holdings.settle(),
      isIdle: (claim) => isIdle(claim, access),
      write: (commits) => this.#write(commits),
      fenced: (names) => this.fenced(names),
      failed: (error) => access.failed(error),
    })
    this.holdings = new Holdings({
      clock: access.clock,
      readAheadBytes: options.readAheadBytes,
      reader: this.reader,
      commits: this.commits,
      deliveries: access.deliveries,
      emptied: () => this.#emptied(),
    })
    const { reader, commits, holdings } = this
    this.ownership = new Ownership({ access, options, reader, commits, holdings })
  }

  /** By `<topic>-<partition>`. */
  get claims(): ReadonlyMap<string, Claim> {
    return this.ownership.claims
  }

  // ----------------------------------------------------------------------------------- reading

  async take(): Promise<HeldPage | undefined> {
    this.#pace.asks()
    if (this.holdings.isEmpty) this.#idle()
    try {
      return await this.#takes.run(() => this.#take())
    } finally {
      this.#pace.isAnswered()
    }
  }

  async #take(): Promise<HeldPage | undefined> {
    for (;;) {
      if (this.#hasFailed) throw this.#failure
      if (this.#isClosing) return undefined
      const page = await this.#step()
      if (page !== undefined) return page
    }
  }

  /** Undefined where something else is to be done first, or waited for. */
  async #step(): Promise<HeldPage | undefined> {
    if (this.#membership === undefined) {
      // Not before `onLost` has ended.
      await this.#changes.idle()
      if (this.#isAtWork) this.#join()
      return undefined
    }
    if (!this.holdings.hasRoom) {
      await this.holdings.changed()
      return undefined
    }
    const page = await this.reader.take((claim, read) => this.#hold(claim, read))
    const isStill = this.#isAtWork && this.#membership !== undefined
    if (page === undefined && isStill) await this.reader.changed()
    return page
  }

  get #isAtWork(): boolean {
    return !this.#isClosing && !this.#hasFailed
  }

  /** In the same breath in which it was read. */
  #hold(claim: Claim, read: ReadPage): HeldPage | undefined {
    const membership = this.#membership
    if (membership === undefined || this.#isClosing) return undefined
    const page = this.holdings.hold(claim, read)
    if (page === undefined) return undefined
    this.#access.coordinator.busy(membership)
    this.#signals.delivered(page.records.length, page.bytes)
    return page
  }

  #idle(): void {
    if (this.#membership !== undefined) this.#access.coordinator.idle(this.#membership)
  }

  /** Nothing is in hand any more. Who does not ask for more either is late, as one that has records in hand. */
  #emptied(): void {
    if (this.#pace.isAsking) this.#idle()
    else this.#pace.rests(this.#access.clock.now())
  }

  looked(stoodMs: number): void {
    const membership = this.#membership
    if (membership === undefined) return
    const now = this.#access.clock.now()
    membership.busySinceMs = this.#pace.look(now, stoodMs, this.holdings.look(now, stoodMs))
  }

  /** Who hangs in what it is told is late, as one that has records in hand: its partitions would be nobody's for ever. */
  async #awaited(told: unknown): Promise<void> {
    const membership = this.#membership
    if (!isThenable(told) || membership === undefined) return
    this.#pace.isTold(this.#access.clock.now())
    this.#access.coordinator.busy(membership)
    try {
      await told
    } finally {
      this.#pace.hasHeard()
      if (this.holdings.isEmpty) this.#emptied()
    }
  }

  // --------------------------------------------------------------------------------- committing

  /** Rejects with `FENCED` where what was done is not its own any more. */
  async commit(claims?: ReadonlySet<Claim>): Promise<void> {
    if (this.#lostNames.size > 0) {
      const names = [...this.#lostNames].join(', ')
      this.#lostNames.clear()
      throw this.fenced(names)
    }
    await this.commits.commit(claims)
  }

  async #write(commits: readonly OffsetCommit[]): Promise<void> {
    this.requireOwn(commits)
    await this.#access.commit(commits)
    this.#signals.committed(commits)
  }

  /** Throws `FENCED` for what is not its own any more. */
  requireOwn(partitions: readonly TopicPartition[]): void {
    const membership = this.#membership
    for (const { topic, partition } of partitions) {
      const name = `${topic}-${partition}`
      const fence =
        membership === undefined
          ? 'member'
          : this.#access.coordinator.fenceOf(membership, { topic, partition })
      if (fence !== undefined || !this.claims.has(name)) throw this.fenced(name)
    }
  }

  fenced(names: string): LogError {
    const group = JSON.stringify(this.#options.group)
    const message = `${names}: not this consumer's own any more in the group ${group}; nothing was committed`
    return new LogError('FENCED', message)
  }

  // ---------------------------------------------------------------------------------- membership

  #join(): void {
    const { clientId, instanceId, topics, sessionTimeoutMs, maxPollIntervalMs } = this.#options
    const joining: Joining = {
      memberId: `${instanceId ?? clientId}-${randomUUID()}`,
      groupInstanceId: instanceId ?? null,
      clientId,
      topics: this.#access.topicsOf(topics),
      sessionTimeoutMs,
      maxPollIntervalMs,
    }
    this.#life += 1
    this.#signals.memberId = joining.memberId
    this.#membership = this.#access.join(joining, this)
    this.#access.follow(this)
  }

  topicsChanged(): void {
    const membership = this.#membership
    if (membership === undefined) return
    const missing = this.ownership.refresh()
    const { topics } = this.#options
    const hasPattern = topics.some((each) => typeof each !== 'string')
    if (hasPattern) this.#access.coordinator.subscribe(membership, this.#access.topicsOf(topics))
    const life = this.#life
    if (missing.length > 0) this.#change(life, () => this.#begin(missing, life))
  }

  assigned(partitions: readonly TopicPartition[]): void {
    const life = this.#life
    this.ownership.add(partitions)
    this.#change(life, async () => {
      const claims = await this.#begin(partitions, life)
      if (this.#life !== life || !this.#isAtWork) return []
      this.ownership.telling(partitions)
      this.#signals.assigned(partitions)
      await this.#awaited(this.#options.onAssigned?.(partitions))
      return claims
    })
  }

  /** Claims are read when the change that has made them is over. */
  #change(life: number, make: () => Promise<readonly Claim[]>): void {
    void this.#changes.run(async () => {
      try {
        if (this.#life !== life || !this.#isAtWork) return
        for (const claim of await make()) {
          claim.isBegun = true
          this.reader.look(claim)
        }
      } catch (error) {
        if (this.#life === life) this.failed(error)
      }
    })
  }

  #begin(partitions: readonly TopicPartition[], life: number): Promise<readonly Claim[]> {
    return this.ownership.begin(partitions, () => this.#life === life && this.#isAtWork)
  }

  revoked(partitions: readonly TopicPartition[]): void {
    void this.#handBack(partitions, this.#life)
  }

  async #handBack(partitions: readonly TopicPartition[], life: number): Promise<void> {
    this.ownership.withdraw(partitions)
    // What was assigned just before may be about to begin.
    await this.#changes.idle()
    await Promise.all(this.ownership.withdraw(partitions).map((each) => each.whenReleased()))
    await this.#changes.run(() => {
      if (this.#life === life && !this.#isClosing) this.#giving = this.#give(partitions, life)
      return this.#giving
    })
  }

  async #give(partitions: readonly TopicPartition[], life: number): Promise<void> {
    await this.#commitOwn(new Set(this.ownership.claimsOf(partitions)))
    if (this.#life !== life) return
    const going = this.ownership.takeGoing(partitions)
    if (going.length > 0) await this.#tell(() => this.#awaited(this.#options.onRevoked?.(going)))
    const membership = this.#membership
    if (this.#life !== life || membership === undefined) return
    const told = this.ownership.told(partitions)
    if (told.length > 0) this.#signals.revoked(told)
    this.ownership.release(partitions)
    this.#access.coordinator.handBack(membership, partitions)
  }

  lost(_owned: readonly TopicPartition[], reason: LostReason): void {
    // What has been assigned and not been told of goes as it came.
    const partitions = this.ownership.told()
    this.#loseAll()
    this.#signals.lost(partitions, reason)
    if (reason === 'replaced') {
      const group = JSON.stringify(this.#options.group)
      const message = `another consumer has joined the group ${group} with the instanceId ${this.#options.instanceId}`
      this.failed(new LogError('FENCED', message))
    }
    if (partitions.length === 0) return
    void this.#changes.run(() => this.#tell(() => this.#options.onLost?.(partitions)))
  }

  /** It is no member any more. */
  #loseAll(): void {
    this.#life += 1
    this.#membership = undefined
    this.#access.unfollow(this)
    for (const name of this.ownership.releaseAll()) this.#lostNames.add(name)
    this.reader.wake()
  }

  /** The next `take` rejects with it; nothing more is handed out. */
  failed(error: unknown): void {
    if (!this.#hasFailed) this.#failure = error
    this.#hasFailed = true
    this.ownership.withdraw(this.ownership.partitions)
    this.reader.wake()
    this.holdings.wake()
  }

  /** A commit by itself: what it comes to is told, and keeps nobody. */
  async #commitOwn(claims?: ReadonlySet<Claim>): Promise<void> {
    const failed = (error: unknown): void => this.#access.failed(asError(error))
    await this.commits.commitByItself(claims).catch(failed)
  }

  async #tell(call: () => unknown): Promise<void> {
    try {
      await call()
    } catch (error) {
      this.failed(error)
    }
  }

  // -------------------------------------------------------------------------------------- close

  /** Nothing more is handed out, and what is in hand is withdrawn, in this very call. */
  beginClose(): void {
    this.#isClosing = true
    this.ownership.withdraw(this.ownership.partitions)
    this.reader.wake()
    this.holdings.wake()
  }

  /** Commits what is done, where it does so by itself. */
  async commitDone(): Promise<void> {
    if (this.#membership !== undefined) await this.commits.commitByItself()
  }

  /**
   * What is in hand is given up. What is being handed back has its `onRevoked` end first, unless `isOver` comes before: it may be that which closes.
   * Rejects, after it has left, with what the commit or `onRevoked` has come to.
   */
  async leave(isOver: Promise<void>): Promise<void> {
    const failures: unknown[] = []
    const life = this.#life
    await this.commitDone().catch((error: unknown) => failures.push(error))
    await Promise.race([this.#giving, isOver])
    const going = this.#life === life ? this.ownership.takeGoing() : []
    if (going.length > 0) {
      try {
        await this.#options.onRevoked?.(going)
      } catch (error) {
        failures.push(error)
      }
    }
    const membership = this.#membership
    if (this.#life === life && membership !== undefined) {
      const told = this.ownership.told()
      if (told.length > 0) this.#signals.revoked(told)
      this.#loseAll()
      this.#access.coordinator.leave(membership)
    }
    this.commits.end()
    if (failures.length > 0) throw failures[0]
  }
}
