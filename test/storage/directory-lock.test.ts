// One writer a data directory: who is refused, who may take over, and what is left behind.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { test } from 'node:test'
import { DirectoryLockedError, LogError } from '../../src/errors.ts'
import type { DirectoryLock, DirectoryLockOptions } from '../../src/storage/directory-lock.ts'
import { lockDirectory } from '../../src/storage/directory-lock.ts'
import { nodeFileSystem, nodeProcessFacts } from '../../src/storage/file-system.ts'
import type { ProcessFacts } from '../../src/storage/lock-record.ts'
import { markFlock, RECORD_BYTES, readRecord } from '../../src/storage/lock-record.ts'
import { MemoryFileSystem } from '../../src/testing/memory-file-system.ts'
import type { FileSystem } from '../../src/types.ts'
import { systemClock } from '../../src/util/clock.ts'
import {
  deadProcess,
  factsOf,
  leaveLock,
  lockFileOf,
  makeDirectory,
  tokenIn,
  WithoutFlock,
  withoutFlock,
} from '../support/lock-directory.ts'
import { LockProcess } from '../support/lock-processes.ts'
import { testWithFlock } from '../support/needs-flock.ts'
import { startThread } from '../support/thread.ts'

const DEAD = 'd'.repeat(32)
const CLAIM = 'c'.repeat(32)
const OTHER = 'e'.repeat(32)

interface OpenOptions extends Partial<DirectoryLockOptions> {
  readonly fileSystem?: FileSystem
}

function open(directory: string, options: OpenOptions = {}): Promise<DirectoryLock> {
  const { fileSystem = nodeFileSystem, ...rest } = options
  return lockDirectory(fileSystem, directory, { clock: systemClock, ...rest })
}

async function refusal(opening: Promise<DirectoryLock>): Promise<DirectoryLockedError> {
  const error = await opening.then(
    () => assert.fail('the lock was granted'),
    (thrown: unknown) => thrown,
  )
  assert.ok(error instanceof DirectoryLockedError, String(error))
  assert.equal(error.code, 'LOCKED')
  return error
}

/** Takes and releases the lock, and checks that nothing but the spare remains. */
async function takeOver(directory: string, options: OpenOptions = {}): Promise<void> {
  const lock = await open(directory, options)
  assert.equal(await tokenIn(lockFileOf(directory)), lock.token)
  await lock.release()
  const left = (await readdir(directory)).filter((name) => name !== '.lock')
  assert.deepEqual(left, ['brokerless.lock.spare'])
}

const elsewhere = { ...nodeProcessFacts.self(), host: 'elsewhere', bootId: 'another-boot' }
const container = { ...nodeProcessFacts.self(), pidNamespace: 'pid:[1]' }

test('a lock is taken, names its holder, and is given back', async () => {
  await using made = await makeDirectory()
  const lock = await open(made.directory)
  const record = readRecord(nodeFileSystem, lockFileOf(made.directory))
  assert.equal(record?.token, lock.token)
  assert.deepEqual(record.holder, nodeProcessFacts.self())
  assert.equal(record.flock, lock.flock)
  await lock.release()
  await lock.release()
  await takeOver(made.directory)
})

test('a second open in the same process is refused with the holder and the way out', async () => {
  await using made = await makeDirectory()
  const lock = await open(made.directory)
  const error = await refusal(open(made.directory))
  assert.equal(error.token, lock.token)
  assert.equal(error.holder?.pid, process.pid)
  const since = new Date(error.holder?.since ?? 0).toISOString()
  for (const part of [made.directory, `${process.pid}`, error.holder?.host ?? '?', since]) {
    assert.ok(error.message.includes(part), part)
  }
  assert.ok(error.message.includes(`open({ breakLock: '${lock.token}' })`))
  await lock.release()
})

test('of many opens at once in one process one is granted', async () => {
  await using made = await makeDirectory()
  const opens = Array.from({ length: 8 }, () => open(made.directory))
  const results = await Promise.allSettled(opens)
  const granted = results.filter((each) => each.status === 'fulfilled')
  assert.equal(granted.length, 1)
  for (const each of results) {
    if (each.status === 'rejected') assert.ok(each.reason instanceof DirectoryLockedError)
  }
  await granted[0]?.value.release()
})

/** What a worker thread that tries to take the lock says: `taken`, or the reason against it. */
async function askThread(directory: string): Promise<string> {
  const url = import.meta.resolve('../support/lock-thread.ts')
  const worker = startThread(url, { workerData: { directory } })
  try {
    const answer: unknown[] = await once(worker, 'message')
    return String(answer[0])
  } finally {
    await worker.terminate()
  }
}

