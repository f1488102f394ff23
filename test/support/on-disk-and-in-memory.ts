// Registers a test of the public face twice: in a temporary directory, and in memory.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import type {
  AnyTopics,
  FileSystem,
  LogOptions,
  TopicDeclarations,
  TopicsOf,
} from '../../src/index.ts'
import { Log, nodeFileSystem } from '../../src/index.ts'
import { ManualClock, MemoryFileSystem } from '../../src/testing/index.ts'
import { ScriptedFileSystem } from './scripted-file-system.ts'

interface Closable {
  close(): Promise<void>
}

type Declared<D extends TopicDeclarations> = LogOptions<D> & { readonly topics: D }

/** Lock files: they name this process, which a copy of a directory does not belong to. */
const LOCK_FILE = /^(?:\.lock|brokerless\.lock.*)$/

/** Where a test's log lies. */
export class Place {
  readonly directory: string
  readonly fileSystem: ScriptedFileSystem
  readonly clock: ManualClock
  /** `on disk` or `in memory`. */
  readonly kind: string
  readonly #opened: Set<Closable>
  #copies = 0

  constructor(
    kind: string,
    directory: string,
    fileSystem: ScriptedFileSystem,
    clock: ManualClock,
    opened: Set<Closable> = new Set(),
  ) {
    this.kind = kind
    this.directory = directory
    this.fileSystem = fileSystem
    this.clock = clock
    this.#opened = opened
  }

  /** Opens the log of this place; the test's end closes it. */
  open<const D extends TopicDeclarations, _Inferred extends true>(
    options: Declared<D>,
  ): Promise<Log<TopicsOf<D>>>
  open<T extends object = AnyTopics>(
    options?: LogOptions<{ readonly [N in keyof T]?: TopicDeclarations[string] }>,
  ): Promise<Log<T>>
  async open(options: LogOptions = {}): Promise<unknown> {
    const { fileSystem, clock } = this
    const log = await Log.open(this.directory, {
      fileSystem,
      clock,
      ...options,
    } as LogOptions<TopicDeclarations>)
    this.#opened.add(log)
    return log
  }

  /** Closes a log of this place and opens it again. */
  reopen<const D extends TopicDeclarations, _Inferred extends true>(
    log: Closable,
    options: Declared<D>,
  ): Promise<Log<TopicsOf<D>>>
  reopen<T extends object = AnyTopics>(
    log: Closable,
    options?: LogOptions<{ readonly [N in keyof T]?: TopicDeclarations[string] }>,
  ): Promise<Log<T>>
  async reopen(log: Closable, options: LogOptions = {}): Promise<unknown> {
    await log.close()
    return await this.open(options as LogOptions<Record<string, never>>)
  }

  /** The place as a process leaves it that is killed now: with what the operating system has, no lock held, no script. */
  async killed(): Promise<Place> {
    this.#copies += 1
    const { kind, fileSystem, clock } = this
    const directory = `${this.directory}-killed-${this.#copies}`
    await copyDirectory(fileSystem, this.directory, fileSystem.inner, directory)
    return new Place(kind, directory, new ScriptedFileSystem(fileSystem.inner), clock, this.#opened)
  }

  /** Puts a directory of the disk's here, as if it had always been here. */
  async copyFrom(directory: string): Promise<void> {
    await copyDirectory(nodeFileSystem, directory, this.fileSystem, this.directory)
  }

  path(...names: string[]): string {
    return path.join(this.directory, ...names)
  }

  /** Names in the data directory, or in one below it, in order. */
  async list(...names: string[]): Promise<string[]> {
    return (await this.fileSystem.readdir(this.path(...names))).sort()
  }

  async exists(...names: string[]): Promise<boolean> {
    return (await this.fileSystem.stat(this.path(...names))) !== undefined
  }

  readFile(...names: string[]): Buffer {
    return readWhole(this.fileSystem, this.path(...names))
  }

  /** Replaces a file's content, or makes the file. */
  async writeFile(content: Uint8Array | string, ...names: string[]): Promise<void> {
    const file = this.path(...names)
    if (await this.exists(...names)) await this.fileSystem.unlink(file)
    writeWhole(this.fileSystem, file, Buffer.from(content))
  }

  /** Closes what the test has left open, copies included. */
  async close(): Promise<void> {
    this.fileSystem.rule = undefined
    this.fileSystem.releaseSyncs()
    await Promise.allSettled([...this.#opened].map((log) => log.close()))
  }
}

/** Registers `body` as two tests, each with a place of its own. */
export function onDiskAndInMemory(
  promise: string,
  body: (place: Place, t: TestContext) => Promise<void>,
): void {
  test(`${promise} (on disk)`, async (t) => {
    const parent = await mkdtemp(path.join(tmpdir(), 'brokerless-behaviour-'))
    const fileSystem = new ScriptedFileSystem(nodeFileSystem)
    const place = new Place('on disk', path.join(parent, 'data'), fileSystem, new ManualClock())
    t.after(async () => {
      await place.close()
      await rm(parent, { recursive: true, force: true })
    })
    await body(place, t)
  })
  test(`${promise} (in memory)`, async (t) => {
    const clock = new ManualClock()
    const fileSystem = new ScriptedFileSystem(new MemoryFileSystem({ clock }))
    const place = new Place('in memory', '/data', fileSystem, clock)
    t.after(() => place.close())
    await body(place, t)
  })
}

async function copyDirectory(
  source: FileSystem,
  from: string,
  target: FileSystem,
  to: string,
): Promise<void> {
  await target.mkdir(to)
  for (const name of await source.readdir(from)) {
    if (LOCK_FILE.test(name)) continue
    const [file, copy] = [path.join(from, name), path.join(to, name)]
    const isDirectory = (await source.stat(file))?.isDirectory
    if (isDirectory) await copyDirectory(source, file, target, copy)
    else if (isDirectory !== undefined) writeWhole(target, copy, readWhole(source, file))
  }
}

function readWhole(fileSystem: FileSystem, file: string): Buffer {
  const handle = fileSystem.openSync(file, 'read')
  try {
    const content = Buffer.alloc(handle.sizeSync())
    for (let at = 0; at < content.length; ) {
      const bytes = handle.readSync(content, at, content.length - at, at)
      if (bytes === 0) return content.subarray(0, at)
      at += bytes
    }
    return content
  } finally {
    handle.closeSync()
  }
}

function writeWhole(fileSystem: FileSystem, file: string, content: Buffer): void {
  const handle = fileSystem.openSync(file, 'create')
  try {
    handle.writeSync(content, 0, content.length, 0)
  } finally {
    handle.closeSync()
  }
}
