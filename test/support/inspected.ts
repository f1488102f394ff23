// A data directory in memory that a test changes byte by byte before it is looked at.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { crc32c } from '../../src/codec/crc32c.ts'
import { Log } from '../../src/index.ts'
import type { VerifyOptions, VerifyReport } from '../../src/inspect/directory-check.ts'
import { verifyDirectory } from '../../src/inspect/directory-check.ts'
import type { Finding } from '../../src/inspect/finding.ts'
import { ManualClock, MemoryFileSystem } from '../../src/testing/index.ts'
import type { Clock } from '../../src/types.ts'
import type { FixtureSet } from './fixtures.ts'
import { fixtureDirectory } from './fixtures.ts'

export interface Verified {
  readonly findings: readonly Finding[]
  readonly report: VerifyReport
}

const START_MS = Date.UTC(2026, 0, 1)
const CHUNK_BYTES = 1024 * 1024

export class Inspected {
  readonly fileSystem: MemoryFileSystem
  readonly directory = '/data'

  constructor(fileSystem: MemoryFileSystem) {
    this.fileSystem = fileSystem
  }

  copy(): Inspected {
    return new Inspected(this.fileSystem.clone())
  }

  path(name: string): string {
    return path.join(this.directory, name)
  }

  names(directory = '.'): Promise<string[]> {
    return this.fileSystem.readdir(this.path(directory)).then((names) => names.sort())
  }

  read(name: string): Buffer {
    const handle = this.fileSystem.openSync(this.path(name), 'read')
    const bytes = Buffer.alloc(handle.sizeSync())
    handle.readSync(bytes, 0, bytes.length, 0)
    handle.closeSync()
    return bytes
  }

  /** Replaces a file's content, or makes the file. */
  async write(name: string, content: Uint8Array | string): Promise<void> {
    const file = this.path(name)
    if ((await this.fileSystem.stat(file)) !== undefined) await this.fileSystem.unlink(file)
    const bytes = Buffer.from(content)
    const handle = this.fileSystem.openSync(file, 'create')
    for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
      handle.writeSync(bytes, at, Math.min(CHUNK_BYTES, bytes.length - at), at)
    }
    handle.closeSync()
  }

  /** Changes a file's bytes in place, or, where bytes or a text are answered, gives it these. */
  async edit(name: string, change: (bytes: Buffer) => unknown): Promise<void> {
    const bytes = this.read(name)
    const given = change(bytes)
    const isContent = typeof given === 'string' || given instanceof Uint8Array
    await this.write(name, isContent ? given : bytes)
  }

  async remove(name: string): Promise<void> {
    await this.fileSystem.unlink(this.path(name))
  }

  async rename(from: string, to: string): Promise<void> {
    await this.fileSystem.rename(this.path(from), this.path(to))
  }

  /** Positions of the batches of a .log. */
  batches(name: string): number[] {
    const bytes = this.read(name)
    const positions: number[] = []
    for (let at = 0; at < bytes.length; at += 12 + bytes.readInt32BE(at + 8)) positions.push(at)
    return positions
  }

  async verify(options: Partial<VerifyOptions> = {}): Promise<Verified> {
    const { fileSystem, directory } = this
    const findings: Finding[] = []
    const onFinding = (finding: Finding): void => void findings.push(finding)
    const report = await verifyDirectory({ fileSystem, directory, onFinding, ...options })
    return { findings, report }
  }
}

/** A batch's checksum as it must be for the bytes that are there now. */
export function sealBatch(log: Buffer, at: number): void {
  const end = at + 12 + log.readInt32BE(at + 8)
  log.writeUInt32BE(crc32c(log, at + 21, end), at + 17)
}

export type OrdersLog = Awaited<ReturnType<typeof openOrders>>

/** The directory of a topic `orders` with one partition, after a clean close; by default of several segments, with entries in all indexes. */
export async function soundLog(
  write: (log: OrdersLog) => Promise<void> = writeOrders,
  segmentBytes = 3000,
): Promise<Inspected> {
  const clock = new ManualClock(START_MS)
  const fileSystem = new MemoryFileSystem({ clock })
  const log = await openOrders(fileSystem, clock, segmentBytes)
  await write(log)
  await log.close()
  return new Inspected(fileSystem)
}

export function openOrders(fileSystem: MemoryFileSystem, clock: Clock, segmentBytes = 3000) {
  const config = { segmentBytes, indexIntervalBytes: 300, maxMessageBytes: 2 ** 22 }
  const orders = { value: 'string', ...config } as const
  return Log.open('/data', { fileSystem, clock, topics: { orders } })
}

async function writeOrders(log: OrdersLog): Promise<void> {
  for (let call = 0; call < 40; call += 1) {
    const records = Array.from({ length: 1 + (call % 4) }, (_, index) => ({
      key: `key-${index}`,
      value: `value ${call} ${'x'.repeat((call * 7) % 60)}`,
      timestamp: START_MS + call * 1000 + index,
      headers: { call: String(call) },
    }))
    await log.produce('orders', records)
  }
}

/** A directory that a broker wrote, in memory. */
export function inspectedFixture(set: FixtureSet): Promise<Inspected> {
  return inspectedDirectory(fixtureDirectory(set))
}

/** A directory of the disk, in memory. */
export async function inspectedDirectory(directory: string): Promise<Inspected> {
  const inspected = new Inspected(new MemoryFileSystem())
  await inspected.fileSystem.mkdir(inspected.directory)
  for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort()) {
    const file = path.join(directory, name)
    if (statSync(file).isDirectory()) await inspected.fileSystem.mkdir(inspected.path(name))
    else await inspected.write(name, readFileSync(file))
  }
  return inspected
}
