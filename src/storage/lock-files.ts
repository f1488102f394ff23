/** The files of a directory lock, and what one contender does to them. Which step is right when: see `directory-lock.ts`. */
import path from 'node:path'
import createDebug from 'debug'
import type { FileHandle, FileSystem } from '../types.ts'
import { errorCode, isDiskFull } from '../util/error-code.ts'
import { OWN_LOCK } from './file-names.ts'
import type { LockRecord } from './lock-record.ts'
import { RECORD_BYTES, readRecord } from './lock-record.ts'

const debug = createDebug('brokerless:storage')

const LEFTOVER = /^brokerless\.lock\.[0-9a-f]{32}(\.own|\.next|\.release)?$/

export class LockFiles {
  readonly lockPath: string
  readonly #fileSystem: FileSystem
  readonly #directory: string
  readonly #ownPath: string
  readonly #nextPath: string
  readonly #sparePath: string
  #ownWritten = false
  /** A file of ours may exist. */
  #wrote = false
  #tookSpare = false

  constructor(fileSystem: FileSystem, directory: string, token: string) {
    this.#fileSystem = fileSystem
    this.#directory = directory
    this.lockPath = path.join(directory, OWN_LOCK)
    this.#ownPath = `${this.lockPath}.${token}.own`
    this.#nextPath = `${this.lockPath}.${token}.next`
    this.#sparePath = `${this.lockPath}.spare`
  }

  read(file: string): LockRecord | undefined {
    return readRecord(this.#fileSystem, file)
  }

  /** Name of the claim on `record`, which was read from `target`. A claim may be made on itself: see the release. */
  claimOn(target: string, record: Pick<LockRecord, 'token'>): string {
    const claim = `${this.lockPath}.${record.token}`
    return target === claim ? `${claim}.release` : claim
  }

  /** What `breakLock` has to name to break what was read from `file`: its token, or that its owner was about to release it. */
  nameOf(file: string, { token }: LockRecord): string {
    return file === `${this.lockPath}.${token}` ? `${token}.release` : token
  }

  async unlink(file: string): Promise<void> {
    try {
      await this.#fileSystem.unlink(file)
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw error
    }
  }

  // --------------------------------------------------------------------------------- own record

  /** Writes and syncs our own record, unless it is there; on a full disk over the spare file. */
  async writeOwn(record: Uint8Array): Promise<void> {
    if (this.#ownWritten) return
    this.#wrote = true
    try {
      await this.#write(this.#fileSystem.openSync(this.#ownPath, 'create'), record)
    } catch (error) {
      if (!isDiskFull(error)) throw error
      await this.#writeOverSpare(record, error)
    }
    this.#ownWritten = true
  }

  async #write(file: FileHandle, content: Uint8Array): Promise<void> {
    try {
      file.writeSync(content, 0, content.length, 0)
      await file.sync()
    } finally {
      file.closeSync()
    }
  }

  async #writeOverSpare(record: Uint8Array, full: unknown): Promise<void> {
    await this.unlink(this.#ownPath)
    try {
      await this.#fileSystem.rename(this.#sparePath, this.#ownPath)
    } catch (error) {
      throw errorCode(error) === 'ENOENT' ? full : error
    }
    this.#tookSpare = true
    // A shorter one, of a crash while it was made, would have to grow.
    if ((await this.#fileSystem.stat(this.#ownPath))?.size !== RECORD_BYTES) throw full
    await this.#write(this.#fileSystem.openSync(this.#ownPath, 'write'), record)
  }

  /** Gives our own record a further name. False where that is taken, or where our own file was removed as a leftover. */
  async link(name: string): Promise<boolean> {
    try {
      await this.#fileSystem.link(this.#ownPath, name)
      return true
    } catch (error) {
      if (errorCode(error) === 'ENOENT') this.#ownWritten = false
      else if (errorCode(error) !== 'EEXIST') throw error
      return false
    }
  }

  /** Puts our own record in the place of what `target` holds. */
  async renameOver(target: string): Promise<boolean> {
    if (!(await this.link(this.#nextPath))) return false
    await this.#fileSystem.rename(this.#nextPath, target)
    return true
  }

  /** Removes our own names, save those that `link` and `renameOver` gave. */
  async removeOwn(): Promise<void> {
    if (!this.#wrote) return
    await this.unlink(this.#nextPath)
    await this.unlink(this.#ownPath)
  }

  // ------------------------------------------------------------------------------------ release

  /** Claims the lock, which was ours, under its own token. False where another has the claim, or the lock has gone. On a full disk it goes without. */
  async claimLock(token: string): Promise<boolean> {
    try {
      await this.#fileSystem.link(this.lockPath, this.claimOn(this.lockPath, { token }))
      return true
    } catch (error) {
      if (isDiskFull(error)) return true
      if (errorCode(error) !== 'ENOENT' && errorCode(error) !== 'EEXIST') throw error
      return false
    }
  }

  /** With the claim on our own token in hand: removes the lock if it still has the token, and then the claim. */
  async removeLock(token: string): Promise<void> {
    if (this.read(this.lockPath)?.token === token) await this.unlink(this.lockPath)
    await this.unlink(this.claimOn(this.lockPath, { token }))
  }

  // ----------------------------------------------------------------------------------- clean-up

  /** Removes the files that `isLeftover` approves; what fails is left to the next open. */
  async removeLeftovers(isLeftover: (file: string, record: LockRecord) => boolean): Promise<void> {
    try {
      for (const name of await this.#fileSystem.readdir(this.#directory)) {
        if (!LEFTOVER.test(name)) continue
        const file = path.join(this.#directory, name)
        const record = this.read(file)
        if (record !== undefined && isLeftover(file, record)) await this.unlink(file)
      }
    } catch (error) {
      debug('leftovers of locks remain in %s: %o', this.#directory, error)
    }
  }

  /** Makes the spare anew where we took it. */
  async restoreSpare(): Promise<void> {
    if (this.#tookSpare) await this.makeSpare()
  }

  /** Room for the next open, should the disk be full then; where it is full already, there is nothing to be done. */
  async makeSpare(): Promise<void> {
    try {
      const found = await this.#fileSystem.stat(this.#sparePath)
      if (found?.size === RECORD_BYTES) return
      await this.unlink(this.#sparePath)
      const blanks = Buffer.alloc(RECORD_BYTES, ' ')
      await this.#write(this.#fileSystem.openSync(this.#sparePath, 'create'), blanks)
    } catch (error) {
      debug('no spare lock file in %s: %o', this.#directory, error)
    }
  }
}
