// Transactions, cut at each of their file-system operations: what the next open finds is all of one or nothing, and nobody has seen a half.
import assert from 'node:assert/strict'
import path from 'node:path'
import { verifyDirectory } from '../../src/inspect/directory-check.ts'
import type { Finding } from '../../src/inspect/finding.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { at } from '../support/failure-place.ts'
import type { PowerCutOptions } from '../support/fault-file-system.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import { randomInteger, seededRandom } from '../support/random.ts'
import { testInThread } from '../support/thread.ts'
import { TransactionEvidence } from '../support/transaction-evidence.ts'
import { DIRECTORY, TransactionRun } from '../support/transaction-run.ts'
import type { Scenario } from '../support/transaction-scenarios.ts'
import { prepare, SCENARIOS } from '../support/transaction-scenarios.ts'

const SEED = Number(process.env['BROKERLESS_SEED'] ?? Date.now() % 2 ** 31)
/** All scenarios at all of their operations take minutes: otherwise only the first one has all of them. */
const ROUNDS = Number(process.env['BROKERLESS_ROUNDS'] ?? 200)
const isWhole = ROUNDS >= 1000
const OTHERS_STRIDE = 35
/** Of the cuts: those in whose recovery the power is cut again. */
const AGAIN_STRIDE = isWhole ? 1 : 3
/** Random outcomes of each crash. */
const OUTCOMES = Math.ceil(ROUNDS / 1000)
const THREAD = { url: import.meta.url, seed: SEED }
const TURNS_AFTER_END = 20

interface Scene {
  readonly fileSystem: FaultFileSystem
  readonly evidence: TransactionEvidence
  /** Operations before the scenario. */
  readonly first: number
}

/** Plays a scenario until it ends or is cut, and closes the log. `fail` is told the number of the scenario's first operation. */
async function play(
  scenario: Scenario,
  fail: (fileSystem: FaultFileSystem, first: number) => void = () => {},
  mayRetry = false,
): Promise<Scene> {
  const clock = new ManualClock()
  const fileSystem = new FaultFileSystem({ clock })
  const evidence = new TransactionEvidence()
  const run = new TransactionRun(fileSystem, evidence, scenario, clock)
  await prepare(run, scenario)
  const first = fileSystem.operations.length
  fail(fileSystem, first)
  let isOver = false
  const played = playOn(scenario, run).finally(() => {
    isOver = true
  })
  // It is waited for below.
  played.catch(() => {})
  // What is cut may be waiting for an answer that never comes.
  for (let left = TURNS_AFTER_END; !isOver && left > 0; ) {
    await new Promise((resolve) => setImmediate(resolve))
    if (fileSystem.hasEnded) left -= 1
  }
  if (isOver) await played
  return { fileSystem, evidence, first }

  async function playOn({ run: work }: Scenario, run: TransactionRun): Promise<void> {
    try {
      await work(run)
      if (mayRetry) {
        // What has found no room is tried again after some time.
        fileSystem.capacityBytes = Number.POSITIVE_INFINITY
        await run.advance(2000)
      }
      await run.check(true)
      await run.tryToClose()
    } catch (error) {
      if (!fileSystem.hasEnded) throw error
    }
  }
}

/** Opens what is left, looks whether all is as promised, and goes on. */
async function recover(
  scenario: Scenario,
  fileSystem: FaultFileSystem,
  evidence: TransactionEvidence,
): Promise<void> {
  const run = new TransactionRun(fileSystem, evidence, scenario)
  await run.reopen()
  await run.goOn('after')
  await run.close()
  await expectSound(fileSystem, run.damaged)
  await run.reopen()
}

/** What was recovered and closed bears itself out, but for the damage that recovery has told. */
async function expectSound(
  fileSystem: FaultFileSystem,
  damaged: ReadonlySet<string>,
): Promise<void> {
  const findings: Finding[] = []
  const onFinding = (finding: Finding): void => void findings.push(finding)
  const { state } = await verifyDirectory({ fileSystem, directory: DIRECTORY, onFinding })
  assert.equal(state, 'closed')
  for (const { severity, kind, file, message } of findings) {
    if (severity === 'information' || kind === 'lost-write') continue
    const isTold = kind.startsWith('batch-') && damaged.has(path.dirname(file))
    assert.ok(isTold, `${kind} in ${file}: ${message}`)
  }
}

/** Opens it, and once more what a power cut leaves of that: what readers were shown stays as it was. */
async function recoverAfter(
  scenario: Scenario,
  fileSystem: FaultFileSystem,
  evidence: TransactionEvidence,
  outcome: PowerCutOptions,
): Promise<void> {
  await new TransactionRun(fileSystem, evidence, scenario).reopen()
  await recover(scenario, fileSystem.powerCut(outcome), evidence)
}

