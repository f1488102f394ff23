import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { MemoryFileSystem } from '../../src/testing/memory-file-system.ts'
import type { FileHandle } from '../../src/types.ts'
import { readText, withHandle, writeText } from '../support/file-system-contract.ts'

test('relative paths are taken from the root', async () => {
  const fs = new MemoryFileSystem()
  await fs.mkdir('./data/a')
  writeText(fs, 'data/a/../file', 'x')
  assert.equal(await fs.realpath('data//file'), '/data/file')
  assert.deepEqual((await fs.readdir('/data')).sort(), ['a', 'file'])
  await assert.rejects(fs.realpath(''), { code: 'ENOENT' })
})

test('files bear the time of the clock', async () => {
  const clock = new ManualClock()
  const fs = new MemoryFileSystem({ clock })
  writeText(fs, 'a', 'x')
  const made = clock.now()
  await clock.advance(1000)
  assert.equal((await fs.stat('a'))?.modifiedMs, made)
  withHandle(fs, 'a', 'write', (handle) => handle.writeSync(Buffer.from('y'), 0, 1, 0))
  assert.equal((await fs.stat('a'))?.modifiedMs, made + 1000)
})

test('a full file system takes what fits, fails with ENOSPC, and still overwrites in place', async () => {
  const fs = new MemoryFileSystem({ capacityBytes: 10 })
  writeText(fs, 'a', '123456')
  const handle = fs.openSync('b', 'create')
  assert.throws(() => handle.writeSync(Buffer.alloc(6), 0, 6, 0), {
    message: 'ENOSPC: no space left on device, write',
    code: 'ENOSPC',
  })
  assert.equal(handle.sizeSync(), 4)
  handle.writeSync(Buffer.from('wxyz'), 0, 4, 0)
  assert.throws(() => handle.writeSync(Buffer.from('12'), 0, 2, 3), { code: 'ENOSPC' })
  assert.equal(readText(fs, 'b'), 'wxy1')
  await handle.truncate(1)
  handle.writeSync(Buffer.alloc(3), 0, 3, 1)
  assert.equal(fs.usedBytes, 10)
})

test('the room of a file comes back when its last name and its last handle are gone', async () => {
  const fs = new MemoryFileSystem({ capacityBytes: 10 })
  writeText(fs, 'a', '123456')
  await fs.link('a', 'b')
  const handle = fs.openSync('a', 'read')
  await fs.unlink('a')
  writeText(fs, 'c', '')
  await fs.rename('c', 'b')
  assert.equal(fs.usedBytes, 6)
  handle.closeSync()
  assert.equal(fs.usedBytes, 0)
})

test('a clone has the same files under the same names and goes its own way', async () => {
  const fs = new MemoryFileSystem({ capacityBytes: 10 })
  await fs.mkdir('d')
  writeText(fs, 'd/a', 'one')
  await fs.link('d/a', 'd/b')
  await fs.lock('d/a')
  const copy = fs.clone()
  withHandle(fs, 'd/a', 'write', (handle) => handle.writeSync(Buffer.from('ONE'), 0, 3, 0))
  await fs.unlink('d/b')
  assert.equal(readText(copy, 'd/b'), 'one')
  withHandle(copy, 'd/b', 'write', (handle) => handle.writeSync(Buffer.from('two'), 0, 3, 0))
  assert.equal(readText(copy, 'd/a'), 'two')
  assert.equal(readText(fs, 'd/a'), 'ONE')
  assert.equal(copy.usedBytes, 3)
  assert.equal(typeof (await copy.lock('d/a')), 'object')
})

test('asynchronous calls answer after the caller has gone on', async () => {
  const fs = new MemoryFileSystem()
  const events: string[] = []
  const made = fs.mkdir('d').then(() => events.push('answered'))
  events.push('called')
  await made
  assert.deepEqual(events, ['called', 'answered'])
})

test('a call outside its buffer or its file is refused', async () => {
  const fs = new MemoryFileSystem()
  const handle = fs.openSync('a', 'create')
  assert.throws(() => handle.writeSync(Buffer.alloc(2), 1, 2, 0), RangeError)
  assert.throws(() => handle.readSync(Buffer.alloc(2), 0, 2, -1), RangeError)
  await assert.rejects(handle.truncate(-1), RangeError)
  assert.throws(() => new MemoryFileSystem({ capacityBytes: Number.NaN }), RangeError)
})

test('a large file grows by appends and gives back what was put in', () => {
  const handle = new MemoryFileSystem().openSync('large', 'create')
  const chunk = Buffer.alloc(1 << 20)
  for (let index = 0; index < 100; index += 1) {
    handle.writeSync(chunk.fill(index + 1), 0, chunk.length, index * chunk.length)
  }
  assert.equal(handle.sizeSync(), 100 << 20)
  for (const index of [0, 57, 99]) {
    handle.readSync(chunk, 0, chunk.length, index * chunk.length)
    assert.deepEqual(chunk, Buffer.alloc(chunk.length, index + 1))
  }
})

const change = fc.oneof(
  fc.record({ at: fc.nat(3000), bytes: fc.uint8Array({ minLength: 1, maxLength: 900 }) }),
  fc.record({ size: fc.nat(3000) }),
)

async function apply(
  handle: FileHandle,
  model: Uint8Array,
  each: { at: number; bytes: Uint8Array } | { size: number },
): Promise<Uint8Array> {
  const end = 'size' in each ? each.size : Math.max(model.length, each.at + each.bytes.length)
  const next = new Uint8Array(end)
  next.set(model.subarray(0, end))
  if ('size' in each) await handle.truncate(each.size)
  else {
    handle.writeSync(each.bytes, 0, each.bytes.length, each.at)
    next.set(each.bytes, each.at)
  }
  return next
}

test('a file holds what a plain array would after any writes and truncations', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(change, { maxLength: 20 }), async (changes) => {
      const fs = new MemoryFileSystem()
      const handle = fs.openSync('a', 'create')
      let model: Uint8Array = new Uint8Array(0)
      for (const each of changes) model = await apply(handle, model, each)
      const found = new Uint8Array(handle.sizeSync())
      handle.readSync(found, 0, found.length, 0)
      assert.deepEqual(found, model)
      assert.equal(fs.usedBytes, model.length)
    }),
  )
})
