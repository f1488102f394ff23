/**
 * The compaction of a log: which partition is next, one at a time, in the background and when it is asked for; how far each has come; and
 * what has failed. A partition that could not be compacted is put aside, and goes on as before: its records are as they were.
 */
import type { CleanablePart } from '../cleanup/cleanable.ts'
import { dirtyRatio, isWorthCleaning } from '../cleanup/cleanable.ts'
import type { CompactionCounts } from '../cleanup/compactor.ts'
import { compactPartition, describeCleanable, rollWhereDue } from '../cleanup/compactor.ts'
import { Throttle } from '../cleanup/throttle.ts'
import { LogError } from '../errors.ts'
import type { ResolvedCompactOptions, ResolvedLogOptions } from '../options.ts'
import { isCompacted } from '../options.ts'
import type { StorageEnvironment } from '../storage/environment.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import { SyncError } from '../storage/sync-error.ts'
import type { Topic } from '../topics/topic.ts'
import type { PartitionCompaction } from '../types.ts'
import { Deferred } from '../util/deferred.ts'
import { asError, errorCode, isDiskFull } from '../util/error-code.ts'
import { keepAlive, letGo } from '../util/keep-alive.ts'
import { Mutex } from '../util/mutex.ts'
import { closedError } from './refusals.ts'

export interface CompactionOptions {
  readonly environment: StorageEnvironment
  readonly options: Pick<ResolvedLogOptions, 'compactionBytesPerSecond' | 'compactionMapBytes'>
  readonly partitions: () => readonly PartitionLog[]
  /** Writes how far partitions are clean, by `<topic>-<partition>`. */
  readonly writeCheckpoint: (offsets: () => ReadonlyMap<string, number>) => Promise<void>
  /** Told of what fails in the background, once for each time that a partition begins to fail. */
  readonly failed: (error: Error) => void
}

export class Compaction {
  readonly #options: CompactionOptions
  readonly #throttle: Throttle
  readonly #turns = new Mutex()
  readonly #closing = new AbortController()
  /** Offsets up to which partitions are clean. */
  #checkpoint: Map<string, number> = new Map()
  /** Partitions that could not be compacted, and whether it may be tried again. */
  readonly #aside = new Map<string, LogError>()
  #run: Promise<void> | undefined

  constructor(options: CompactionOptions) {
    const { environment, options: limits } = options
    const { compactionBytesPerSecond = Number.POSITIVE_INFINITY } = limits
    this.#options = options
    this.#throttle = new Throttle(environment.clock, compactionBytesPerSecond)
  }

  /** How far the last owner had come; entries that make no sense are found to be so when they are used. */
  begin(checkpoint: ReadonlyMap<string, number>): void {
    this.#checkpoint = new Map(checkpoint)
  }

  /** Partitions that are deleted: new ones of their names are not clean. */
  forget(names: ReadonlySet<string>): void {
    for (const name of names) {
      this.#checkpoint.delete(name)
      this.#aside.delete(name)
    }
  }