/** Another power cut within the recovery. */
async function recoverTwice(
  scenario: Scenario,
  fileSystem: FaultFileSystem,
  evidence: TransactionEvidence,
  { cut, outcome }: { readonly cut: number; readonly outcome: PowerCutOptions },
): Promise<void> {
  fileSystem.cutAt(cut)
  const run = new TransactionRun(fileSystem, evidence, scenario)
  await run.reopen().catch((error: unknown) => {
    if (!fileSystem.hasEnded) throw error
  })
  await recover(scenario, fileSystem.powerCut(outcome), evidence)
}

function nameOf({ fileSystem }: Scene, operation: number): string {
  const { name, path, dest = '' } = fileSystem.operations[operation] ?? {}
  return name === undefined ? 'the end' : `${name} ${path} ${dest}`
}

/** Those at which to look: for the whole all of them, else of the first scenario one of `stride`, and of others fewer; another choice with each seed. */
async function operationsOf(scenario: Scenario, stride = 1): Promise<number[]> {
  const { fileSystem, first } = await play(scenario)
  const count = fileSystem.operations.length - first + 1
  assert.ok(count > 10, `${scenario.name} has ${count} operations`)
  const all = Array.from({ length: count }, (_, index) => first + index)
  const every = isWhole ? 1 : scenario === SCENARIOS[0] ? stride : OTHERS_STRIDE
  return all.filter((index) => (index + SEED) % every === 0)
}

testInThread(
  'after a power cut at any operation a transaction is there as a whole or not at all, and as it was acknowledged',
  THREAD,
  async () => {
    const random = seededRandom(SEED)
    for (const scenario of SCENARIOS) {
      for (const cut of await operationsOf(scenario)) {
        const scene = await play(scenario, (fileSystem) => fileSystem.cutAt(cut))
        const seeds = Array.from({ length: OUTCOMES }, () => ({
          seed: randomInteger(random, 2 ** 31),
        }))
        for (const outcome of [{ mode: 'lose-all' }, { mode: 'keep-all' }, ...seeds] as const) {
          const place = `${scenario.name}, cut at ${cut} (${nameOf(scene, cut)}), ${JSON.stringify(outcome)}`
          await at(place, SEED, async () => {
            const found = scene.fileSystem.powerCut(outcome)
            await recover(scenario, found, scene.evidence.clone())
            if (!('mode' in outcome) || (cut + SEED) % AGAIN_STRIDE !== 0) return
            const second = {
              cut: randomInteger(random, found.operations.length),
              outcome: { seed: randomInteger(random, 2 ** 31) },
            }
            const again = scene.fileSystem.powerCut(outcome)
            await recoverTwice(scenario, again, scene.evidence.clone(), second)
          })
        }
      }
    }
  },
)

testInThread(
  'after a kill at any operation it is the same, and a power cut takes nothing that was served since',
  THREAD,
  async () => {
    for (const scenario of SCENARIOS) {
      for (const cut of await operationsOf(scenario)) {
        const scene = await play(scenario, (fileSystem) => fileSystem.cutAt(cut))
        const outcome = cut % 4 < 2 ? { mode: 'lose-all' as const } : { seed: SEED + cut }
        await at(`${scenario.name}, killed at ${cut} (${nameOf(scene, cut)})`, SEED, () =>
          recoverAfter(scenario, scene.fileSystem.processKill(), scene.evidence, outcome),
        )
      }
    }
  },
)

/** How operations fail from one on. */
const FAULTS = {
  EIO: (fileSystem: FaultFileSystem, failing: number) => fileSystem.failAt(failing, 'EIO'),
  ENOSPC: (fileSystem: FaultFileSystem, failing: number) => fileSystem.failAt(failing, 'ENOSPC'),
  /** There is no room any more, until somebody waits for it. */
  full: (fileSystem: FaultFileSystem, failing: number) =>
    fileSystem.failWhen(({ index }) => {
      if (index === failing) fileSystem.capacityBytes = fileSystem.usedBytes
      return undefined
    }),
} as const

testInThread(
  'where an operation fails, or the disk is full from then on, no half of a transaction is seen, then or after the next open',
  THREAD,
  async () => {
    for (const scenario of SCENARIOS) {
      for (const failing of await operationsOf(scenario, 2)) {
        const fault = (['EIO', 'ENOSPC', 'full'] as const)[(failing + SEED) % 3] ?? 'EIO'
        await at(`${scenario.name}, ${fault} at ${failing}`, SEED, async () => {
          const fail = (fileSystem: FaultFileSystem) => FAULTS[fault](fileSystem, failing)
          const scene = await play(scenario, fail, true)
          await at(nameOf(scene, failing), SEED, async () => {
            const { fileSystem, evidence } = scene
            const killed = fileSystem.processKill()
            killed.capacityBytes = Number.POSITIVE_INFINITY
            // Names cannot be written again: those of a directory whose sync has failed may be lost.
            const isLost = fileSystem.operations[failing]?.name === 'syncDirectory'
            if (isLost) await recover(scenario, killed, evidence)
            else await recoverAfter(scenario, killed, evidence, { mode: 'lose-all' })
          })
        })
      }
    }
  },
)
