// What only the disk can show: locks between processes, what the system tells of them, and transfers too large for one call.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { test } from 'node:test'
import { nodeFileSystem, nodeProcessFacts } from '../../src/storage/file-system.ts'
import { makeDirectory } from '../support/lock-directory.ts'
import { LockProcess } from '../support/lock-processes.ts'
import { testWithFlock } from '../support/needs-flock.ts'

const MIB = 2 ** 20

test('both forms move many megabytes unchanged', async () => {
  await using made = await makeDirectory()
  const path = `${made.directory}/file`
  const bytes = Buffer.from(Uint32Array.from({ length: 4 * MIB }, (_, index) => index * 7).buffer)
  const file = nodeFileSystem.openSync(path, 'create')
  await file.write(bytes, 0, bytes.length / 2, 0)
  file.writeSync(bytes, bytes.length / 2, bytes.length / 2, bytes.length / 2)
  await file.sync()
  const back = Buffer.alloc(bytes.length + 1)
  assert.equal(await file.read(back, 0, back.length, 0), bytes.length)
  assert.ok(back.subarray(0, bytes.length).equals(bytes))
  back.fill(0)
  assert.equal(file.readSync(back, 0, back.length, 0), bytes.length)
  assert.ok(back.subarray(0, bytes.length).equals(bytes))
  file.closeSync()
})

test('a write to a device without room fails with its code, in both forms', async (context) => {
  if ((await nodeFileSystem.stat('/dev/full')) === undefined) {
    context.diagnostic('no /dev/full here')
    return
  }
  const file = nodeFileSystem.openSync('/dev/full', 'write')
  assert.throws(() => file.writeSync(Buffer.from('x'), 0, 1, 0), { code: 'ENOSPC' })
  await assert.rejects(file.write(Buffer.from('x'), 0, 1, 0), { code: 'ENOSPC' })
  file.closeSync()
})

testWithFlock('a lock is held within the process until its release', async () => {
  await using made = await makeDirectory()
  const path = `${made.directory}/.lock`
  const lock = await nodeFileSystem.lock(path)
  assert.ok(typeof lock === 'object')
  assert.equal(await nodeFileSystem.lock(path), 'held')
  await lock.release()
  await lock.release()
  const again = await nodeFileSystem.lock(path)
  assert.ok(typeof again === 'object')
  await again.release()
})

testWithFlock('a lock leaves the content of its file as it is', async () => {
  await using made = await makeDirectory()
  const path = `${made.directory}/.lock`
  await writeFile(path, 'theirs')
  const lock = await nodeFileSystem.lock(path)
  assert.ok(typeof lock === 'object')
  await lock.release()
  assert.equal(await readFile(path, 'utf8'), 'theirs')
})

testWithFlock('an attempt that found the lock held does not weaken it', async () => {
  await using made = await makeDirectory()
  await using broker = await LockProcess.start()
  const path = `${made.directory}/.lock`
  const lock = await nodeFileSystem.lock(path)
  assert.ok(typeof lock === 'object')
  assert.equal(await nodeFileSystem.lock(path), 'held')
  assert.ok('failed' in (await broker.ask({ do: 'broker', path })))
  await lock.release()
  assert.deepEqual(await broker.ask({ do: 'broker', path }), { done: true })
  assert.equal(await nodeFileSystem.lock(path), 'held')
  await broker.kill()
  const free = await nodeFileSystem.lock(path)
  assert.ok(typeof free === 'object')
  await free.release()
})

test('a process is known by its start time while it runs, and not after', async () => {
  const own = nodeProcessFacts.self()
  assert.equal(own.pid, process.pid)
  assert.equal(own.host, hostname())
  assert.equal(nodeProcessFacts.startTimeOf(process.pid), own.startTime ?? 'unknown')
  const child = spawn(process.execPath, ['-e', 'process.stdin.resume()'])
  await once(child, 'spawn')
  const pid = child.pid ?? -1
  assert.notEqual(nodeProcessFacts.startTimeOf(pid), undefined)
  child.kill('SIGKILL')
  await once(child, 'exit')
  assert.equal(nodeProcessFacts.startTimeOf(pid), undefined)
})

test('a process that was killed but not yet waited for is dead', async () => {
  // The shell becomes the parent of a killed process and, being replaced by cat, never waits for it.
  const script = 'sleep 1000 & echo $!; kill -9 $!; exec cat'
  const parent = spawn('sh', ['-c', script], { stdio: ['pipe', 'pipe', 'inherit'] })
  const [line]: unknown[] = await once(parent.stdout, 'data')
  const pid = Number(String(line))
  // Once cat answers the kill has been made.
  parent.stdin.write('x')
  await once(parent.stdout, 'data')
  const gone = nodeProcessFacts.self().startTime === undefined ? 'unknown' : undefined
  while (nodeProcessFacts.startTimeOf(pid) !== gone) await new Promise(setImmediate)
  parent.stdin.end()
  await once(parent, 'exit')
})
