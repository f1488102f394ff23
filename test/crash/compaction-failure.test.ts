// A compaction that the disk refuses, at each of its file-system operations: what the log goes on to do, and what it says.
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { LogError } from '../../src/index.ts'
import {
  CompactionScene,
  expectNoLeftOvers,
  PreparedLog,
  TOPICS,
} from '../support/compaction-scene.ts'
import { at } from '../support/failure-place.ts'
import type { FaultRule, Operation, OperationName } from '../support/fault-file-system.ts'

const SEED = Number(process.env['BROKERLESS_SEED'] ?? Date.now() % 2 ** 31)
/** Every operation takes a minute: otherwise some of them are tried. */
const isWhole = Number(process.env['BROKERLESS_ROUNDS'] ?? 200) >= 1000
/** What needs room, or may be told late that there is none. */
const NEEDS_ROOM: ReadonlySet<OperationName> = new Set<OperationName>([
  'create',
  'write',
  'rename',
  'sync',
  'syncDirectory',
])
const CHANGING: ReadonlySet<OperationName> = new Set([...NEEDS_ROOM, 'unlink', 'truncate'])
const CHECK_INTERVAL_MS = 15_000

let prepared: PreparedLog
/** Of a compaction that nothing fails, reading ones among them. */
let operations: readonly Operation[] = []

before(async () => {
  prepared = await PreparedLog.make(true)
  const scene = await CompactionScene.make(prepared)
  await scene.compact(true)
  operations = scene.fileSystem.operations.slice(scene.begins)
  await scene.log.close()
})

/** What a caller is told, and whether that may be. */
function expectRefusal(scene: CompactionScene, error: unknown, code: string): void {
  assert.ok(error instanceof LogError, `${error}`)
  const expected = code === 'EIO' ? 'COMPACTION_FAILED' : 'DISK_FULL'
  assert.equal(error.code, closedTopics(scene).size === 0 ? expected : 'STORAGE_FAILED')
  assert.equal(error.retryable, error.code === 'DISK_FULL')
}

/** Topics that were closed to writes, which was told. */
function closedTopics({ failures }: CompactionScene): Set<string> {
  const closed = failures.filter(({ error }) => 'code' in error && error.code === 'STORAGE_FAILED')
  return new Set(closed.map(({ topic }) => topic ?? ''))
}

/** Whatever a failure has left, the log goes on; what it refuses it says, and the next compaction makes up for it. */
async function useAfterFailure(scene: CompactionScene): Promise<void> {
  const { log, fileSystem } = scene
  const closed = closedTopics(scene)
  await scene.expectAll(log)
  await scene.produce(!closed.has('users'))
  await scene.expectAll(log)
  for (const topic of TOPICS) {
    if (closed.has(topic)) await assert.rejects(log.compact(topic), { code: 'STORAGE_FAILED' })
    else await log.compact(topic)
  }
  await scene.expectAll(log, !closed.has('users'))
  if (closed.size > 0) await assert.rejects(log.close(), { code: 'STORAGE_FAILED' })
  else await log.close()
  const again = await scene.recover(fileSystem.processKill())
  await scene.expectAll(again)
  await again.close()
}

/** Compacts while the rule holds, then goes on without it. */
async function failWhile(code: string, what: string, rule: (scene: CompactionScene) => FaultRule) {
  const scene = await CompactionScene.make(prepared)
  const stop = scene.fileSystem.failWhen(rule(scene))
  await at(`${code} at ${what}`, SEED, async () => {
    const error = await scene.compact(true).then(
      () => undefined,
      (reason: unknown) => reason,
    )
    stop()
    if (error !== undefined) expectRefusal(scene, error, code)
    await useAfterFailure(scene)
  })
}

/** Of the operations those that are tried, each third or fourth, say; another part of them with each seed. */
function someOf(stride: number): [number, Operation][] {
  assert.ok(operations.length > 200, `${operations.length} operations`)
  return [...operations.entries()].filter(([index]) => isWhole || (index + SEED) % stride === 0)
}

