// The argument of a swap, step by step: wherever it is cut, and its completion as well, the old files are there or the new one.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeBatch } from '../../src/codec/batch-encoder.ts'
import { finishHalfDone } from '../../src/storage/partition-directory.ts'
import { commitSwap, completeSwap, undoCommit } from '../../src/storage/segment-swap.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import { readFileBytes, writeFileBytes } from '../support/storage-environment.ts'

const DIRECTORY = '/data/t-0'
const [X, Y, Z] = [0, 10, 20]
const LAST_COVERED = 19

type Files = Readonly<Record<string, string>>

const nameOf = (baseOffset: number, kind: string): string =>
  `${String(baseOffset).padStart(20, '0')}.${kind}`

const OLD: Files = {
  [nameOf(X, 'log')]: 'old X',
  [nameOf(X, 'index')]: 'old index of X',
  [nameOf(X, 'timeindex')]: 'old time index of X',
  [nameOf(X, 'txnindex')]: 'old transactions of X',
  [nameOf(Y, 'log')]: 'old Y',
  [nameOf(Y, 'index')]: 'index of Y',
  [nameOf(Y, 'timeindex')]: 'time index of Y',
  [nameOf(Y, 'txnindex')]: 'transactions of Y',
  [nameOf(Z, 'log')]: 'Z',
  [nameOf(Z, 'index')]: 'index of Z',
}

/** Reaches into what Y had; no transaction of X is left. */
const NEW_LOG = encodeBatch({
  baseOffset: 3,
  lastOffset: 12,
  records: [{ key: 'k', value: null, timestamp: 1 }],
}).toString('latin1')

const NEW: Files = {
  [nameOf(X, 'log')]: NEW_LOG,
  [nameOf(X, 'index')]: 'new index of X',
  [nameOf(X, 'timeindex')]: 'new time index of X',
  [nameOf(Z, 'log')]: 'Z',
  [nameOf(Z, 'index')]: 'index of Z',
}

/** All is on the disk but what the swap begins with: the names of the new files. */
async function prepared(): Promise<FaultFileSystem> {
  const fileSystem = new FaultFileSystem()
  for (const directory of ['/data', DIRECTORY]) await fileSystem.mkdir(directory)
  for (const directory of ['/', '/data']) await fileSystem.syncDirectory(directory)
  const write = (name: string, content: string): Promise<void> =>
    writeFileBytes(fileSystem, `${DIRECTORY}/${name}`, Buffer.from(content, 'latin1'))
  for (const [name, content] of Object.entries(OLD)) await write(name, content)
  for (const kind of ['log', 'index', 'timeindex']) {
    await write(`${nameOf(X, kind)}.cleaned`, NEW[nameOf(X, kind)] ?? '')
  }
  return fileSystem
}

async function filesIn(fileSystem: FaultFileSystem): Promise<Files> {
  const files: Record<string, string> = {}
  for (const name of (await fileSystem.readdir(DIRECTORY)).sort()) {
    const bytes = await readFileBytes(fileSystem, `${DIRECTORY}/${name}`)
    files[name] = bytes.toString('latin1')
  }
  return files
}

/** Swaps; answers with whether it was committed for sure, and came to its end. */
async function swap(fileSystem: FaultFileSystem): Promise<{ committed: boolean; ended: boolean }> {
  const outcome = { committed: false, ended: false }
  try {
    await commitSwap(fileSystem, DIRECTORY, X)
    outcome.committed = true
    await completeSwap(fileSystem, DIRECTORY, X, LAST_COVERED)
    outcome.ended = true
  } catch (error) {
    if (!fileSystem.hasEnded) throw error
  }
  return outcome
}

function expectOneOfBoth(files: Files, isCommitted: boolean): void {
  const isOld = nameOf(Y, 'log') in files
  assert.ok(!(isOld && isCommitted), 'what was committed is not there')
  assert.deepEqual(files, isOld ? sorted(OLD) : sorted(NEW))
}

const sorted = (files: Files): Files =>
  Object.fromEntries(Object.entries(files).sort(([a], [b]) => (a < b ? -1 : 1)))

test('a swap leaves the new files, and none of those that they cover', async () => {
  const fileSystem = await prepared()
  assert.deepEqual(await swap(fileSystem), { committed: true, ended: true })
  assert.deepEqual(await filesIn(fileSystem), sorted(NEW))
})

const succeeds = (work: Promise<unknown>): Promise<boolean> =>
  work.then(
    () => true,
    () => false,
  )

/** Finishes what was left, which is cut at each of its operations, and finished again. */
async function finish(cut: () => FaultFileSystem, isCommitted: boolean): Promise<void> {
  for (let operation = 0; ; operation += 1) {
    const found = cut()
    found.cutAt(operation)
    const isDone = await succeeds(finishHalfDone(found, DIRECTORY))
    const left = isDone ? found : found.powerCut({ seed: operation })
    if (!isDone) await finishHalfDone(left, DIRECTORY)
    expectOneOfBoth(await filesIn(left), isCommitted)
    if (isDone) return
  }
}

test('wherever a swap is cut, and what finishes it as well, all of the old files are there or all of the new ones', async () => {
  for (let operation = 0; ; operation += 1) {
    const fileSystem = await prepared()
    fileSystem.cutAt(fileSystem.operations.length + operation)
    const { committed, ended } = await swap(fileSystem)
    if (ended) return assert.ok(operation > 15, `${operation} operations`)
    for (const mode of ['lose-all', 'keep-all', 'random'] as const) {
      await finish(() => fileSystem.powerCut({ mode, seed: operation }), committed)
    }
  }
})

test('a commit that is undone leaves the old files, wherever it had come to', async () => {
  for (let failing = 0; ; failing += 1) {
    const fileSystem = await prepared()
    const stop = fileSystem.failAt(fileSystem.operations.length + failing)
    const isCommitted = await succeeds(commitSwap(fileSystem, DIRECTORY, X))
    stop()
    if (isCommitted) return assert.ok(failing > 4, `${failing} operations`)
    await undoCommit(fileSystem, DIRECTORY, X)
    assert.deepEqual(await filesIn(fileSystem), sorted(OLD), `operation ${failing}`)
  }
})

test('nothing is committed beside what another compaction has left', async () => {
  const fileSystem = await prepared()
  await writeFileBytes(fileSystem, `${DIRECTORY}/${nameOf(Y, 'log')}.cleaned`, Buffer.from('Y'))
  await assert.rejects(commitSwap(fileSystem, DIRECTORY, X), { message: /another compaction/ })
})