test('a worker thread of the same process is refused', async () => {
  await using made = await makeDirectory()
  const lock = await open(made.directory)
  const answer = await askThread(made.directory)
  assert.ok(answer.includes(`is held by process ${process.pid}`), answer)
  await lock.release()
  assert.equal(await askThread(made.directory), 'taken')
})

test('another process is refused while the holder lives, and takes over when it was killed', async () => {
  await using made = await makeDirectory()
  await using holder = await LockProcess.start()
  const { directory } = made
  assert.ok('token' in (await holder.ask({ do: 'open', directory, flock: true })))
  const error = await refusal(open(directory))
  assert.equal(error.holder?.pid, holder.pid)
  await holder.kill()
  await takeOver(directory)
})

testWithFlock('holder with fs-ext, opener without it: refused', async () => {
  await using made = await makeDirectory()
  await using holder = await LockProcess.start()
  const { directory } = made
  const answer = await holder.ask({ do: 'open', directory, flock: true })
  assert.ok('token' in answer && answer.flock)
  await refusal(open(directory, { fileSystem: withoutFlock }))
})

testWithFlock('holder without fs-ext, opener with it: refused', async () => {
  await using made = await makeDirectory()
  await using holder = await LockProcess.start()
  const { directory } = made
  const answer = await holder.ask({ do: 'open', directory, flock: false })
  assert.ok('token' in answer && !answer.flock)
  const error = await refusal(open(directory))
  assert.equal(error.holder?.pid, holder.pid)
  // Nor may one in a container, who cannot judge the holder, take the lock on .lock for a proof.
  await refusal(open(directory, { facts: factsOf({ pidNamespace: 'pid:[1]' }) }))
})

testWithFlock('a Kafka broker in the directory keeps us out, and leaves nothing held', async () => {
  await using made = await makeDirectory()
  await using broker = await LockProcess.start()
  const { directory } = made
  assert.deepEqual(await broker.ask({ do: 'broker', path: `${directory}/.lock` }), { done: true })
  const error = await refusal(open(directory))
  assert.ok(error.message.includes(`${directory}/.lock is locked by a Kafka broker`))
  assert.deepEqual(await readdir(directory), ['.lock'])
  await broker.kill()
  await takeOver(directory)
})

testWithFlock('a Kafka broker is kept out, also after others were refused', async () => {
  await using made = await makeDirectory()
  await using broker = await LockProcess.start()
  const { directory } = made
  const lock = await open(directory)
  assert.equal(lock.flock, true)
  await refusal(open(directory))
  await refusal(open(directory, { breakLock: lock.token }))
  assert.ok('failed' in (await broker.ask({ do: 'broker', path: `${directory}/.lock` })))
  await lock.release()
  assert.deepEqual(await broker.ask({ do: 'broker', path: `${directory}/.lock` }), { done: true })
})

test('a lock of another host counts as held until breakLock names its token', async () => {
  await using made = await makeDirectory()
  const { directory } = made
  await leaveLock(lockFileOf(directory), DEAD, elsewhere)
  const error = await refusal(open(directory))
  assert.deepEqual(error.holder, {
    pid: process.pid,
    host: 'elsewhere',
    since: Date.UTC(2024, 0, 2),
  })
  assert.equal(error.token, DEAD)
  assert.ok(error.message.includes('cannot be told from here'))
  assert.equal((await refusal(open(directory, { breakLock: OTHER }))).token, DEAD)
  await takeOver(directory, { breakLock: DEAD })
})

test('a lock of another pid namespace counts as held until breakLock names its token', async () => {
  await using made = await makeDirectory()
  const { directory } = made
  await leaveLock(lockFileOf(directory), DEAD, { ...container, pid: 2 ** 22 + 1 })
  assert.equal((await refusal(open(directory))).token, DEAD)
  await takeOver(directory, { breakLock: DEAD })
})

testWithFlock(
  'in another pid namespace the lock on .lock decides, where the holder had it',
  async () => {
    await using made = await makeDirectory()
    await using holder = await LockProcess.start()
    const { directory } = made
    const facts = factsOf({ pidNamespace: 'pid:[1]', host: 'a-container' })
    await holder.ask({ do: 'open', directory, flock: true })
    const error = await refusal(open(directory, { facts }))
    assert.ok(error.message.includes('which is running'))
    await refusal(open(directory, { facts, breakLock: error.token }))
    await holder.kill()
    await refusal(open(directory, { facts, fileSystem: withoutFlock }))
    await takeOver(directory, { facts })
  },
)

testWithFlock('on another machine the lock on .lock decides nothing', async () => {
  await using made = await makeDirectory()
  const { directory } = made
  await leaveLock(lockFileOf(directory), DEAD, elsewhere)
  markFlock(nodeFileSystem, lockFileOf(directory), DEAD)
  await refusal(open(directory))
  await takeOver(directory, { breakLock: DEAD })
})

