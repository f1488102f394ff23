/** The disk: the one file that imports `node:fs`. Also what the operating system tells about processes, for the directory lock. */
import * as fs from 'node:fs'
import * as fsp from 'node:fs/promises'
import { createRequire } from 'node:module'
import { hostname } from 'node:os'
import { isMainThread } from 'node:worker_threads'
import createDebug from 'debug'
import type {
  FileHandle,
  FileLock,
  FileLockResult,
  FileStat,
  FileSystem,
  OpenMode,
} from '../types.ts'
import { errorCode } from '../util/error-code.ts'
import type { ProcessFacts, ProcessIdentity } from './lock-record.ts'

const debug = createDebug('brokerless:storage')

// ------------------------------------------------------------------------------------------ files

const OPEN_FLAGS: Readonly<Record<OpenMode, string>> = { read: 'r', write: 'r+', create: 'wx+' }

/** The call may simply be made again. */
function isTransient(error: unknown): boolean {
  const code = errorCode(error)
  return code === 'EINTR' || code === 'EAGAIN'
}

function systemError(code: string, message: string): Error {
  return Object.assign(new Error(`${code}: ${message}`), { code })
}

type Transfer = (
  fd: number,
  buffer: Uint8Array,
  offset: number,
  length: number,
  position: number,
  done: (error: Error | null, bytes: number) => void,
) => void

/** One read or write in the thread pool; gives the number of bytes. */
function transfer(
  call: Transfer,
  fd: number,
  buffer: Uint8Array,
  offset: number,
  length: number,
  position: number,
): Promise<number | 'again'> {
  return new Promise((resolve, reject) => {
    call(fd, buffer, offset, length, position, (error, bytes) => {
      if (error === null || error === undefined) resolve(bytes)
      else if (isTransient(error)) resolve('again')
      else reject(error)
    })
  })
}

function inPool(start: (done: fs.NoParamCallback) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    start((error) => (error === null || error === undefined ? resolve() : reject(error)))
  })
}

class NodeFileHandle implements FileHandle {
  readonly #path: string
  #descriptor: number | undefined

  constructor(path: string, descriptor: number) {
    this.#path = path
    this.#descriptor = descriptor
  }

  get #fd(): number {
    if (this.#descriptor === undefined) throw systemError('EBADF', `${this.#path} is closed`)
    return this.#descriptor
  }

  readSync(buffer: Uint8Array, offset: number, length: number, position: number): number {
    const fd = this.#fd
    let done = 0
    while (done < length) {
      try {
        const bytes = fs.readSync(fd, buffer, offset + done, length - done, position + done)
        if (bytes === 0) break
        done += bytes
      } catch (error) {
        if (!isTransient(error)) throw error
      }
    }
    return done
  }