const described = (index: number, { name, path, dest = '' }: Operation): string =>
  `${index} (${name} ${path} ${dest})`

test('whatever operation of a compaction fails, the records stay, the log goes on, and the next compaction makes up for it', async () => {
  const reading = new Set(someOf(3).map(([index]) => index))
  for (const [index, operation] of someOf(1)) {
    if (!CHANGING.has(operation.name) && !reading.has(index)) continue
    await failWhile('EIO', described(index, operation), ({ begins }) => (each) => {
      return each.index === begins + index ? 'EIO' : undefined
    })
  }
})

test('so where there is no room for it', async () => {
  for (const [index, operation] of someOf(1)) {
    if (!NEEDS_ROOM.has(operation.name)) continue
    const code = index % 2 === 0 ? 'ENOSPC' : 'EDQUOT'
    await failWhile(code, described(index, operation), ({ begins }) => (each) => {
      return each.index === begins + index ? code : undefined
    })
  }
})

test('so where some operations in a row fail, what was to undo the first of them among them', async () => {
  for (const [index, operation] of someOf(4)) {
    await failWhile('EIO', `3 from ${described(index, operation)}`, ({ begins }) => {
      const first = begins + index
      return ({ index: each = -1 }) => (each >= first && each < first + 3 ? 'EIO' : undefined)
    })
  }
})

test('however little room there is a compaction takes none of it for good, and the next one succeeds with more', async () => {
  let refused = 0
  for (let room = 0; room < 12_000; room += 400) {
    const scene = await CompactionScene.make(prepared)
    const { fileSystem } = scene
    fileSystem.capacityBytes = fileSystem.usedBytes + room
    const error = await scene.compact(true).then(
      () => undefined,
      (reason: unknown) => reason,
    )
    if (error !== undefined) {
      expectRefusal(scene, error, 'ENOSPC')
      refused += 1
    }
    await scene.expectAll(scene.log)
    await expectNoLeftOvers(fileSystem, /\.(?:cleaned|swap)$/)
    fileSystem.capacityBytes = Number.POSITIVE_INFINITY
    await useAfterFailure(scene)
  }
  assert.ok(refused > 3 && refused < 30, `${refused} were refused`)
})

test('in the background a full disk is told once, and the compaction is made when there is room', async () => {
  const scene = await CompactionScene.make(prepared)
  const { fileSystem, clock, failures, log } = scene
  fileSystem.capacityBytes = fileSystem.usedBytes
  for (let check = 0; check < 3; check += 1) await clock.advance(CHECK_INTERVAL_MS)
  const told = failures.map(({ error }) => [
    (error as LogError).code,
    (error as LogError).retryable,
  ])
  assert.deepEqual(told, [['DISK_FULL', true]])
  await scene.expectAll(log)
  fileSystem.capacityBytes = Number.POSITIVE_INFINITY
  const before = fileSystem.usedBytes
  await clock.advance(CHECK_INTERVAL_MS)
  assert.ok(fileSystem.usedBytes < before)
  assert.equal(failures.length, 1)
  await useAfterFailure(scene)
})

test('in the background another failure is told once, and the partition is left to a caller', async () => {
  const scene = await CompactionScene.make(prepared)
  const { fileSystem, clock, failures } = scene
  const stop = fileSystem.failWhen(({ name, path }) =>
    name === 'write' && path.endsWith('.log.cleaned') ? 'EIO' : undefined,
  )
  await clock.advance(CHECK_INTERVAL_MS)
  stop()
  const before = fileSystem.usedBytes
  await clock.advance(3 * CHECK_INTERVAL_MS)
  assert.equal(fileSystem.usedBytes, before)
  assert.deepEqual(
    failures.map(({ error }) => (error as LogError).code),
    ['COMPACTION_FAILED'],
  )
  await useAfterFailure(scene)
})