for (const content of ['', 'not a lock file', '{"flock":0,"token":"../../x"}']) {
  test(`a garbled lock file (${JSON.stringify(content)}) counts as held until breakLock names its token`, async () => {
    await using made = await makeDirectory()
    const { directory } = made
    await writeFile(lockFileOf(directory), content)
    const error = await refusal(open(directory))
    assert.equal(error.holder, undefined)
    assert.match(error.token ?? '', /^[0-9a-f]{32}$/)
    await takeOver(directory, { breakLock: error.token })
  })
}

test('a holder whose pid is no longer in use is dead', async () => {
  await using made = await makeDirectory()
  await leaveLock(lockFileOf(made.directory), DEAD, {
    ...nodeProcessFacts.self(),
    pid: 2 ** 22 + 1,
  })
  await takeOver(made.directory)
})

test('a holder whose pid another process has got since is dead', async () => {
  await using made = await makeDirectory()
  await leaveLock(lockFileOf(made.directory), DEAD, deadProcess())
  const startTimes = { ...factsOf({}), startTimeOf: () => 4711 }
  await takeOver(made.directory, { facts: startTimes })
})

test('where start times are not known a pid in use counts as held', async () => {
  await using made = await makeDirectory()
  await leaveLock(lockFileOf(made.directory), DEAD, deadProcess())
  const facts = {
    ...factsOf({ pid: 1, startTime: undefined }),
    startTimeOf: (): 'unknown' => 'unknown',
  } as const
  assert.equal((await refusal(open(made.directory, { facts }))).token, DEAD)
})

test('a holder from before the machine was started again is dead', async () => {
  await using made = await makeDirectory()
  await leaveLock(lockFileOf(made.directory), DEAD, {
    ...nodeProcessFacts.self(),
    bootId: 'an earlier one',
  })
  const facts = factsOf({ bootId: 'this one' })
  await takeOver(made.directory, { facts })
})

test('breakLock with another token than the lock has changes nothing', async () => {
  await using made = await makeDirectory()
  const lock = await open(made.directory, { fileSystem: withoutFlock })
  const before = await readFile(lockFileOf(made.directory))
  await refusal(open(made.directory, { breakLock: OTHER }))
  assert.deepEqual(await readFile(lockFileOf(made.directory)), before)
  await lock.release()
})

test('who lost its lock to breakLock does not remove the lock of the next at its release', async () => {
  await using made = await makeDirectory()
  const fileSystem = withoutFlock
  const old = await open(made.directory, { fileSystem })
  const next = await open(made.directory, { fileSystem, breakLock: old.token })
  await old.release()
  assert.equal(await tokenIn(lockFileOf(made.directory)), next.token)
  await next.release()
  await takeOver(made.directory)
})

test('a dead claim on a dead lock is replaced, and so is a dead claim on that', async () => {
  await using made = await makeDirectory()
  const lockFile = lockFileOf(made.directory)
  await leaveLock(lockFile, DEAD, deadProcess())
  await leaveLock(`${lockFile}.${DEAD}`, CLAIM, deadProcess())
  await leaveLock(`${lockFile}.${CLAIM}`, OTHER, deadProcess())
  await takeOver(made.directory)
})

test('a claim of a live process keeps others out', async () => {
  await using made = await makeDirectory()
  const lockFile = lockFileOf(made.directory)
  await leaveLock(lockFile, DEAD, deadProcess())
  await leaveLock(`${lockFile}.${DEAD}`, CLAIM, nodeProcessFacts.self())
  assert.equal((await refusal(open(made.directory))).token, CLAIM)
  assert.equal(await tokenIn(lockFile), DEAD)
})

test('a holder that was killed during its release, its lock claimed by itself, is replaced', async () => {
  await using made = await makeDirectory()
  const lockFile = lockFileOf(made.directory)
  await leaveLock(lockFile, DEAD, deadProcess())
  await nodeFileSystem.link(lockFile, `${lockFile}.${DEAD}`)
  await takeOver(made.directory)
})

test('of a dead claim on a lock that cannot be judged only the claim is judged', async () => {
  await using made = await makeDirectory()
  const lockFile = lockFileOf(made.directory)
  await leaveLock(lockFile, DEAD, elsewhere)
  await leaveLock(`${lockFile}.${DEAD}`, CLAIM, { ...elsewhere, host: 'a third' })
  assert.equal((await refusal(open(made.directory))).token, CLAIM)
  await takeOver(made.directory, { breakLock: CLAIM })
})

