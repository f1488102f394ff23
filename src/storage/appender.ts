/**
 * Appends to one partition, with group commit.
 *
 * A call's records are encoded when it is made. What was encoded in one turn of the event loop is written together, from a
 * microtask; at `disk` also what arrives while a sync is under way, so that the next sync covers all who wait:
 *
 *   1. encode       the batch is in the chunk, its offsets are given in the order of the calls
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
import { asError, isDiskFull } from '../util/error-code.ts'
import { nextTurn, soon, turnIsLong } from '../util/turn.ts'
import type { AppendCall } from './append-call.ts'
import { settle } from './append-call.ts'
import type { PendingBatch } from './batch-gatherer.ts'
import { BatchGatherer } from './batch-gatherer.ts'
import type { Flushable, StorageEnvironment } from './environment.ts'
import type { Segment } from './segment.ts'
import { SyncRounds } from './sync-rounds.ts'
import type { Tail } from './tail.ts'

/** Up to this size a write is made at once; a larger one goes to the thread pool. */
const SYNC_WRITE_BYTES = 512 * 1024

/** What the appender needs of its partition. */
export interface AppendTarget extends Flushable {
  readonly active: Segment
  /** Syncs the active segment and starts an empty one at `baseOffset`. */
  roll(baseOffset: number): Promise<void>
  /** What has to be done before the next write; undefined: nothing. Rejects where it cannot be done. */
  prepare(): Promise<void> | undefined
  /** The high watermark has moved. */
  advanced(): void
  /** The partition is closed to writes. */
  failed(error: Error): void
}

export class Appender {
  readonly #target: AppendTarget
  readonly #environment: StorageEnvironment
  readonly #tail: Tail
  readonly #gatherer: BatchGatherer
  readonly #syncs: SyncRounds
  #config: TopicConfig
  #logEndOffset: number
  #syncedOffset: number
  #highWatermark: number
  /** Batches taken from the gatherer, being written. */
  #writing: PendingBatch[] = []
  #isScheduled = false
  #isWriting = false
  #idleWaiters: (() => void)[] = []
  /** Calls at `os` are among those that wait: they are not held back by a sync. */
  #hasEagerCalls = false
  #failure: LogError | undefined

  constructor(
    target: AppendTarget,
    environment: StorageEnvironment,
    tail: Tail,
    config: TopicConfig,
    logEndOffset: number,
  ) {
    this.#target = target
    this.#environment = environment
    this.#tail = tail
    this.#config = config
    this.#gatherer = new BatchGatherer(target.name, tail, config, logEndOffset)
    this.#syncs = new SyncRounds(target.name, {
      begin: () => ({ file: target.active.file, end: this.#logEndOffset }),
      ended: (end) => this.#synced(end),
      failed: (error) => this.fail(error),
    })
    this.#logEndOffset = logEndOffset
    this.#syncedOffset = logEndOffset
    this.#highWatermark = logEndOffset
  }

  /** The next offset to be written. */
  get logEndOffset(): number {
    return this.#logEndOffset
  }

  /** Everything below is on the disk. */
  get syncedOffset(): number {
    return this.#syncedOffset
  }

  /** Where readers stop. */
  get highWatermark(): number {
    return this.#highWatermark
  }

  get failure(): LogError | undefined {
    return this.#failure
  }

  set leaderEpoch(epoch: number) {
    this.#gatherer.leaderEpoch = epoch
  }

  configure(config: TopicConfig): void {
    this.#config = config
    this.#gatherer.configure(config)
    this.#advance()
  }