  async read(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<number> {
    let done = 0
    while (done < length) {
      const rest = length - done
      const bytes = await transfer(fs.read, this.#fd, buffer, offset + done, rest, position + done)
      if (bytes === 0) break
      if (bytes !== 'again') done += bytes
    }
    return done
  }

  writeSync(buffer: Uint8Array, offset: number, length: number, position: number): void {
    const fd = this.#fd
    let done = 0
    while (done < length) {
      try {
        done += this.#written(
          fs.writeSync(fd, buffer, offset + done, length - done, position + done),
        )
      } catch (error) {
        if (!isTransient(error)) throw error
      }
    }
  }

  async write(buffer: Uint8Array, offset: number, length: number, position: number): Promise<void> {
    let done = 0
    while (done < length) {
      const rest = length - done
      const bytes = await transfer(fs.write, this.#fd, buffer, offset + done, rest, position + done)
      if (bytes !== 'again') done += this.#written(bytes)
    }
  }

  /** A device that takes nothing and gives no reason would be asked for ever. */
  #written(bytes: number): number {
    if (bytes === 0) throw systemError('EIO', `nothing could be written to ${this.#path}`)
    return bytes
  }

  sizeSync(): number {
    return fs.fstatSync(this.#fd).size
  }

  idSync(): string {
    const stat = fs.fstatSync(this.#fd, { bigint: true })
    return `${identity(stat)}:${stat.birthtimeNs}`
  }

  truncate(size: number): Promise<void> {
    return inPool((done) => fs.ftruncate(this.#fd, size, done))
  }

  sync(): Promise<void> {
    return inPool((done) => fs.fdatasync(this.#fd, done))
  }

  closeSync(): void {
    if (this.#descriptor === undefined) return
    const fd = this.#descriptor
    this.#descriptor = undefined
    fs.closeSync(fd)
  }
}

/** What only looks is done at once: a `stat` takes 5 to 10 us, the way through the thread pool 40 to 80. What changes names may take long. */
class NodeFileSystem implements FileSystem {
  async mkdir(path: string): Promise<void> {
    await fsp.mkdir(path, { recursive: true })
  }

  async readdir(path: string): Promise<string[]> {
    return fs.readdirSync(path)
  }

  rmdir(path: string): Promise<void> {
    return fsp.rmdir(path)
  }

  rename(from: string, to: string): Promise<void> {
    return fsp.rename(from, to)
  }

  link(existing: string, path: string): Promise<void> {
    return fsp.link(existing, path)
  }

  unlink(path: string): Promise<void> {
    return fsp.unlink(path)
  }

  async stat(path: string): Promise<FileStat | undefined> {
    try {
      const stat = fs.statSync(path, { throwIfNoEntry: false })
      return stat && { size: stat.size, isDirectory: stat.isDirectory(), modifiedMs: stat.mtimeMs }
    } catch (error) {
      if (errorCode(error) === 'ENOTDIR') return undefined
      throw error
    }
  }

  async syncDirectory(path: string): Promise<void> {
    const fd = fs.openSync(path, 'r')
    try {
      await inPool((done) => fs.fsync(fd, done))
    } finally {
      fs.closeSync(fd)
    }
  }

  realpath(path: string): Promise<string> {
    return fsp.realpath(path)
  }

  openSync(path: string, mode: OpenMode): FileHandle {
    return new NodeFileHandle(path, fs.openSync(path, OPEN_FLAGS[mode]))
  }

  lock(path: string): Promise<FileLockResult> {
    return lockFile(path)
  }
}

/** The operating system's own file system. */
export const nodeFileSystem: FileSystem = new NodeFileSystem()

// ------------------------------------------------------------------------------------------ locks
// Two locks on one descriptor: `flock`, which another container or thread sees, and `fcntl` (F_SETLK), which Java's FileLock and so
// a Kafka broker takes. An fcntl lock belongs to the process and is lost when the process closes *any* descriptor of the file:
// so it is opened once, kept open until the release, and never opened while it is held.

interface FsExt {
  flockSync(fd: number, flags: 'exnb'): void
  /** Only this form works: without a callback fs-ext 2.1.1 passes no lock structure. */
  fcntl(fd: number, command: 'setlk', type: number, done: (error: Error | null) => void): void
  readonly constants: { readonly F_WRLCK: number }
}

let fsExt: FsExt | 'missing' | undefined

function isFsExt(loaded: unknown): loaded is FsExt {
  if (typeof loaded !== 'object' || loaded === null) return false
  return 'flockSync' in loaded && 'fcntl' in loaded && 'constants' in loaded
}

function loadFsExt(): FsExt | 'missing' {
  if (fsExt !== undefined) return fsExt
  fsExt = 'missing'
  if (!isMainThread || process.platform === 'win32') {
    debug('no flock in a worker thread, where fs-ext cannot answer, and none on Windows')
    return fsExt
  }
  try {
    const loaded: unknown = createRequire(import.meta.url)('fs-ext')
    if (isFsExt(loaded)) fsExt = loaded
  } catch (error) {
    debug('no flock, so that a Kafka broker in the same directory is not seen: %o', error)
  }
  return fsExt
}

/** Device and inode of each file that this process holds; shared by all copies of this module. */
function heldFiles(): Set<string> {
  const shared: { [key: symbol]: Set<string> | undefined } = globalThis as never
  const key = Symbol.for('brokerless.heldFiles')
  const held = shared[key] ?? new Set<string>()
  shared[key] = held
  return held
}

function identity(stat: fs.BigIntStats): string {
  return `${stat.dev}:${stat.ino}`
}

/** There flock is made of the same byte-range locks as fcntl (flock(2)), and one process's two would refuse each other. */
const NETWORK_FILE_SYSTEMS: ReadonlySet<number> = new Set([0x6969, 0x517b, 0xfe534d42, 0xff534d42])

function emulatesFlock(path: string): boolean {
  return process.platform === 'linux' && NETWORK_FILE_SYSTEMS.has(fs.statfsSync(path).type)
}

function fcntlLock(ext: FsExt, fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    ext.fcntl(fd, 'setlk', ext.constants.F_WRLCK, (error) => (error ? reject(error) : resolve()))
  })
}

class NodeFileLock implements FileLock {
  readonly #key: string
  #descriptor: number | undefined

  constructor(key: string, descriptor: number) {
    this.#key = key
    this.#descriptor = descriptor
  }

  async release(): Promise<void> {
    if (this.#descriptor === undefined) return
    const fd = this.#descriptor
    this.#descriptor = undefined
    fs.closeSync(fd)
    heldFiles().delete(this.#key)
  }
}

const HELD: ReadonlySet<string> = new Set(['EAGAIN', 'EWOULDBLOCK', 'EACCES'])
const UNAVAILABLE: ReadonlySet<string> = new Set([
  ...['ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'ENOLCK', 'EINVAL'],
])

async function lockFile(path: string): Promise<FileLockResult> {
  const ext = loadFsExt()
  if (ext === 'missing') return 'unavailable'
  const held = heldFiles()
  const found = fs.statSync(path, { bigint: true, throwIfNoEntry: false })
  if (found !== undefined && held.has(identity(found))) return 'held'
  const fd = openForLock(path)
  if (fd === undefined) return 'unavailable'
  const key = identity(fs.fstatSync(fd, { bigint: true }))
  held.add(key)
  try {
    if (!emulatesFlock(path)) ext.flockSync(fd, 'exnb')
    await fcntlLock(ext, fd)
    return new NodeFileLock(key, fd)
  } catch (error) {
    fs.closeSync(fd)
    held.delete(key)
    const code = errorCode(error) ?? ''
    if (HELD.has(code)) return 'held'
    if (!UNAVAILABLE.has(code)) throw error
    debug('no flock on %s: %s', path, code)
    return 'unavailable'
  }
}

/** Undefined where a full disk has no room for the file: that must not stop an open. */
function openForLock(path: string): number | undefined {
  try {
    return fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_CREAT)
  } catch (error) {
    if (errorCode(error) !== 'ENOSPC' && errorCode(error) !== 'EDQUOT') throw error
    debug('no flock on %s: no room for the file', path)
    return undefined
  }
}

// -------------------------------------------------------------------------------------- processes

function readProc(path: string): string | undefined {
  try {
    return fs.readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

function readPidNamespace(): string | undefined {
  try {
    return fs.readlinkSync('/proc/self/ns/pid')
  } catch {
    return undefined
  }
}

/** State, number of threads and start time of proc(5)'s `stat` (fields 3, 20, 22). The name before them may hold blanks and parentheses. */
function parseStat(text: string): { ended: boolean; startTime: number } {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  // A killed process whose parent has not asked for it yet is a zombie; while its other threads live, their writes may still land.
  const ended = (fields[0] === 'Z' || fields[0] === 'X') && Number(fields[17]) <= 1
  return { ended, startTime: Number(fields[19]) }
}

function startTimeOf(pid: number): number | undefined | 'unknown' {
  const text = readProc(`/proc/${pid}/stat`)
  if (text !== undefined) {
    const { ended, startTime } = parseStat(text)
    return ended ? undefined : startTime
  }
  try {
    process.kill(pid, 0)
    return 'unknown'
  } catch (error) {
    return errorCode(error) === 'ESRCH' ? undefined : 'unknown'
  }
}

function self(): ProcessIdentity {
  const startTime = startTimeOf(process.pid)
  return {
    pid: process.pid,
    startTime: startTime === 'unknown' ? undefined : startTime,
    bootId: readProc('/proc/sys/kernel/random/boot_id')?.trim(),
    pidNamespace: readPidNamespace(),
    host: hostname(),
  }
}

/** Of this machine: proc(5) on Linux; elsewhere pids alone, without start times. */
export const nodeProcessFacts: ProcessFacts = { self, startTimeOf }