  /** Compacts what is worth it, in the background. Resolves when that is done, or sleeps for the sake of its bound of bytes; never rejects. */
  runInBackground(): Promise<void> {
    if (this.#run !== undefined) return Promise.resolve()
    const { ended, paused } = this.#throttle.begin(() => this.#compactWhatIsDirty())
    const run = ended.finally(() => {
      this.#run = undefined
    })
    this.#run = run
    return paused
  }

  /** Compacts partitions of a topic now, clean or not. Rejects with the first failure, after all have been tried. */
  async compact(topic: Topic, options: ResolvedCompactOptions): Promise<PartitionCompaction[]> {
    const { partitions, roll, signal } = options
    if (!isCompacted(topic.config)) {
      throw new TypeError(`${topic.name} is not compacted: its cleanupPolicy is 'delete'`)
    }
    const logs = partitions?.map((number) => topic.partition(number)) ?? [...topic.partitions]
    const done: PartitionCompaction[] = []
    const failures: unknown[] = []
    const { ended } = this.#throttle.begin(async () => {
      for (const log of logs) {
        signal?.throwIfAborted()
        try {
          done.push(await this.#compactNow(log, roll, signal))
        } catch (error) {
          if (signal?.aborted || this.#closing.signal.aborted) throw error
          failures.push(error)
        }
      }
    })
    // It may sleep for its bytes, or behind another one that does, and its caller waits.
    keepAlive()
    await ended.finally(letGo)
    if (failures.length > 0) throw failures[0]
    return done
  }

  /** Ends what is under way. */
  async close(): Promise<void> {
    this.#closing.abort(closedError())
    await this.#run
    await this.#turns.idle()
  }

  // ------------------------------------------------------------------------------- background

  async #compactWhatIsDirty(): Promise<void> {
    for (const { log } of await this.#worthIt()) {
      try {
        await this.#inTurn(log, undefined, async (signal) => {
          const part = await this.#describe(log)
          const { minCleanableDirtyRatio } = log.config
          if (!isWorthCleaning(part, minCleanableDirtyRatio)) return
          await this.#compactPart(log, part, signal)
        })
        this.#aside.delete(log.name)
      } catch (error) {
        this.#putAside(log, error)
      }
    }
  }

  /** By falling dirt. */
  async #worthIt(): Promise<{ readonly log: PartitionLog; readonly ratio: number }[]> {
    const found: { readonly log: PartitionLog; readonly ratio: number }[] = []
    for (const log of this.#options.partitions()) {
      if (this.#closing.signal.aborted) return []
      const aside = this.#aside.get(log.name)
      const isPossible = log.failure === undefined && (aside === undefined || aside.retryable)
      if (!isCompacted(log.config) || !isPossible) continue
      try {
        // A close waits for it: later its files may be another's.
        const part = await log.changes.run(() => this.#look(log))
        if (!isWorthCleaning(part, log.config.minCleanableDirtyRatio)) continue
        found.push({ log, ratio: dirtyRatio(part) })
      } catch (error) {
        this.#putAside(log, error)
      }
    }
    return found.sort((a, b) => b.ratio - a.ratio)
  }

  /** What ends with the log, or with the partition, is no failure; nor is a partition that was closed to writes, which is told as that. */
  #putAside(log: PartitionLog, error: unknown): void {
    const isOver = this.#closing.signal.aborted || errorCode(error) === 'CLOSED'
    if (isOver || log.failure !== undefined) return
    const refusal = refusalOf(log, error)
    const isTold = this.#aside.get(log.name)?.code === refusal.code
    this.#aside.set(log.name, refusal)
    if (!isTold) this.#options.failed(refusal)
  }

  // ------------------------------------------------------------------------------- one partition

  async #compactNow(
    log: PartitionLog,
    roll: boolean,
    callers: AbortSignal | undefined,
  ): Promise<PartitionCompaction> {
    const { clock } = this.#options.environment
    const { topic, partition } = log
    try {
      return await this.#inTurn(log, callers, async (signal) => {
        const startMs = clock.now()
        if (roll) await log.rollNow()
        const part = await this.#describe(log)
        const counts = await this.#compactPart(log, part, signal)
        this.#aside.delete(log.name)
        return { topic, partition, ...counts, durationMs: clock.now() - startMs }
      })
    } catch (error) {
      if (callers?.aborted || errorCode(error) === 'CLOSED') throw error
      throw log.failure ?? refusalOf(log, error)
    }
  }

  /** One partition at a time: each pass takes the memory of a map, and the disk. A caller's signal ends the waiting for it as well. */
  async #inTurn<T>(
    log: PartitionLog,
    callers: AbortSignal | undefined,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const begun = new Deferred<void>()
    const ended = this.#turns.run(() => {
      begun.resolve()
      return log.changes.run(async (closing) => {
        const signals = [this.#closing.signal, closing, ...(callers === undefined ? [] : [callers])]
        const signal = AbortSignal.any(signals)
        signal.throwIfAborted()
        if (log.failure !== undefined) throw log.failure
        return await work(signal)
      })
    })
    // Who gives up has no ears for what his turn, which ends as it begins, would say.
    ended.catch(() => {})
    await unlessAborted(begun.promise, callers)
    return await ended
  }

  async #look(log: PartitionLog): Promise<CleanablePart> {
    await rollWhereDue(log, this.#options.environment)
    return await this.#describe(log)
  }

  #describe(log: PartitionLog): Promise<CleanablePart> {
    return describeCleanable(log, this.#options.environment, this.#checkpoint.get(log.name))
  }

  #compactPart(
    log: PartitionLog,
    part: CleanablePart,
    signal: AbortSignal,
  ): Promise<CompactionCounts> {
    const { environment, options } = this.#options
    return compactPartition(log, environment, {
      range: part,
      mapBytes: options.compactionMapBytes,
      pace: (bytes) => this.#throttle.spend(bytes, signal),
      passed: (endOffset) => this.#passed(log, endOffset),
    })
  }

  /** The checkpoint only saves work: that it cannot be written is told, and it is written the next time. */
  async #passed(log: PartitionLog, endOffset: number): Promise<void> {
    this.#checkpoint.set(log.name, endOffset)
    try {
      await this.#options.writeCheckpoint(() => this.#checkpoint)
    } catch (error) {
      if (!isDiskFull(error)) this.#options.failed(asError(error))
    }
  }
}

/** What a compaction that failed is told as. */
function refusalOf({ name }: PartitionLog, cause: unknown): LogError {
  if (cause instanceof LogError) return cause
  // Of a file that is dropped and written anew also where it was its sync that found no room.
  if (isDiskFull(cause instanceof SyncError ? cause.cause : cause)) {
    const message = `${name} could not be compacted: there is no room on the disk; its records are as they were`
    return new LogError('DISK_FULL', message, { cause, retryable: true })
  }
  const message = `${name} could not be compacted (${asError(cause).message}); its records are as they were`
  return new LogError('COMPACTION_FAILED', message, { cause })
}

/** As `waited`, which never rejects; rejects with the signal's reason where that is given before. */
function unlessAborted(waited: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return waited
  return new Promise((resolve, reject) => {
    const aborted = (): void => reject(signal.reason)
    signal.addEventListener('abort', aborted, { once: true })
    void waited.then(() => {
      signal.removeEventListener('abort', aborted)
      resolve()
    })
    if (signal.aborted) aborted()
  })
}
