// Where tests over the public face run: on the disk and in memory, with the same promises.
import { cpSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { AnyTopics, FileSystem, LogOptions, LogRecord } from '../../src/index.ts'
import { Log, nodeFileSystem } from '../../src/index.ts'
import { MemoryFileSystem } from '../../src/testing/index.ts'
import type { AfterHook } from './fixtures.ts'

const LOCK_FILE = 'brokerless.lock'

/** A data directory and the file system that it is on. */
export interface Place {
  readonly directory: string
  readonly fileSystem: FileSystem
  /** The directory as the next process finds it if this one is killed now. */
  killed(): Promise<Place>
}

export interface PlaceKind {
  readonly name: string
  make(t: AfterHook): Promise<Place>
}

export const PLACES: readonly PlaceKind[] = [
  { name: 'in memory', make: async () => memoryPlace(new MemoryFileSystem()) },
  { name: 'on the disk', make: diskPlace },
]

export function memoryPlace(fileSystem: MemoryFileSystem): Place {
  const directory = '/data'
  const killed = async (): Promise<Place> => {
    const copy = fileSystem.clone()
    await removeLock(copy, directory)
    return memoryPlace(copy)
  }
  return { directory, fileSystem, killed }
}

export async function diskPlace(t: AfterHook): Promise<Place> {
  const parent = await mkdtemp(path.join(tmpdir(), 'brokerless-place-'))
  t.after(() => rm(parent, { recursive: true, force: true }))
  return placeAt(path.join(parent, 'data'))
}

/** A directory on the disk; copies of it stand beside it. */
export function placeAt(directory: string): Place {
  const killed = async (): Promise<Place> => {
    for (;;) {
      const copy = await mkdtemp(`${directory}-`)
      try {
        // In one go, so that of all work in the background only a call under way can come between.
        cpSync(directory, copy, { recursive: true, preserveTimestamps: true })
      } catch (error) {
        // Such a call has renamed or removed a file: no moment was copied.
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue
        throw error
      }
      await removeLock(nodeFileSystem, copy)
      return placeAt(copy)
    }
  }
  return { directory, fileSystem: nodeFileSystem, killed }
}

/** The holder of the lock is this process, which lives: after a simulated end its lock must go. */
export async function removeLock(fileSystem: FileSystem, directory: string): Promise<void> {
  const lock = path.join(directory, LOCK_FILE)
  if ((await fileSystem.stat(lock)) !== undefined) await fileSystem.unlink(lock)
}

/** Opens a place's log, with topics of which nothing is known to the compiler. */
export function openAt(place: Place, options: LogOptions = {}): Promise<Log> {
  const { directory, fileSystem } = place
  return Log.open<AnyTopics>(directory, { fileSystem, ...(options as LogOptions) } as LogOptions)
}

/** All records of a partition that a read-committed reader can be given, by single fetches. */
export async function recordsOf(
  log: Log,
  topic: string,
  partition = 0,
  onCorrupt: 'throw' | 'skip' = 'throw',
): Promise<LogRecord[]> {
  const records: LogRecord[] = []
  const { earliest, lastStable } = await log.offsets(topic, partition)
  for (let offset = earliest; offset < lastStable; ) {
    const page = await log.fetch(topic, { partition, offset, onCorrupt })
    records.push(...page.records)
    if (page.nextOffset <= offset) throw new Error(`a fetch at ${offset} does not move on`)
    offset = page.nextOffset
  }
  return records
}

export async function valuesOf(log: Log, topic: string, partition = 0): Promise<unknown[]> {
  return (await recordsOf(log, topic, partition)).map((record) => record.value)
}

/** Far more than a slow disk takes: it ends a wait for what never comes. */
const LONGEST_WAIT_MS = 120_000

/** Waits for a condition that work in the background brings about. */
export async function eventually(
  isTrue: () => boolean | Promise<boolean>,
  what = 'what was waited for',
): Promise<void> {
  const endMs = performance.now() + LONGEST_WAIT_MS
  while (!(await isTrue())) {
    if (performance.now() > endMs) throw new Error(`${what} has not come about`)
    await nextTurn()
  }
}

/** Whole content of a file. */
export function readFile(fileSystem: FileSystem, file: string): Buffer {
  const handle = fileSystem.openSync(file, 'read')
  try {
    const bytes = Buffer.alloc(handle.sizeSync())
    handle.readSync(bytes, 0, bytes.length, 0)
    return bytes
  } finally {
    handle.closeSync()
  }
}

/** Replaces the content of a file, or makes it. */
export async function writeFile(
  fileSystem: FileSystem,
  file: string,
  bytes: Uint8Array,
): Promise<void> {
  const exists = (await fileSystem.stat(file)) !== undefined
  const handle = fileSystem.openSync(file, exists ? 'write' : 'create')
  try {
    await handle.truncate(0)
    handle.writeSync(bytes, 0, bytes.length, 0)
  } finally {
    handle.closeSync()
  }
}

/** Names of the files in a partition's directory, in order. */
export async function filesOf(place: Place, partition: string): Promise<string[]> {
  return (await place.fileSystem.readdir(path.join(place.directory, partition))).sort()
}

export function fileOf(place: Place, ...names: string[]): string {
  return path.join(place.directory, ...names)
}