test('of a release that a holder elsewhere did not finish, breakLock has to name the release', async () => {
  await using made = await makeDirectory()
  const lockFile = lockFileOf(made.directory)
  await leaveLock(lockFile, DEAD, elsewhere)
  await nodeFileSystem.link(lockFile, `${lockFile}.${DEAD}`)
  const { token } = await refusal(open(made.directory, { breakLock: DEAD }))
  assert.equal(token, `${DEAD}.release`)
  assert.equal(await tokenIn(lockFile), DEAD)
  await takeOver(made.directory, { breakLock: token })
})

test('who releases takes the claim of one who died while breaking its lock', async () => {
  await using made = await makeDirectory()
  const lock = await open(made.directory, { fileSystem: withoutFlock })
  await leaveLock(`${lockFileOf(made.directory)}.${lock.token}`, CLAIM, deadProcess())
  await lock.release()
  assert.deepEqual(await readdir(made.directory), ['brokerless.lock.spare'])
})

test('leftovers of dead processes are removed, those of live and unknown ones stay', async () => {
  await using made = await makeDirectory()
  const lockFile = lockFileOf(made.directory)
  await leaveLock(`${lockFile}.${DEAD}.own`, DEAD, deadProcess())
  await leaveLock(`${lockFile}.${DEAD}.next`, DEAD, deadProcess())
  await leaveLock(`${lockFile}.${OTHER}`, DEAD, deadProcess())
  await leaveLock(`${lockFile}.${CLAIM}.own`, CLAIM, elsewhere)
  await leaveLock(`${lockFile}.${OTHER}.own`, OTHER, nodeProcessFacts.self())
  await writeFile(`${lockFile}.${'a'.repeat(32)}.own`, 'half a rec')
  const lock = await open(made.directory, { fileSystem: withoutFlock })
  const names = (await readdir(made.directory)).sort()
  assert.deepEqual(names, [
    'brokerless.lock',
    `brokerless.lock.${CLAIM}.own`,
    `brokerless.lock.${OTHER}.own`,
    'brokerless.lock.spare',
  ])
  await lock.release()
})

/** The nth process that opens a directory, when all before it are dead. */
function generation(startTime: number): ProcessFacts {
  return { ...factsOf({ startTime }), startTimeOf: () => startTime }
}

interface FullDisk {
  readonly fileSystem: FileSystem
  readonly directory: string
}

/** A disk of which `left` bytes are free, with a directory whose first owner was killed. */
async function fullDisk(left: number): Promise<FullDisk> {
  const capacityBytes = 8 * RECORD_BYTES
  const memory = new MemoryFileSystem({ capacityBytes })
  const fileSystem = new WithoutFlock(memory)
  const directory = '/data'
  await fileSystem.mkdir(directory)
  await open(directory, { fileSystem, facts: generation(1) })
  const filler = fileSystem.openSync('/filler', 'create')
  const bytes = capacityBytes - memory.usedBytes - left
  filler.writeSync(Buffer.alloc(bytes), 0, bytes, 0)
  filler.closeSync()
  return { fileSystem, directory }
}

for (const left of [0, 100]) {
  test(`a disk with ${left} bytes free does not stop an open, however often the owner is killed`, async () => {
    const { fileSystem, directory } = await fullDisk(left)
    for (let nth = 2; nth < 6; nth += 1) {
      const lock = await open(directory, { fileSystem, facts: generation(nth) })
      assert.equal(readRecord(fileSystem, lockFileOf(directory))?.token, lock.token)
      const names = await fileSystem.readdir(directory)
      assert.deepEqual(names.sort(), ['brokerless.lock', 'brokerless.lock.spare'])
    }
  })

  test(`a disk with ${left} bytes free does not stop an open, however often the owner closes`, async () => {
    const { fileSystem, directory } = await fullDisk(left)
    for (let nth = 2; nth < 6; nth += 1) {
      const lock = await open(directory, { fileSystem, facts: generation(nth) })
      await lock.release()
      assert.deepEqual(await fileSystem.readdir(directory), ['brokerless.lock.spare'])
    }
  })
}

test('a full disk without the spare file is told as such, unless the lock is held', async () => {
  const { fileSystem, directory } = await fullDisk(0)
  await fileSystem.rename(`${directory}/brokerless.lock.spare`, '/moved')
  await assert.rejects(open(directory, { fileSystem, facts: generation(2) }), (error: LogError) => {
    assert.equal(error.code, 'DISK_FULL')
    assert.equal(error.retryable, true)
    return error instanceof LogError
  })
  assert.deepEqual(await fileSystem.readdir(directory), ['brokerless.lock'])
  await refusal(open(directory, { fileSystem, facts: generation(1) }))
})

test('a spare file that is too short is made anew', async () => {
  await using made = await makeDirectory()
  const spare = `${lockFileOf(made.directory)}.spare`
  await writeFile(spare, 'short')
  const lock = await open(made.directory)
  assert.equal((await nodeFileSystem.stat(spare))?.size, RECORD_BYTES)
  await lock.release()
})
