/**
 * Appends to one partition, with group commit.
 *
 * A call's records are encoded when it is made. What was encoded in one turn of the event loop is written together, from a
 * microtask; at `disk` also what arrives while a sync is under way, so that the next sync covers all who wait; with `lingerMs` what
 * arrives within it, unless a batch is full before that, or somebody waits for the end of what waits:
 *
 *   1. encode       the batch is in the chunk, its offsets are given in the order of the calls; for compressed ones see `Packing`
 *   2. write        one write of all batches that lie back to back          -> `os` calls are acknowledged
 *   3. index        entries for what now stands in the .log, in memory
 *   4. sync         one fdatasync                                           -> `disk` calls are acknowledged
 *
 * The commit point of an `os` call is the end of 2, of a `disk` call the end of 4. Killed before 2: nothing is there. Within 2:
 * recovery finds whole batches, which stay, and then a part of one, which it cuts; nobody was told of either. Between 2 and 4 the
 * same after a power cut, while a killed process loses nothing. After 4 the batches are on the disk.
 * The high watermark moves with 2 in an `os` topic and with 4 in a `disk` topic, never back.
 *
 * A write that fails for want of room is undone by cutting the file to its size; its calls, and all behind them, fail with
 * `DISK_FULL` and may be tried again. After any other failed write, a failed cut and every failed sync nobody can say what is on
 * the disk: the partition is closed to writes, and readers keep the high watermark that it had.
 */
import type { RecordSet } from '../codec/record-set.ts'
import { LogError } from '../errors.ts'
import type { TopicConfig } from '../types.ts'
import { asError } from '../util/error-code.ts'
import { nextTurn, soon, turnIsLong } from '../util/turn.ts'
import { Admission } from './admission.ts'
import type { AppendCall } from './append-call.ts'
import { settle } from './append-call.ts'
import type { AppendTarget } from './append-target.ts'
import { BatchGatherer } from './batch-gatherer.ts'
import type { StorageEnvironment } from './environment.ts'
import { GroupWriter } from './group-writer.ts'
import { IdleWaiters } from './idle-waiters.ts'
import { Linger } from './linger.ts'
import { LogOffsets } from './log-offsets.ts'
import type { PartitionProducers } from './partition-producers.ts'
import type { PendingBatch } from './pending-batch.ts'
import type { KnownBatch } from './pending-producers.ts'
import type { RecoveredPartition } from './recovery.ts'
import { SyncRounds } from './sync-rounds.ts'
import type { Tail } from './tail.ts'
import { storageFailedError, undoWrite } from './write-failure.ts'
import { isLarge, nextGroup } from './write-group.ts'

const NOTHING: readonly PendingBatch[] = []

