/**
 * One writer a data directory.
 *
 *   brokerless.lock                    L: the lock; its token names the owner
 *   brokerless.lock.<token>.own        a contender's own record, written and synced before it gets any other name
 *   brokerless.lock.<token>.next       a second name of the same, about to be renamed over something dead
 *   brokerless.lock.<dead token>       a claim: the right to replace or remove the file that holds that token
 *   brokerless.lock.<token>.release    a claim on a claim that an owner made on itself to release its lock
 *   brokerless.lock.spare              room for a record on a full disk
 *   .lock                              Kafka's lock file: flock and fcntl, where there are such locks
 *
 * Steps. (1) Write and sync one's own record T. (2) Link it to L: done, where L did not exist. (3) Else read L, which holds X. Unless X is
 * dead, refuse. (4) Link T to the claim on X. If that exists and its maker C is alive, refuse: C is about to hold L. If C is dead, do (4) and
 * (5) with the claim in the place of L and C in the place of X. (5) With the claim on X in hand read L again. If it still holds X, rename T
 * over it, else give the claim up and begin again at (2). The commit points are the link of (2) and the rename of (5), each atomic.
 *
 * Why two never both win. A token is never used twice, and a dead one never comes back to L. While L holds X, only the owner of the claim on
 * X may replace it, and there is one, as link makes a name for one caller only. It keeps the claim from before its second look at L until
 * after its rename, for a claim is taken from a dead owner only, and a process that is merely slow or stopped is not dead. So nothing comes
 * between that look and that rename. One that read L long ago, and wakes up after others have replaced X, may well get a claim on X, as
 * the name is free again; its second look finds another token than X, and it renames nothing. The same holds for a claim on a claim.
 * The owner itself releases L by way of the claim on its own token, so that it cannot remove the lock of one who is just breaking it. It stays
 * between its second look at L and the removal while it lives: a claim that holds the very token it is on is taken from an owner that is dead, or by a
 * `breakLock` that names this release (`<token>.release`), not by one that names the lock, since its caller cannot have known of the release.
 * Last, who wins reads L once more: its content alone decides.
 *
 * A crash leaves: after (1) an `.own` file, harmless; after (2) or (5) a lock that is dead with its owner; after (4) a dead claim, which the
 * next one replaces. Who wins removes such leftovers of dead processes (not the claims on its own token). A racer whose leftover-like
 * file was half written then, or whose claim was just replaced, finds its file missing and begins again; with L alive nobody can win by any
 * claim that is left. An inode that was ever visible as lock or claim is not written again, save the one byte that tells of `.lock`.
 *
 * Who is dead: see `judge`. Where that cannot be told, the lock on `.lock` decides, if the record says that its owner has it (it says so only
 * after it got it): who can take it there has proved the owner's death. Where that fails too, the lock counts as held until
 * `breakLock` names its token, which is the caller's word that its owner is gone.
 */
import { randomBytes } from 'node:crypto'
import path from 'node:path'
import createDebug from 'debug'
import type { LockHolder } from '../errors.ts'
import { DirectoryLockedError, LogError } from '../errors.ts'
import type { Clock, FileLock, FileSystem } from '../types.ts'
import { isDiskFull } from '../util/error-code.ts'
import { KAFKA_LOCK } from './file-names.ts'
import { nodeProcessFacts } from './file-system.ts'
import { LockFiles } from './lock-files.ts'
import type { LockRecord, ProcessFacts } from './lock-record.ts'
import { encodeRecord, judge, markFlock, sharesFlock } from './lock-record.ts'

const debug = createDebug('brokerless:storage')

/** Each further attempt means that another process has moved on meanwhile. */
const MAX_ATTEMPTS = 100
/** Dead claims on dead claims: one more for each process killed within this file's few milliseconds. */
const MAX_CLAIM_DEPTH = 32

/**
 * `own`: its owner was found dead here. `inherited`: that cannot be told from here, but somebody made a claim on it, and so could; such a claim
 * may be taken from a dead maker, never made.
 */
type Right = 'own' | 'inherited'

export interface DirectoryLockOptions {
  readonly clock: Clock
  /** Token of a lock whose owner is known to be gone, though that cannot be judged from here. */
  readonly breakLock?: string | undefined
  /** Default: those of this machine. */
  readonly facts?: ProcessFacts | undefined
}

/** The right to write to a data directory. */
export interface DirectoryLock {
  readonly token: string
  /** `.lock` is held too, so that a Kafka broker is kept out. */
  readonly flock: boolean
  /** Gives the directory free; safe to call twice. */
  release(): Promise<void>
}

