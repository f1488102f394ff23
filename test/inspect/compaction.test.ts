// What a compaction leaves, done or cut at any of its file-system operations, bears itself out.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Log } from '../../src/index.ts'
import { verifyDirectory } from '../../src/inspect/directory-check.ts'
import type { Finding } from '../../src/inspect/finding.ts'
import { ManualClock, MemoryFileSystem } from '../../src/testing/index.ts'
import type { FileSystem } from '../../src/types.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import { loseLockHolder } from '../support/lock-holder.ts'
import { randomInteger, seededRandom } from '../support/random.ts'
import { SteppedFileSystem } from '../support/stepped-file-system.ts'

const DIRECTORY = '/data'
const CONFIG = { cleanupPolicy: 'compact', segmentBytes: 1500, indexIntervalBytes: 200 } as const

/** Writes keys again and again; `compacting` is called before they are compacted. */
async function play(fileSystem: FileSystem, compacting: () => void, rounds = 2): Promise<void> {
  const clock = new ManualClock()
  const topics = { users: { value: 'string', ...CONFIG } } as const
  const log = await Log.open(DIRECTORY, { fileSystem, clock, topics })
  const write = async (round: number): Promise<void> => {
    for (let call = 0; call < 30; call += 1) {
      const value = call % 7 === 0 ? null : `${round} ${'x'.repeat(call)}`
      await log.produce('users', [
        { key: `k${call % 8}`, value },
        { key: `rare-${call}`, value: 'y' },
      ])
    }
  }
  for (let round = 1; round <= rounds; round += 1) {
    await write(round)
    if (round === rounds) compacting()
    await log.compact('users')
  }
  await log.close()
}

async function found(fileSystem: FileSystem): Promise<{ state: string; findings: Finding[] }> {
  const findings: Finding[] = []
  const onFinding = (finding: Finding): void => void findings.push(finding)
  const { state } = await verifyDirectory({ fileSystem, directory: DIRECTORY, onFinding })
  return { state, findings }
}

const isWorse = ({ severity }: Finding): boolean => severity !== 'information'

test('a log that was compacted twice and closed is sound, and its gaps are told', async () => {
  const fileSystem = new FaultFileSystem()
  await play(fileSystem, () => {})
  const { state, findings } = await found(fileSystem)
  assert.equal(state, 'closed')
  assert.deepEqual([...new Set(findings.map(({ kind }) => kind))], ['gap'])
})

test('a compaction that is killed, or cut from its power, at any operation leaves no damage', async () => {
  let first = 0
  const whole = new FaultFileSystem()
  await play(whole, () => {
    first = whole.operations.length
  })
  const last = whole.operations.length
  const halfDone = new Set<string>()
  for (let cut = first; cut < last; cut += 1) {
    const fileSystem = new FaultFileSystem()
    fileSystem.cutAt(cut)
    await assert.rejects(play(fileSystem, () => {}))
    const { name, path, dest } = fileSystem.operations.at(-1) ?? {}
    const left = [
      fileSystem.processKill(),
      fileSystem.powerCut({ mode: 'lose-all' }),
      fileSystem.powerCut({ seed: cut }),
    ]
    for (const each of left) {
      await loseLockHolder(each, DIRECTORY)
      const { findings } = await found(each)
      // What was not synced may be gone, what was is whole.
      assert.deepEqual(findings.filter(isWorse), [], `cut at ${cut}: ${name} ${path} ${dest}`)
      for (const { kind, file } of findings) {
        if (kind === 'half-done') halfDone.add(file.slice(file.lastIndexOf('.')))
      }
    }
  }
  assert.deepEqual([...halfDone].sort(), ['.cleaned', '.swap', '.tmp'])
})

test('a live writer that stops at any step of a compaction leaves no damage', async () => {
  const fileSystem = new SteppedFileSystem(new MemoryFileSystem())
  let live = 0
  await play(fileSystem, () => {
    fileSystem.before = async (what) => {
      const { state, findings } = await found(fileSystem.inner)
      if (state === 'live') live += 1
      assert.deepEqual(findings.filter(isWorse), [], what)
    }
  })
  assert.ok(live > 60, `${live}`)
})

/** Moves on from state to state with the operations that it is asked for, and ends with the last. */
function passing(states: readonly MemoryFileSystem[], from: number, seed: number): FileSystem {
  const random = seededRandom(seed)
  let at = from
  return new Proxy(states[from] as MemoryFileSystem, {
    get(_, name: keyof FileSystem) {
      const steps = randomInteger(random, 8) === 0 ? randomInteger(random, 40) : 0
      at = Math.min(states.length - 1, at + steps)
      const state = states[at] as FileSystem
      return (state[name] as (...args: never[]) => unknown).bind(state)
    },
  })
}

test('verified while a writer compacts, nothing is damaged', async () => {
  const fileSystem = new SteppedFileSystem(new MemoryFileSystem())
  const states: MemoryFileSystem[] = []
  const compacting = (): void => {
    fileSystem.before = async () => {
      states.push((fileSystem.inner as MemoryFileSystem).clone())
    }
  }
  // In the third, what the second has left of small segments becomes one.
  await play(fileSystem, compacting, 3)
  const kinds = new Set<string>()
  for (let seed = 0; seed < 200; seed += 1) {
    const { state, findings } = await found(passing(states, seed % states.length, seed))
    if (state !== 'live') continue
    assert.deepEqual(findings.filter(isWorse), [], `seed ${seed}`)
    for (const { kind } of findings) kinds.add(kind)
  }
  assert.ok(kinds.has('gap') && kinds.has('changed'), `${[...kinds]}`)
})
