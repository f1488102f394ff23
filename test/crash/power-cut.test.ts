// A scripted run, cut at each of its file-system operations, and what the next open finds.
import assert from 'node:assert/strict'
import path from 'node:path'
import { verifyDirectory } from '../../src/inspect/directory-check.ts'
import type { Finding } from '../../src/inspect/finding.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { CrashEvidence } from '../support/crash-evidence.ts'
import { CrashRun, DIRECTORY, RunEnded, runScript } from '../support/crash-run.ts'
import { at } from '../support/failure-place.ts'
import type { PowerCutOptions } from '../support/fault-file-system.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import { randomInteger, seededRandom } from '../support/random.ts'
import { testInThread } from '../support/thread.ts'

const SEED = Number(process.env['BROKERLESS_SEED'] ?? Date.now() % 2 ** 31)
/** Every outcome of every crash takes minutes: otherwise each crash has some of them, by the seed. */
const ROUNDS = Number(process.env['BROKERLESS_ROUNDS'] ?? 200)
const isWhole = ROUNDS >= 1000
const THREAD = { url: import.meta.url, seed: SEED }

interface Scene {
  readonly fileSystem: FaultFileSystem
  readonly evidence: CrashEvidence
}

/** Plays the script until it ends or is cut. */
async function play(prepare: (fileSystem: FaultFileSystem) => void): Promise<Scene> {
  const clock = new ManualClock()
  const fileSystem = new FaultFileSystem({ clock })
  prepare(fileSystem)
  const evidence = new CrashEvidence()
  await untilEnd(runScript(new CrashRun(fileSystem, evidence, clock)))
  return { fileSystem, evidence }
}

async function untilEnd(run: Promise<void>): Promise<void> {
  await run.catch((error: unknown) => {
    if (!(error instanceof RunEnded)) throw error
  })
}

function lastOperation({ fileSystem }: Scene): string {
  const last = fileSystem.operations.at(-1)
  return last === undefined ? 'nothing' : `${last.name} ${last.path} ${last.dest ?? ''}`
}

/** Opens what a crash has left, checks it, and uses it as far as it goes. */
async function recover(
  fileSystem: FaultFileSystem,
  evidence: CrashEvidence,
  survives: 'disk' | 'os',
): Promise<void> {
  const run = new CrashRun(fileSystem, evidence)
  await run.reopen(survives)
  await run.goOn()
  await run.close()
  await expectSound(fileSystem, evidence)
  await run.reopen('os')
}

/** What was recovered and closed bears itself out, byte for byte, but for the damage that recovery has told. */
async function expectSound(fileSystem: FaultFileSystem, evidence: CrashEvidence): Promise<void> {
  const findings: Finding[] = []
  const onFinding = (finding: Finding): void => void findings.push(finding)
  const { state } = await verifyDirectory({ fileSystem, directory: DIRECTORY, onFinding })
  assert.equal(state, 'closed')
  for (const { severity, kind, file, message } of findings) {
    if (severity === 'information' || kind === 'lost-write') continue
    const isTold = kind.startsWith('batch-') && evidence.damaged.has(path.dirname(file))
    assert.ok(isTold, `${kind} in ${file}: ${message}`)
  }
}

/** Another crash at a random operation of the recovery, or shortly after it. */
async function recoverTwice(
  found: () => FaultFileSystem,
  before: CrashEvidence,
  operations: number,
  random: () => number,
): Promise<void> {
  const fileSystem = found()
  const evidence = before.clone()
  fileSystem.cutAt(randomInteger(random, operations))
  await recover(fileSystem, evidence, 'disk').catch((error: unknown) => {
    if (!fileSystem.hasEnded) throw error
  })
  await recover(fileSystem.powerCut({ random }), evidence, 'disk')
}

/** Always for the whole, else for one of every `stride`: another one with each seed. */
function isChosen(index: number, stride: number): boolean {
  return isWhole || (index + SEED) % stride === 0
}

/** All operations, or one of every `stride`. */
async function someOperations(stride: number): Promise<number[]> {
  const { fileSystem } = await play(() => {})
  const count = fileSystem.operations.length
  assert.ok(count > 500, `the script has ${count} operations`)
  const all = Array.from({ length: count + 1 }, (_, index) => index)
  return all.filter((index) => isChosen(index, stride))
}

/** That nothing was kept, and at every second operation one of the others. */
function outcomesOf(cut: number): readonly PowerCutOptions[] {
  const others: readonly PowerCutOptions[] = [
    { mode: 'keep-all' },
    ...[1, 2, 3].map((index) => ({ seed: SEED + 10 * cut + index })),
  ]
  const chosen = others.filter((_, index) => isChosen(cut + 2 * index, 2 * others.length))
  return [{ mode: 'lose-all' }, ...chosen]
}

testInThread(
  'after a power cut at any operation all that was promised is there, nothing is half there, and no offset has two contents',
  THREAD,
  async () => {
    const random = seededRandom(SEED)
    for (const cut of await someOperations(1)) {
      const scene = await play((fileSystem) => fileSystem.cutAt(cut))
      for (const [index, outcome] of outcomesOf(cut).entries()) {
        await at(
          `cut at ${cut} (${lastOperation(scene)}), ${JSON.stringify(outcome)}`,
          SEED,
          async () => {
            const found = (): FaultFileSystem => scene.fileSystem.powerCut(outcome)
            const fileSystem = found()
            await recover(fileSystem, scene.evidence.clone(), 'disk')
            if (!isChosen(cut + 2 * index, 6)) return
            await recoverTwice(found, scene.evidence, fileSystem.operations.length, random)
          },
        )
      }
    }
  },
)

testInThread(
  'after a kill at any operation all that was acknowledged is there, and a power cut takes nothing that was served since',
  THREAD,
  async () => {
    for (const cut of await someOperations(4)) {
      const scene = await play((fileSystem) => fileSystem.cutAt(cut))
      await at(`killed at ${cut} (${lastOperation(scene)})`, SEED, async () => {
        const fileSystem = scene.fileSystem.processKill()
        const run = new CrashRun(fileSystem, scene.evidence)
        await run.reopen('os')
        await run.goOn()
        await recover(fileSystem.powerCut({ seed: SEED + cut }), scene.evidence, 'disk')
      })
    }
  },
)

testInThread(
  'after any operation has failed, and a kill, what the next open serves is still there after a power cut',
  THREAD,
  async () => {
    for (const failing of await someOperations(5)) {
      const code = (failing + SEED) % 2 === 0 ? 'EIO' : 'ENOSPC'
      const scene = await play((fileSystem) => fileSystem.failAt(failing, code))
      const { name, path } = scene.fileSystem.operations[failing] ?? {}
      await at(`${code} at ${failing} (${name} ${path})`, SEED, async () => {
        const fileSystem = scene.fileSystem.processKill()
        await new CrashRun(fileSystem, scene.evidence).reopen('os')
        // Bytes are written again, names cannot be: those of a directory whose sync has failed may be lost.
        if (name === 'syncDirectory') return
        const outcome =
          (failing + SEED) % 4 < 2 ? { mode: 'lose-all' as const } : { seed: SEED + failing }
        await recover(fileSystem.powerCut(outcome), scene.evidence, 'disk')
      })
    }
  },
)