/**
 * Takes the lock of an existing directory, without waiting.
 * @throws {DirectoryLockedError} somebody else holds it, or may hold it.
 * @throws {LogError} `DISK_FULL`: there is not even room for a lock file, and no spare one.
 */
export async function lockDirectory(
  fileSystem: FileSystem,
  directory: string,
  options: DirectoryLockOptions,
): Promise<DirectoryLock> {
  const contender = new Contender(fileSystem, directory, options)
  try {
    await contender.win()
    await contender.lockAgainstKafka()
  } catch (error) {
    await contender.giveUp()
    throw isDiskFull(error) ? noRoom(directory, error) : error
  }
  await contender.cleanUp()
  return contender
}

function noRoom(directory: string, cause: unknown): LogError {
  const message = `${directory}: there is no room for a lock file`
  return new LogError('DISK_FULL', message, { cause, retryable: true })
}

class Contender implements DirectoryLock {
  readonly token: string = randomBytes(16).toString('hex')
  readonly #fileSystem: FileSystem
  readonly #directory: string
  readonly #files: LockFiles
  readonly #facts: ProcessFacts
  readonly #since: number
  readonly #breakLock: string | undefined
  readonly #claims = new Set<string>()
  #kafkaLock: FileLock | undefined
  #released: Promise<void> | undefined

  constructor(fileSystem: FileSystem, directory: string, options: DirectoryLockOptions) {
    this.#fileSystem = fileSystem
    this.#directory = directory
    this.#files = new LockFiles(fileSystem, directory, this.token)
    const facts = options.facts ?? nodeProcessFacts
    const self = facts.self()
    this.#facts = { self: () => self, startTimeOf: (pid) => facts.startTimeOf(pid) }
    this.#since = options.clock.now()
    this.#breakLock = options.breakLock
  }

  get flock(): boolean {
    return this.#kafkaLock !== undefined
  }

  // ---------------------------------------------------------------------------------- taking it

  async win(): Promise<void> {
    const { lockPath } = this.#files
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      const current = this.#files.read(lockPath)
      const right = current && (await this.#rightTo(lockPath, current))
      await this.#writeOwn()
      const taken =
        current === undefined || right === undefined
          ? await this.#files.link(lockPath)
          : await this.#replace(lockPath, current, right, 0)
      if (!taken) continue
      if (this.#files.read(lockPath)?.token !== this.token) break
      await this.#files.removeOwn()
      return
    }
    const message = `${this.#directory}: other processes are taking the lock`
    throw new DirectoryLockedError(message, undefined, undefined)
  }

  async #writeOwn(): Promise<void> {
    try {
      await this.#files.writeOwn(encodeRecord(this.token, this.#since, this.#facts.self()))
    } catch (error) {
      // Another contender may have taken the spare, and the lock with it: then that is the reason to give.
      const current = this.#files.read(this.#files.lockPath)
      if (isDiskFull(error) && current) await this.#rightTo(this.#files.lockPath, current)
      throw error
    }
  }

