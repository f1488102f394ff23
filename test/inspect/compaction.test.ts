// What a compaction leaves, done or cut at any of its file-system operations, bears itself out.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Log } from '../../src/index.ts'
import { verifyDirectory } from '../../src/inspect/directory-check.ts'
import type { Finding } from '../../src/inspect/finding.ts'
import { ManualClock } from '../../src/testing/index.ts'
import type { FileSystem } from '../../src/types.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import { loseLockHolder } from '../support/lock-holder.ts'

const DIRECTORY = '/data'
const CONFIG = { cleanupPolicy: 'compact', segmentBytes: 1500, indexIntervalBytes: 200 } as const

/** Writes keys again and again; `compacting` is called before they are compacted. */
async function play(fileSystem: FaultFileSystem, compacting: () => void): Promise<void> {
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
  await write(1)
  await log.compact('users')
  await write(2)
  compacting()
  await log.compact('users')
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
