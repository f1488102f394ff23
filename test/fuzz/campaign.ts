/** Runs the targets in turn, makes what they find small, and says how to see it again. */
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { DEFAULT_LIMITS, FuzzProcess } from './fuzz-process.ts'
import type { Failure, Limits } from './messages.ts'
import { minimize, simplerBytes } from './shrink.ts'
import type { FuzzTarget } from './target.ts'

const TIMEOUT_MS = 10_000

export interface CampaignOptions {
  readonly seed: number
  /** For all targets together. */
  readonly seconds: number
  /** Path of the module whose `TARGETS` these are. */
  readonly targetsModule: string
  readonly targets: readonly FuzzTarget[]
  /** Where inputs that fail are written. */
  readonly directory: string
  /** For making one failing input small. Default 20. */
  readonly minimizeSeconds?: number
  readonly limits?: Partial<Limits>
  /** Only this one. */
  readonly iteration?: number
  readonly print: (line: string) => void
}

export interface Finding {
  readonly target: string
  readonly iteration: number
  readonly failure: Failure
  /** With the minimized input. */
  readonly file: string
}

export interface TargetResult {
  readonly target: string
  readonly inputs: number
  readonly slowestMs: number
  readonly peakResidentBytes: number
}

export interface CampaignResult {
  readonly results: readonly TargetResult[]
  readonly findings: readonly Finding[]
}

export async function runCampaign(options: CampaignOptions): Promise<CampaignResult> {
  const { seed, seconds, targets, targetsModule, print } = options
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  const weights = targets.reduce((sum, { weight = 1 }) => sum + weight, 0)
  const runner = new FuzzProcess(targetsModule, limits)
  const results: TargetResult[] = []
  const findings: Finding[] = []
  print(`seed ${seed}, ${targets.length} targets`)
  try {
    for (const target of targets) {
      const milliseconds = (seconds * 1000 * (target.weight ?? 1)) / weights
      const { name, timeoutMs = TIMEOUT_MS } = target
      const { iteration: from = 0 } = options
      const inputs = options.iteration === undefined ? Number.MAX_SAFE_INTEGER : 1
      const request = { target: name, seed, from, milliseconds, inputs }
      const fuzzed = await runner.fuzz(request, timeoutMs)
      results.push({ target: name, ...fuzzed })
      print(line(name, fuzzed))
      if (fuzzed.failure === undefined) continue
      const at = { iteration: from + fuzzed.inputs - 1, failure: fuzzed.failure }
      findings.push(await tellFinding(options, runner, target, at))
    }
  } finally {
    runner.close()
  }
  return { results, findings }
}

function line(name: string, result: Omit<TargetResult, 'target'> & { slowestIteration: number }) {
  const { inputs, slowestMs, slowestIteration, peakResidentBytes } = result
  const megabytes = Math.round(peakResidentBytes / 2 ** 20)
  const slowest = `slowest ${slowestMs.toFixed(1)} ms (iteration ${slowestIteration})`
  return `${name.padEnd(24)} ${String(inputs).padStart(8)} inputs, ${slowest}, peak ${megabytes} MiB`
}

async function tellFinding(
  options: CampaignOptions,
  runner: FuzzProcess,
  target: FuzzTarget,
  { iteration, failure }: { iteration: number; failure: Failure },
): Promise<Finding> {
  const { seed, directory, print, minimizeSeconds = 20 } = options
  const { name, timeoutMs = TIMEOUT_MS } = target
  print(`FOUND: ${name}, seed ${seed}, iteration ${iteration}: ${failure.text}`)
  const input = await runner.inputOf({ target: name, seed, iteration }, timeoutMs)
  const smallest = await minimize(
    input,
    failure.signature,
    (bytes) => target.shrink?.(bytes) ?? simplerBytes(bytes),
    async (bytes) => (await runner.check({ target: name, input: bytes }, timeoutMs))?.signature,
    performance.now() + minimizeSeconds * 1000,
  )
  mkdirSync(directory, { recursive: true })
  const file = path.join(directory, `${name}-${seed}-${iteration}.bin`)
  writeFileSync(file, smallest)
  print(`  ${input.length} bytes made ${smallest.length}: ${file}`)
  print(`  again:        npm run fuzz -- --target ${name} --seed ${seed} --iteration ${iteration}`)
  print(`  this input:   npm run fuzz -- --target ${name} --input ${file}`)
  return { target: name, iteration, failure, file }
}

/** Runs one input in a process of its own. */
export async function checkInput(
  targetsModule: string,
  { name, timeoutMs = TIMEOUT_MS }: FuzzTarget,
  input: Buffer,
): Promise<Failure | undefined> {
  const runner = new FuzzProcess(targetsModule, DEFAULT_LIMITS)
  try {
    return await runner.check({ target: name, input }, timeoutMs)
  } finally {
    runner.close()
  }
}