export class Appender {
  readonly offsets: LogOffsets
  readonly #target: AppendTarget
  readonly #environment: StorageEnvironment
  readonly #tail: Tail
  readonly #producers: PartitionProducers
  readonly #admission: Admission
  readonly #gatherer: BatchGatherer
  readonly #writer: GroupWriter
  readonly #syncs: SyncRounds
  #config: TopicConfig
  /** Batches taken from the gatherer, being written. */
  #writing: readonly PendingBatch[] = NOTHING
  #isScheduled = false
  #isWriting = false
  /** What is under way while `#isWriting`; never rejects. */
  #work: Promise<void> | undefined
  readonly #idle = new IdleWaiters(() => this.#isIdle())
  readonly #linger: Linger
  /** Calls at `os` are among those that wait: they are not held back by a sync. */
  #hasEagerCalls = false
  #failure: LogError | undefined
  /** Made once: a function made for each call takes a tenth of a microsecond to make and first run. */
  readonly #drainTask = (): void => {
    this.#isScheduled = false
    this.#drain()
  }
  /** In a turn that was waited for it does not ask whether that is long: a loop of answers to others makes each one so before it comes. */
  readonly #lateDrainTask = (): void => {
    this.#isScheduled = false
    this.#drain(true)
  }

  constructor(
    target: AppendTarget,
    environment: StorageEnvironment,
    tail: Tail,
    producers: PartitionProducers,
    config: TopicConfig,
    start: RecoveredPartition,
  ) {
    this.offsets = new LogOffsets(start)
    this.offsets.advance(config.durability)
    this.#target = target
    this.#environment = environment
    this.#tail = tail
    this.#producers = producers
    this.#config = config
    this.#admission = new Admission(
      environment.room,
      (set, call, bytes) => this.#admit(set, call, bytes),
      () => this.#idle.wake(),
    )
    const { codecs, clock } = environment
    this.#linger = new Linger(clock, () => this.#schedule())
    this.#gatherer = new BatchGatherer(target.name, tail, codecs, config, start.logEndOffset)
    const gatherer = this.#gatherer
    gatherer.leaderEpoch = start.epochs.current(start.logEndOffset)
    this.#writer = new GroupWriter(target, environment, gatherer, tail, producers, config)
    this.#syncs = new SyncRounds(target.name, {
      begin: () => ({ file: target.active.file, end: this.offsets.logEndOffset }),
      begun: (round) => clock.track?.(round),
      ended: (end) => this.syncedUpTo(end),
      told: () => this.#drain(),
      failed: (error) => this.fail(error),
    })
  }

  get failure(): LogError | undefined {
    return this.#failure
  }

  configure(config: TopicConfig): void {
    this.#config = config
    this.#gatherer.configure(config)
    this.#writer.config = config
    this.#advance()
  }

  append(set: RecordSet, call: AppendCall): void {
    if (this.#failure !== undefined) {
      call.failed(this.#failure)
      return
    }
    this.#admission.enter(set, call, BatchGatherer.bound(set, call))
    // It may be waiting for the room that they hold who wait for it.
    if (this.#linger.isOn) this.#schedule()
  }

  /** Resolves when all that is written is on the disk; answers with the offset below which it is. */
  async sync(): Promise<number> {
    if (this.#failure !== undefined) throw this.#failure
    if (this.offsets.syncedOffset < this.offsets.logEndOffset) await this.#syncs.round()
    return this.offsets.syncedOffset
  }

  /** Resolves when all calls made so far are written, or have failed; those that come meanwhile do not matter. */
  async written(): Promise<void> {
    this.#hurry()
    await this.#environment.room.passed()
    const end = this.#gatherer.nextOffset
    this.#hurry()
    // A failure takes the offsets back that it had given.
    while (this.offsets.logEndOffset < end && this.#gatherer.nextOffset >= end) {
      await (this.#work ?? nextTurn())
    }
  }

  /** Waits for all calls made so far, then runs `seal`. Calls that come later are refused. */
  close(seal: () => Promise<void>): Promise<void> {
    return this.exclusively(async () => {
      try {
        await this.#syncs.settled()
        await seal()
      } finally {
        this.#failure ??= new LogError('CLOSED', `${this.#target.name}: the log is closed`)
        // Those that came meanwhile.
        this.#failPending(this.#failure)
      }
    })
  }

  /** Runs `section` while nothing is written: for rolls that are asked for, and for the close. */
  async exclusively<T>(section: () => Promise<T>): Promise<T> {
    const idle = this.#idle.reach(() => {
      this.#isWriting = true
    })
    this.#schedule()
    await idle
    try {
      if (this.#failure !== undefined) throw this.#failure
      return await section()
    } finally {
      this.#endWriting()
    }
  }

  /** The partition takes no more records; those that wait fail. */
  fail(cause: unknown): LogError {
    if (this.#failure !== undefined) return this.#failure
    const error = storageFailedError(this.#target.name, cause)
    this.#failure = error
    this.#failPending(error)
    this.#syncs.fail(error)
    this.#target.failed(error)
    this.#idle.wake()
    return error
  }

  /** All below `offset` is on the disk; told by a roll as well, which syncs the segment that it ends. */
  syncedUpTo(offset: number): void {
    if (offset <= this.offsets.syncedOffset) return
    this.offsets.syncedOffset = offset
    this.#advance()
  }

  #advance(): void {
    if (this.#failure !== undefined) return
    if (this.offsets.advance(this.#config.durability)) this.#target.advanced()
  }

  // ------------------------------------------------------------------------------------ encode

  #admit(set: RecordSet, call: AppendCall, bytes: number): void {
    const { room, clock } = this.#environment
    const gatherer = this.#gatherer
    if (this.#failure !== undefined) {
      room.release(bytes)
      call.failed(this.#failure)
      return
    }
    const { producer } = call
    try {
      const sequence =
        producer === undefined ? -1 : this.#producers.judge(call, producer, set.values.length)
      if (typeof sequence === 'object') {
        room.release(bytes)
        this.#repeated(call, sequence)
        return
      }
      if (call.expectedOffset !== -1 && call.expectedOffset !== gatherer.nextOffset) {
        room.release(bytes)
        this.#conflict(call)
        return
      }
      if (producer === undefined) gatherer.add(set, call, clock.now(), bytes)
      else {
        const own = { ...producer, baseSequence: sequence }
        this.#producers.admitted(gatherer.addOwn(set, call, clock.now(), bytes, own), own, call)
      }
    } catch (error) {
      room.release(bytes)
      call.failed(asError(error))
      return
    }
    if (call.durability === 'os') this.#hasEagerCalls = true
    if (this.#config.lingerMs > 0) this.#linger.begin(this.#config.lingerMs)
    this.#schedule()
  }

  /** Its records were brought before: it is answered as they were, once they are written at the level that it asks for. */
  #repeated(call: AppendCall, { batch, lastOffset }: KnownBatch): void {
    if (batch !== undefined) {
      batch.add(call)
      if (call.durability === 'os') this.#hasEagerCalls = true
      this.#schedule()
    } else if (lastOffset < this.offsets.syncedOffset) settle(this.#target.name, call)
    else this.#settle(call)
    this.#syncs.start()
  }

  /** Judged after all calls before it: it fails with them, and is told of the conflict once they are acknowledged. */
  #conflict(call: AppendCall): void {
    call.conflictAt = this.#gatherer.nextOffset
    const before = this.#gatherer.last ?? this.#writing.at(-1)
    if (before === undefined) this.#syncs.addBehind(call)
    else before.add(call)
  }

  // ------------------------------------------------------------------------------------- write

  #schedule(): void {
    if (this.#isScheduled || this.#isWriting) return
    if (this.#syncs.isRunning && !this.#hasEagerCalls && this.#idle.isEmpty) return
    if (this.#linger.isOn && this.#mayLinger()) return
    this.#isScheduled = true
    soon(this.#drainTask)
  }

  #mayLinger(): boolean {
    return !this.#gatherer.hasFull && this.#admission.waiting === 0 && this.#idle.isEmpty
  }

  /** Nobody is to be waited for any more. */
  #hurry(): void {
    this.#linger.end()
    if (!this.#gatherer.isEmpty) this.#schedule()
  }

  /** Writes what waits, at once where it can be; the rest goes on asynchronously. In a long turn all of it waits for the next. */
  #drain(hasWaited = false): void {
    if (this.#isWriting || this.#failure !== undefined) return
    if (this.#linger.isOn && this.#mayLinger()) return
    if (!hasWaited && turnIsLong()) {
      this.#isScheduled = true
      setImmediate(this.#lateDrainTask)
      return
    }
    this.#hasEagerCalls = false
    this.#linger.end()
    this.#writing = this.#gatherer.take()
    try {
      for (;;) {
        const group = this.#writer.groupForNow(this.#writing)
        if (group === undefined) break
        this.#writer.writeNow(group)
        this.#wrote(group)
        if (this.#writing.length === 0 || turnIsLong()) break
      }
    } catch (error) {
      this.#goOn(this.#undo(error))
      return
    }
    if (this.#writing.length > 0) this.#goOn(this.#drainSlowly())
    else this.#idle.wake()
  }

  /** `work` never rejects: every failure is told to the calls that it concerns. */
  #goOn(work: Promise<void>): void {
    this.#isWriting = true
    this.#environment.clock.track?.(work)
    this.#work = work.then(() => this.#endWriting())
  }

  async #drainSlowly(): Promise<void> {
    try {
      while (this.#writing.length > 0) {
        if (turnIsLong()) await nextTurn()
        await this.#writer.makeReady(() => this.#writing)
        const { file } = this.#target.active
        // Another partition's file may have closed this one, up to this very moment.
        while (!file.isReady()) await file.ready()
        const group = nextGroup(this.#writing, this.#target.active, this.#config)
        if (isLarge(group)) await this.#writer.writeLater(group)
        else this.#writer.writeNow(group)
        // Where all that waited has failed meanwhile, or the partition has, the calls have been told so.
        if (group.length > 0 && this.#failure === undefined) this.#wrote(group)
      }
    } catch (error) {
      await this.#undo(error)
    }
  }

  #wrote(group: readonly PendingBatch[]): void {
    const { appended } = this.#target
    const before = this.offsets.logEndOffset
    let bytes = 0
    let roomBytes = 0
    let markers = 0
    let failure: unknown
    for (const batch of group) {
      try {
        this.#writer.wrote(batch)
      } catch (error) {
        failure ??= error
      }
      if (batch.ending !== undefined) markers += 1
      bytes += batch.sizeBytes
      roomBytes += batch.roomBytes
      this.offsets.logEndOffset = batch.nextOffset
    }
    appended.records += this.offsets.logEndOffset - before - markers
    appended.bytes += bytes
    this.#writing =
      group.length === this.#writing.length ? NOTHING : this.#writing.slice(group.length)
    this.#tail.trim()
    this.#environment.unsynced.appended(this.#target, bytes, this.#config.flushIntervalMs)
    this.#advance()
    for (const batch of group) for (const call of batch.calls) this.#settle(call)
    this.#syncs.start()
    this.#environment.room.release(roomBytes)
    if (failure !== undefined) this.fail(failure)
  }

  #settle(call: AppendCall): void {
    if (call.conflictAt !== -1) this.#syncs.addBehind(call)
    else if (call.durability === 'os') call.acknowledged()
    else this.#syncs.add(call)
  }

  /** After a failed write: cuts off what it left if there is merely no room, else stops. */
  async #undo(error: unknown): Promise<void> {
    if (this.#failure !== undefined) return
    const { active, name } = this.#target
    const outcome = await undoWrite(active, name, error)
    if ('refused' in outcome) this.#failPending(outcome.refused)
    else this.fail(outcome.failed)
  }

  #failPending(error: LogError): void {
    const failed = [...this.#writing, ...this.#gatherer.drop()]
    this.#writing = NOTHING
    this.#hasEagerCalls = false
    this.#linger.end()
    this.#gatherer.resetTo(this.offsets.logEndOffset)
    this.#producers.dropPending()
    let roomBytes = 0
    for (const batch of failed) {
      batch.abandon()
      roomBytes += batch.roomBytes
      for (const call of batch.calls) call.failed(error)
    }
    this.#environment.room.release(roomBytes)
  }

  #endWriting(): void {
    this.#isWriting = false
    this.#work = undefined
    if (!this.#gatherer.isEmpty) this.#schedule()
    this.#idle.wake()
  }

  #isIdle(): boolean {
    const isWaiting = this.#admission.waiting > 0 || !this.#gatherer.isEmpty
    return !isWaiting && this.#writing.length === 0 && !this.#isWriting
  }
}
