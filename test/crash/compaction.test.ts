// A compaction that is cut at each of its file-system operations, and what the next open finds.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CompactionScene, PreparedLog, TOPICS } from '../support/compaction-scene.ts'
import { at } from '../support/failure-place.ts'
import type { FaultFileSystem, PowerCutOptions } from '../support/fault-file-system.ts'

const SEED = Number(process.env['BROKERLESS_SEED'] ?? Date.now() % 2 ** 31)
/** Every outcome of every cut takes a minute: otherwise each cut has some of them. */
const isWhole = Number(process.env['BROKERLESS_ROUNDS'] ?? 200) >= 1000

/** Operations of a compaction that nothing cuts. */
async function operationsOf(prepared: PreparedLog, roll: boolean): Promise<number> {
  const scene = await CompactionScene.make(prepared)
  await scene.compact(roll)
  const operations = scene.fileSystem.operations.length - scene.begins
  await scene.expectAll(scene.log, roll)
  await scene.log.close()
  return operations
}

/** What is left of a compaction that ends at one of its operations. */
async function cutAt(prepared: PreparedLog, index: number, roll: boolean) {
  const scene = await CompactionScene.make(prepared)
  scene.fileSystem.cutAt(scene.begins + index)
  await scene.compact(roll).catch(() => {})
  assert.ok(scene.fileSystem.hasEnded)
  const { name, path, dest } = scene.fileSystem.operations.at(-1) ?? {}
  return { scene, what: `cut at ${index} (${name} ${path} ${dest ?? ''})` }
}

/** What was left is opened, and compacted once more, which leaves what an undisturbed compaction leaves. */
async function recover(scene: CompactionScene, left: FaultFileSystem): Promise<void> {
  const log = await scene.recover(left)
  await scene.expectAll(log)
  for (const topic of TOPICS) {
    const [done] = await log.compact(topic)
    assert.equal(done?.damagedSegments, 0)
  }
  await scene.expectAll(log, true)
  await log.close()
  await scene.expectSequences(left)
}

/** That nothing unsynced was kept; and in turn that all was, as after a kill, and what lies between. */
function outcomesOf(cut: number): readonly PowerCutOptions[] {
  const seeds = [1, 2].map((index) => ({ seed: SEED + 10 * cut + index }))
  const others: readonly PowerCutOptions[] = [{ mode: 'keep-all' }, ...seeds]
  const chosen = others.filter((_, index) => isWhole || index === cut % others.length)
  return [{ mode: 'lose-all' }, ...chosen]
}

test('after a power cut at any operation of a compaction each key has its last record, and what was deleted is not back', async (t) => {
  t.diagnostic(`BROKERLESS_SEED=${SEED}`)
  const prepared = await PreparedLog.make()
  const operations = await operationsOf(prepared, true)
  assert.ok(operations > 100, `${operations} operations`)
  for (let cut = 0; cut < operations; cut += 1) {
    const { scene, what } = await cutAt(prepared, cut, true)
    for (const outcome of outcomesOf(cut)) {
      await at(`${what}, ${JSON.stringify(outcome)}`, SEED, () =>
        recover(scene, scene.fileSystem.powerCut(outcome)),
      )
    }
  }
})

test('so where the active segment has records that are not synced, which may supersede what is compacted', async () => {
  const prepared = await PreparedLog.make()
  const operations = await operationsOf(prepared, false)
  for (let cut = 0; cut < operations; cut += 1) {
    if (!isWhole && (cut + SEED) % 5 > 0) continue
    const { scene, what } = await cutAt(prepared, cut, false)
    await at(what, SEED, () => recover(scene, scene.fileSystem.powerCut({ mode: 'lose-all' })))
    await at(what, SEED, () => recover(scene, scene.fileSystem.powerCut({ seed: SEED + cut })))
  }
})

test('what is there after a kill at any operation of a compaction, and an open, stays over a power cut that follows', async () => {
  const prepared = await PreparedLog.make()
  const operations = await operationsOf(prepared, true)
  for (let cut = 0; cut < operations; cut += 1) {
    if (!isWhole && (cut + SEED) % 3 > 0) continue
    const { scene, what } = await cutAt(prepared, cut, true)
    await at(what, SEED, async () => {
      const left = scene.fileSystem.processKill()
      const log = await scene.recover(left)
      await scene.expectAll(log)
      await recover(scene, left.powerCut({ mode: 'lose-all' }))
    })
  }
})