  append(set: RecordSet, call: AppendCall): void {
    if (this.#failure !== undefined) return call.failed(this.#failure)
    const { room } = this.#environment
    const bytes = BatchGatherer.bound(set)
    if (room.tryTake(bytes)) return this.#admit(set, call, bytes)
    const { signal } = call
    const takeBack = room.wait(bytes, () => {
      signal?.removeEventListener('abort', onAbort)
      this.#admit(set, call, bytes)
    })
    function onAbort(): void {
      if (takeBack()) call.failed(asError(signal?.reason))
    }
    signal?.addEventListener('abort', onAbort, { once: true })
  }

  /** Resolves when all that is written is on the disk; answers with the offset below which it is. */
  async sync(): Promise<number> {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#syncedOffset < this.#logEndOffset) await this.#syncs.round()
    return this.#syncedOffset
  }

  /** Resolves when nothing waits to be written any more, and nothing is being written. */
  async written(): Promise<void> {
    while (!this.#isIdle()) {
      await new Promise<void>((resolve) => {
        this.#idleWaiters.push(resolve)
        this.#schedule()
      })
    }
  }

  /** Runs `section` while nothing is written: for rolls and deletions that are asked for. */
  async exclusively<T>(section: () => Promise<T>): Promise<T> {
    while (!this.#isIdle()) await this.written()
    this.#isWriting = true
    try {
      return await section()
    } finally {
      this.#endWriting()
    }
  }

  /** The partition takes no more records; those that wait fail. */
  fail(cause: unknown): LogError {
    if (this.#failure !== undefined) return this.#failure
    const reason = asError(cause).message
    const error = new LogError(
      'STORAGE_FAILED',
      `${this.#target.name}: a write or sync failed (${reason}); writes have stopped until the log is opened again`,
      { cause },
    )
    this.#failure = error
    this.#failPending(error)
    this.#syncs.fail(error)
    this.#target.failed(error)
    this.#wakeIdle()
    return error
  }

  // ------------------------------------------------------------------------------------ encode

  #admit(set: RecordSet, call: AppendCall, bytes: number): void {
    const { room, clock } = this.#environment
    const gatherer = this.#gatherer
    if (this.#failure !== undefined) {
      room.release(bytes)
      return call.failed(this.#failure)
    }
    if (call.expectedOffset !== -1 && call.expectedOffset !== gatherer.nextOffset) {
      room.release(bytes)
      return this.#conflict(call)
    }
    try {
      gatherer.add(set, call, clock.now(), bytes)
    } catch (error) {
      room.release(bytes)
      return call.failed(asError(error))
    }
    if (call.durability === 'os') this.#hasEagerCalls = true
    this.#schedule()
  }

  /** Judged after all calls before it: it fails with them, and is told of the conflict once they are acknowledged. */
  #conflict(call: AppendCall): void {
    call.conflictAt = this.#gatherer.nextOffset
    const before = this.#gatherer.last ?? this.#writing.at(-1)
    if (before === undefined) settle(this.#target.name, call)
    else before.calls.push(call)
  }

  // ------------------------------------------------------------------------------------- write

  #schedule(): void {
    if (this.#isScheduled || this.#isWriting) return
    if (this.#syncs.isRunning && !this.#hasEagerCalls && this.#idleWaiters.length === 0) return
    this.#isScheduled = true
    soon(() => {
      this.#isScheduled = false
      this.#drain()
    })
  }

  /** Writes what waits, at once where it can be; the rest goes on asynchronously. */
  #drain(): void {
    if (this.#isWriting || this.#failure !== undefined) return
    this.#hasEagerCalls = false
    this.#writing = this.#gatherer.take()
    try {
      while (this.#writing.length > 0) {
        if (!this.#canWriteNow()) {
          this.#isWriting = true
          // Never rejects: every failure is told to the calls that it concerns.
          void this.#drainSlowly()
          return
        }
        this.#writeGroup(this.#nextGroup())
      }
    } catch (error) {
      this.#isWriting = true
      void this.#undo(error).then(() => this.#endWriting())
      return
    }
    this.#wakeIdle()
  }

  async #drainSlowly(): Promise<void> {
    try {
      while (this.#writing.length > 0) {
        if (turnIsLong()) await nextTurn()
        await this.#makeReady()
        const group = this.#nextGroup()
        if (sizeOf(group) <= SYNC_WRITE_BYTES) this.#writeGroup(group)
        else await this.#writeLargeGroup(group)
      }
    } catch (error) {
      await this.#undo(error)
    }
    this.#endWriting()
  }

  /** What has to be done before the first batch that waits can be written: repair, room for a handle, a roll. */
  async #makeReady(): Promise<void> {
    const { unsynced } = this.#environment
    await this.#target.prepare()
    if (unsynced.isFull()) await unsynced.flushed()
    await this.#target.active.file.ready()
    const first = this.#writing[0]
    if (first === undefined || !this.#mustRollBefore(first)) return
    await this.#target.roll(first.baseOffset)
    await this.#target.active.file.ready()
  }

  #canWriteNow(): boolean {
    const first = this.#writing[0]
    if (first === undefined || turnIsLong()) return false
    if (this.#target.prepare() !== undefined || this.#environment.unsynced.isFull()) return false
    if (!this.#target.active.file.isReady() || this.#mustRollBefore(first)) return false
    return sizeOf(this.#nextGroup()) <= SYNC_WRITE_BYTES
  }

  #mustRollBefore(batch: PendingBatch): boolean {
    const { active } = this.#target
    const lastOffset = batch.nextOffset - 1
    return active.isFullFor(batch.sizeBytes, lastOffset, batch.maxTimestamp, this.#config)
  }

  /** The batches from the first on that lie back to back in memory and go into the active segment. */
  #nextGroup(): PendingBatch[] {
    let size = this.#target.active.sizeBytes
    let last: PendingBatch | undefined
    let count = 0
    for (const batch of this.#writing) {
      if (last !== undefined) {
        if (batch.chunk !== last.chunk || batch.start !== last.end) break
        if (size + batch.sizeBytes > this.#config.segmentBytes) break
        if (this.#mustRollBefore(batch)) break
      }
      size += batch.sizeBytes
      last = batch
      count += 1
    }
    return count === this.#writing.length ? this.#writing : this.#writing.slice(0, count)
  }

  #writeGroup(group: readonly PendingBatch[]): void {
    const first = group[0]
    if (first === undefined) return
    const { file, sizeBytes } = this.#target.active
    file.writeSync(first.chunk.buffer, first.start, sizeOf(group), sizeBytes)
    this.#wrote(group)
  }

  async #writeLargeGroup(group: readonly PendingBatch[]): Promise<void> {
    const first = group[0]
    if (first === undefined) return
    const { file, sizeBytes } = this.#target.active
    await file.write(first.chunk.buffer, first.start, sizeOf(group), sizeBytes)
    // Where the partition failed meanwhile, the calls have been told so.
    if (this.#failure === undefined) this.#wrote(group)
  }

  #wrote(group: readonly PendingBatch[]): void {
    const { active } = this.#target
    let bytes = 0
    let roomBytes = 0
    for (const batch of group) {
      const position = active.sizeBytes
      const { sizeBytes, nextOffset, maxTimestamp } = batch
      active.appended({ position, sizeBytes, lastOffset: nextOffset - 1, maxTimestamp })
      this.#tail.wrote(batch.chunk, active, position, batch)
      batch.chunk.unwritten -= 1
      bytes += sizeBytes
      roomBytes += batch.roomBytes
      this.#logEndOffset = nextOffset
    }
    this.#writing = group.length === this.#writing.length ? [] : this.#writing.slice(group.length)
    this.#tail.trim()
    this.#environment.unsynced.appended(this.#target, bytes, this.#config.flushIntervalMs)
    this.#advance()
    for (const batch of group) {
      for (const call of batch.calls) {
        if (call.durability === 'os') settle(this.#target.name, call)
        else this.#syncs.add(call)
      }
    }
    this.#syncs.start()
    this.#environment.room.release(roomBytes)
  }

  /** After a failed write: cuts off what it left if there is merely no room, else stops. */
  async #undo(error: unknown): Promise<void> {
    if (this.#failure !== undefined) return
    const isRefusal = error instanceof LogError && error.retryable
    if (!isRefusal && !isDiskFull(error)) {
      this.fail(error)
      return
    }
    const { active, name } = this.#target
    try {
      await active.file.truncate(active.sizeBytes)
    } catch (cutError) {
      this.fail(cutError)
      return
    }
    this.#failPending(isRefusal ? error : diskFullError(name, error))
  }

  #failPending(error: LogError): void {
    const failed = [...this.#writing, ...this.#gatherer.take()]
    this.#writing = []
    this.#hasEagerCalls = false
    this.#gatherer.resetTo(this.#logEndOffset)
    let roomBytes = 0
    for (const batch of failed) {
      batch.chunk.unwritten -= 1
      roomBytes += batch.roomBytes
      for (const call of batch.calls) call.failed(error)
    }
    this.#environment.room.release(roomBytes)
  }

  #endWriting(): void {
    this.#isWriting = false
    if (!this.#gatherer.isEmpty) this.#schedule()
    this.#wakeIdle()
  }

  #isIdle(): boolean {
    return this.#gatherer.isEmpty && this.#writing.length === 0 && !this.#isWriting
  }

  #wakeIdle(): void {
    if (this.#idleWaiters.length === 0 || !this.#isIdle()) return
    const waiters = this.#idleWaiters
    this.#idleWaiters = []
    for (const wake of waiters) wake()
  }

  // -------------------------------------------------------------------------------------- sync

  /** All below `offset` is on the disk; told by a roll as well, which syncs the segment that it ends. */
  syncedUpTo(offset: number): void {
    if (offset <= this.#syncedOffset) return
    this.#syncedOffset = offset
    this.#advance()
  }

  #synced(end: number): void {
    this.syncedUpTo(end)
    // First the next round, then those who wait: the disk works while they go on.
    if (!this.#gatherer.isEmpty) this.#drain()
  }

  #advance(): void {
    const visible = this.#config.durability === 'os' ? this.#logEndOffset : this.#syncedOffset
    if (visible <= this.#highWatermark || this.#failure !== undefined) return
    this.#highWatermark = visible
    this.#target.advanced()
  }
}

/** The `DISK_FULL` that a refused write is told as. */
export function diskFullError(where: string, cause: unknown): LogError {
  const message = `${where}: there is no room on the disk; nothing was written`
  return new LogError('DISK_FULL', message, { cause, retryable: true })
}

function sizeOf(group: readonly PendingBatch[]): number {
  const first = group[0]
  const last = group[group.length - 1]
  return first === undefined || last === undefined ? 0 : last.end - first.start
}