  /** Steps (4) and (5) of the header: true if `target` held `dead` and now holds our own record. */
  async #replace(target: string, dead: LockRecord, right: Right, depth: number): Promise<boolean> {
    const claim = this.#files.claimOn(target, dead)
    if (right === 'inherited' || !(await this.#files.link(claim))) {
      const maker = this.#files.read(claim)
      if (maker === undefined || depth === MAX_CLAIM_DEPTH) return false
      const rightToClaim = await this.#rightTo(claim, maker)
      if (!(await this.#replace(claim, maker, rightToClaim, depth + 1))) return false
    }
    this.#claims.add(claim)
    const stillDead = this.#files.read(target)?.token === dead.token
    const replaced = stillDead && (await this.#files.renameOver(target))
    await this.#files.unlink(claim)
    this.#claims.delete(claim)
    return replaced
  }

  // ------------------------------------------------------------------------------------ judging

  /** Refuses unless the owner of `record`, read from `file`, counts as dead. */
  async #rightTo(file: string, record: LockRecord): Promise<Right> {
    const verdict = judge(record, this.#facts)
    const broken = this.#breakLock === this.#files.nameOf(file, record)
    if (verdict === 'dead') return 'own'
    if (verdict === 'alive' && !broken) throw this.#refusal(file, record, verdict)
    if (sharesFlock(record, this.#facts)) {
      const kafkaLock = await this.#lockKafkaFile()
      if (kafkaLock === 'taken') return 'own'
      if (kafkaLock === 'held') throw this.#refusal(file, record, 'alive')
    }
    if (broken) return 'own'
    if (this.#files.read(this.#files.claimOn(file, record)) === undefined)
      throw this.#refusal(file, record, verdict)
    return 'inherited'
  }

  async #lockKafkaFile(): Promise<'taken' | 'held' | 'unavailable'> {
    if (this.#kafkaLock !== undefined) return 'taken'
    const result = await this.#fileSystem.lock(path.join(this.#directory, KAFKA_LOCK))
    if (typeof result === 'string') return result
    this.#kafkaLock = result
    return 'taken'
  }

  #refusal(file: string, record: LockRecord, verdict: 'alive' | 'unknown'): DirectoryLockedError {
    const { holder: process, since } = record
    const token = this.#files.nameOf(file, record)
    const holder: LockHolder | undefined = process && {
      pid: process.pid,
      host: process.host,
      since,
    }
    const who =
      holder === undefined
        ? 'by a lock file that cannot be understood'
        : `by process ${holder.pid} on ${holder.host} since ${new Date(since).toISOString()}`
    const state =
      verdict === 'alive'
        ? 'which is running'
        : 'and whether it still runs cannot be told from here (another host or container, or the lock file is damaged)'
    const remedy = `If it is certain that it no longer writes there, open({ breakLock: '${token}' }) clears the lock`
    return new DirectoryLockedError(
      `${this.#directory} is held ${who}, ${state}. ${remedy}`,
      holder,
      token,
    )
  }

  /** The last step of taking the directory: keeps a Kafka broker out, where the system has the locks for it. */
  async lockAgainstKafka(): Promise<void> {
    const kafkaLock = await this.#lockKafkaFile()
    if (kafkaLock === 'held') {
      const file = path.join(this.#directory, KAFKA_LOCK)
      const message = `${file} is locked by a Kafka broker or another process`
      throw new DirectoryLockedError(message, undefined, undefined)
    }
    if (kafkaLock === 'taken') this.#markFlock()
  }

  #markFlock(): void {
    try {
      markFlock(this.#fileSystem, this.#files.lockPath, this.token)
    } catch (error) {
      if (!isDiskFull(error)) throw error
      debug('no room to note the lock on .lock in %s', this.#directory)
    }
  }

  // ------------------------------------------------------------------------------------ the end

  /** Removes what dead processes left, and makes the spare. */
  async cleanUp(): Promise<void> {
    await this.#files.removeLeftovers((file, record) => {
      if (record.token === this.token || this.#claimsOnOwnLock().has(file)) return false
      // A half-written one is no lock yet; a live contender begins again.
      if (record.holder === undefined) return file.endsWith('.own')
      return judge(record, this.#facts) === 'dead'
    })
    await this.#files.makeSpare()
  }

  #claimsOnOwnLock(): Set<string> {
    const claims = new Set<string>()
    let target = this.#files.lockPath
    let record = this.#files.read(target)
    while (record !== undefined && claims.size <= MAX_CLAIM_DEPTH) {
      target = this.#files.claimOn(target, record)
      claims.add(target)
      record = this.#files.read(target)
    }
    return claims
  }

  async giveUp(): Promise<void> {
    try {
      for (const claim of this.#claims) await this.#files.unlink(claim)
      await this.#files.removeOwn()
      await this.#removeLock()
      await this.#files.restoreSpare()
    } catch (error) {
      debug('leftovers of a lock remain in %s: %o', this.#directory, error)
    } finally {
      await this.#kafkaLock?.release()
    }
  }

  release(): Promise<void> {
    this.#released ??= this.#release()
    return this.#released
  }

  async #release(): Promise<void> {
    try {
      await this.#removeLock()
      await this.#files.restoreSpare()
    } finally {
      await this.#kafkaLock?.release()
    }
  }

  /** Not where another holds it by now, or is just breaking it. */
  async #removeLock(): Promise<void> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      if (this.#files.read(this.#files.lockPath)?.token !== this.token) return
      const claimed = await this.#claimOwnLock()
      if (claimed === 'by-another') return
      if (!claimed) continue
      await this.#files.removeLock(this.token)
      await this.#files.removeOwn()
      return
    }
  }

  /** True: the claim on our own lock is ours. False: it has just changed hands. */
  async #claimOwnLock(): Promise<boolean | 'by-another'> {
    if (await this.#files.claimLock(this.token)) return true
    const claim = this.#files.claimOn(this.#files.lockPath, this)
    const breaker = this.#files.read(claim)
    if (breaker === undefined) return false
    if (judge(breaker, this.#facts) !== 'dead') return 'by-another'
    try {
      await this.#writeOwn()
      return await this.#replace(claim, breaker, 'own', 1)
    } catch (error) {
      // Somebody alive is taking the dead claim, or there is no room for a claim of our own: what they make of the lock is not ours to remove.
      if (isDiskFull(error) || error instanceof DirectoryLockedError) return 'by-another'
      throw error
    }
  }
}
