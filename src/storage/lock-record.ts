/**
 * What a lock file says, and whether its holder still lives. A record is one line of JSON, padded with blanks to 1,024 bytes, so that it can
 * be written over a file of that size on a full disk. It is written and synced before it gets its name, so that no crash leaves half of one.
 */
import { createHash } from 'node:crypto'
import type { FileSystem } from '../types.ts'
import { errorCode } from '../util/error-code.ts'

/** Size of every lock file and of the spare. */
export const RECORD_BYTES = 1024
/** Longest part of a host's name that is kept and compared. */
const HOST_CHARACTERS = 100
/** `flock` stands first, so that this one byte can be changed in place. */
const FLOCK_POSITION = '{"flock":'.length

/** A process, as far as others can tell it from those with the same pid. */
export interface ProcessIdentity {
  readonly pid: number
  /** In a unit and from a beginning of the system's own; undefined where it cannot be known. */
  readonly startTime: number | undefined
  /** Differs after each start of the machine; undefined where it cannot be known. */
  readonly bootId: string | undefined
  /** Undefined where the system has none. */
  readonly pidNamespace: string | undefined
  readonly host: string
}

/** What the operating system knows of processes. */
export interface ProcessFacts {
  self(): ProcessIdentity
  /** Undefined: no such process. `unknown`: there is one, its start time cannot be known. */
  startTimeOf(pid: number): number | undefined | 'unknown'
}

export interface LockRecord {
  /** Names this lock; never used twice. */
  readonly token: string
  /** Milliseconds since the Unix epoch. */
  readonly since: number
  /** Its holder has the lock on `.lock` too. */
  readonly flock: boolean
  /** Undefined where the file cannot be understood; its token is then made of its content. */
  readonly holder: ProcessIdentity | undefined
}

export function encodeRecord(token: string, since: number, holder: ProcessIdentity): Buffer {
  const record = {
    flock: 0,
    token,
    since,
    pid: holder.pid,
    startTime: holder.startTime ?? null,
    bootId: holder.bootId ?? null,
    pidNamespace: holder.pidNamespace ?? null,
    host: holder.host.slice(0, HOST_CHARACTERS),
  }
  const bytes = Buffer.alloc(RECORD_BYTES, ' ')
  bytes.write(JSON.stringify(record))
  bytes.write('\n', RECORD_BYTES - 1)
  return bytes
}

function optional<T>(value: unknown, guard: (value: unknown) => value is T): T | undefined {
  return guard(value) ? value : undefined
}

const isNumber = (value: unknown): value is number => typeof value === 'number'
const isString = (value: unknown): value is string => typeof value === 'string'
const isToken = (value: unknown): value is string => isString(value) && /^[0-9a-f]{32}$/.test(value)

export function decodeRecord(bytes: Uint8Array): LockRecord {
  const fields = parse(bytes)
  const { token, since, pid, host } = fields
  if (!isToken(token) || !isNumber(since) || !isNumber(pid) || !isString(host)) {
    const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 32)
    return { token: hash, since: 0, flock: false, holder: undefined }
  }
  const startTime = optional(fields.startTime, isNumber)
  const bootId = optional(fields.bootId, isString)
  const pidNamespace = optional(fields.pidNamespace, isString)
  const holder = { pid, startTime, bootId, pidNamespace, host }
  return { token, since, flock: fields.flock === 1, holder }
}

interface Fields {
  readonly token?: unknown
  readonly since?: unknown
  readonly pid?: unknown
  readonly host?: unknown
  readonly startTime?: unknown
  readonly bootId?: unknown
  readonly pidNamespace?: unknown
  readonly flock?: unknown
}

function parse(bytes: Uint8Array): Fields {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'))
    return typeof parsed === 'object' && parsed !== null ? { ...parsed } : {}
  } catch {
    return {}
  }
}

/** The record in a file; undefined where there is no such file. */
export function readRecord(fileSystem: FileSystem, path: string): LockRecord | undefined {
  try {
    const file = fileSystem.openSync(path, 'read')
    try {
      const buffer = Buffer.alloc(RECORD_BYTES)
      return decodeRecord(buffer.subarray(0, file.readSync(buffer, 0, RECORD_BYTES, 0)))
    } finally {
      file.closeSync()
    }
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Notes in its lock file that its holder has `.lock` too. One byte of the file that is open, so that nobody else's lock can be hit. */
export function markFlock(fileSystem: FileSystem, path: string, token: string): void {
  const file = fileSystem.openSync(path, 'write')
  try {
    const buffer = Buffer.alloc(RECORD_BYTES)
    const record = decodeRecord(buffer.subarray(0, file.readSync(buffer, 0, RECORD_BYTES, 0)))
    if (record.token === token) file.writeSync(Buffer.from('1'), 0, 1, FLOCK_POSITION)
  } finally {
    file.closeSync()
  }
}

/**
 * `unknown`: cannot be judged from here. A process is known by its pid and start time where it shares our host, start of the machine and pid
 * namespace. All processes of an earlier start of our host are dead; within a container its name alone does not make it the same host.
 */
export function judge(record: LockRecord, facts: ProcessFacts): 'dead' | 'alive' | 'unknown' {
  const { holder } = record
  const own = facts.self()
  if (holder === undefined || holder.host !== own.host.slice(0, HOST_CHARACTERS)) return 'unknown'
  if (holder.pidNamespace !== own.pidNamespace) return 'unknown'
  if (holder.bootId !== own.bootId) {
    return holder.bootId === undefined || own.bootId === undefined ? 'unknown' : 'dead'
  }
  const startTime = facts.startTimeOf(holder.pid)
  if (startTime === undefined) return 'dead'
  if (holder.pid === own.pid && holder.startTime === own.startTime) return 'alive'
  if (startTime === 'unknown' || holder.startTime === undefined) return 'unknown'
  return startTime === holder.startTime ? 'alive' : 'dead'
}

/** Whether the lock on `.lock` that its holder took is one that we would meet: on the same machine, or by name the same host. */
export function sharesFlock(record: LockRecord, facts: ProcessFacts): boolean {
  const { holder, flock } = record
  if (holder === undefined || !flock) return false
  const own = facts.self()
  const sameBoot = holder.bootId !== undefined && holder.bootId === own.bootId
  return sameBoot || holder.host === own.host.slice(0, HOST_CHARACTERS)
}
