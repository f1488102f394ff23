// Runs inputs, one after another, in a process that may hang, crash or grow: whoever started it watches.
import { openSync, writeSync } from 'node:fs'
import v8 from 'node:v8'
import { FuzzRandom } from './fuzz-random.ts'
import type { Failure, Fuzzed, FuzzRequest, Reply, Request } from './messages.ts'
import { IDLE, PROGRESS_BYTES } from './messages.ts'
import type { FuzzTarget } from './target.ts'

const [, , targetsModule = '', progressFile = '', residentLimit = ''] = process.argv
const MEMORY_BYTES = 16 * 1024 * 1024
const MEMORY_FACTOR = 64
const residentBytes = Number(residentLimit)

const { TARGETS } = (await import(targetsModule)) as { TARGETS: readonly FuzzTarget[] }
const progress = openSync(progressFile, 'w')
const progressBytes = Buffer.alloc(PROGRESS_BYTES)
const prepared = new Set<FuzzTarget>()

function tell(reply: Reply): void {
  process.send?.(reply)
}

function at(iteration: number): void {
  progressBytes.writeDoubleLE(iteration, 0)
  progressBytes.writeDoubleLE(Date.now(), 8)
  writeSync(progress, progressBytes, 0, PROGRESS_BYTES, 0)
}

async function targetOf(name: string): Promise<FuzzTarget> {
  const target = TARGETS.find((each) => each.name === name)
  if (target === undefined) throw new RangeError(`there is no target ${name}`)
  if (!prepared.has(target)) await target.prepare?.()
  prepared.add(target)
  return target
}

function inputOf(target: FuzzTarget, seed: number, iteration: number): Buffer {
  return target.generate(new FuzzRandom(seed, target.name, iteration))
}

const peakResidentBytes = (): number => process.resourceUsage().maxRSS * 1024

function heldBytes(): number {
  const { used_heap_size: heap, external_memory: external } = v8.getHeapStatistics()
  return heap + external
}

async function failureOf(target: FuzzTarget, input: Buffer): Promise<Failure | undefined> {
  const before = heldBytes()
  try {
    const running = target.run(input)
    if (running instanceof Promise) await running.then(nextTurn)
  } catch (error) {
    return described(error)
  }
  const grown = heldBytes() - before
  const allowed = (target.memoryBytes ?? MEMORY_BYTES) + MEMORY_FACTOR * input.length
  if (grown > allowed) {
    return { signature: 'memory held', text: `${grown} bytes are held after ${input.length}` }
  }
  const peak = peakResidentBytes()
  if (peak <= residentBytes) return undefined
  return { signature: 'memory', text: `the process grew to ${peak} bytes` }
}

/** A rejection that nobody has handled by now ends the process. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** Numbers differ from one input to the next. */
function described(error: unknown): Failure {
  if (!(error instanceof Error)) return { signature: String(error), text: String(error) }
  const place = /\n\s+at .*?([\w-]+\.ts)/.exec(error.stack ?? '')?.[1] ?? ''
  const message = error.message.split('\n', 1)[0] ?? ''
  const signature = `${error.name} ${place} ${message.replace(/\d+/g, '#').slice(0, 60)}`
  return { signature, text: error.stack ?? String(error) }
}

async function fuzz(request: FuzzRequest): Promise<Fuzzed> {
  const target = await targetOf(request.target)
  const end = performance.now() + request.milliseconds
  let slowestMs = 0
  let slowestIteration = request.from
  let failure: Failure | undefined
  let iteration = request.from
  const last = request.from + request.inputs
  while (iteration < last && failure === undefined && performance.now() < end) {
    at(iteration)
    const input = inputOf(target, request.seed, iteration)
    const began = performance.now()
    failure = await failureOf(target, input)
    const tookMs = performance.now() - began
    if (tookMs > slowestMs) {
      slowestMs = tookMs
      slowestIteration = iteration
    }
    iteration += 1
  }
  at(IDLE)
  const inputs = iteration - request.from
  return { inputs, slowestMs, slowestIteration, peakResidentBytes: peakResidentBytes(), failure }
}

async function answer(request: Request): Promise<void> {
  if (request.do === 'fuzz') {
    tell({ told: 'fuzzed', result: await fuzz(request) })
    return
  }
  const target = await targetOf(request.target)
  at(0)
  if (request.do === 'generate') {
    tell({ told: 'generated', input: inputOf(target, request.seed, request.iteration) })
  } else {
    tell({ told: 'checked', failure: await failureOf(target, Buffer.from(request.input)) })
  }
  at(IDLE)
}

at(IDLE)
process.on('message', (request: Request) => void answer(request))
tell({ told: 'ready' })
