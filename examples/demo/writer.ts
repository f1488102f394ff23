// The child process: produces flights until it is killed in the middle.
//
// From half of them on it watches its own files. When something was just written it stops its event loop, before it can be told
// of the sync that follows, and says so: what it wrote last is acknowledged to nobody when the parent kills it.
import { readdirSync, statSync } from 'node:fs'
import path from 'node:path'
import { blocksOf, loadFlights, openLog, TOPIC } from './flights.ts'
import type { AcknowledgedBlock } from './produce.ts'
import { produceBlock } from './produce.ts'

/** Calls of so many blocks are on their way at any time. */
const BLOCKS_IN_FLIGHT = 4
/** By then the parent has killed it, or is gone itself. */
const LONGEST_STAND_MS = 10_000

export type WriterMessage =
  | { readonly kind: 'acknowledged'; readonly block: AcknowledgedBlock }
  | { readonly kind: 'standing'; readonly inFlight: number; readonly elapsedMs: number }

const [directory = ''] = process.argv.slice(2)
const flights = loadFlights()
const log = await openLog(directory)
const began = performance.now()
const tell = (message: WriterMessage): boolean | undefined => process.send?.(message)

let started = 0
let acknowledged = 0
const waiting = new Set<Promise<void>>()
for (const block of blocksOf(flights)) {
  started += block.length
  const done = produceBlock(log, block).then((result) => {
    waiting.delete(done)
    acknowledged += block.length
    tell({ kind: 'acknowledged', block: result })
    if (acknowledged === flights.length / 2) standStillAfterWrite(writtenBytes())
  })
  waiting.add(done)
  if (waiting.size === BLOCKS_IN_FLIGHT) await Promise.race(waiting)
}

/** Looks in every turn of the event loop, so that nothing written since the last look was acknowledged yet. */
function standStillAfterWrite(bytesBefore: number): void {
  setImmediate(() => {
    const bytes = writtenBytes()
    if (bytes > bytesBefore) standStill()
    else if (acknowledged < flights.length) standStillAfterWrite(bytes)
  })
}

function standStill(): void {
  const elapsedMs = performance.now() - began
  tell({ kind: 'standing', inFlight: started - acknowledged, elapsedMs })
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LONGEST_STAND_MS)
}

/** Size of the topic's records on the file system, synced or not. */
function writtenBytes(): number {
  let bytes = 0
  for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    if (name.startsWith(`${TOPIC}-`) && name.endsWith('.log')) {
      bytes += statSync(path.join(directory, name)).size
    }
  }
  return bytes
}
