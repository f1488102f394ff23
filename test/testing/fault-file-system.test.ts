// The fault file system is what the crash tests stand on, so its own promises are held here.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { FileHandle, FileSystem } from '../../src/types.ts'
import type { FaultRule } from '../support/fault-file-system.ts'
import { FaultFileSystem, PowerCut } from '../support/fault-file-system.ts'
import { readText, withHandle, writeText } from '../support/file-system-contract.ts'
import { seededRandom } from '../support/random.ts'

const SEEDS = Array.from({ length: 300 }, (_, seed) => seed)

function write(handle: FileHandle, text: string, position: number): void {
  const bytes = Buffer.from(text)
  handle.writeSync(bytes, 0, bytes.length, position)
}

/** A file whose name and content are on the disk. */
async function withSynced(text: string): Promise<{ fs: FaultFileSystem; handle: FileHandle }> {
  const fs = new FaultFileSystem()
  const handle = fs.openSync('/a', 'create')
  write(handle, text, 0)
  await handle.sync()
  await fs.syncDirectory('/')
  return { fs, handle }
}

/** All outcomes of a cut, over many seeds. */
function outcomes(fs: FaultFileSystem, look: (after: FaultFileSystem) => string): Set<string> {
  return new Set(SEEDS.map((seed) => look(fs.powerCut({ seed }))))
}

/** Whether a file of this name comes back, and with what. */
function contentOf(fs: FileSystem, path: string): string {
  try {
    return readText(fs, path)
  } catch {
    return 'missing'
  }
}

describe('numbers', () => {
  test('changes and syncs are numbered from 0 in the order of their calls; reads are not', async () => {
    const fs = new FaultFileSystem()
    await fs.mkdir('/d')
    const handle = fs.openSync('/d/a', 'create')
    const syncing = handle.sync()
    write(handle, 'abc', 0)
    handle.sizeSync()
    handle.readSync(Buffer.alloc(3), 0, 3, 0)
    await fs.stat('/d/a')
    await syncing
    await handle.truncate(1)
    handle.closeSync()
    await fs.rename('/d/a', '/d/b')
    assert.deepEqual(fs.operations, [
      { index: 0, name: 'mkdir', path: '/d' },
      { index: 1, name: 'create', path: '/d/a' },
      { index: 2, name: 'sync', path: '/d/a' },
      { index: 3, name: 'write', path: '/d/a', position: 0, length: 3 },
      { index: 4, name: 'truncate', path: '/d/a', position: 1 },
      { index: 5, name: 'rename', path: '/d/a', dest: '/d/b' },
    ])
  })

  test('reads are numbered where the option says so', async () => {
    const fs = new FaultFileSystem({ countReads: true })
    writeText(fs, '/a', 'x')
    readText(fs, '/a')
    assert.deepEqual(
      fs.operations.map((each) => each.name),
      ['create', 'write', 'close', 'open', 'size', 'read', 'close'],
    )
  })
})

describe('faults', () => {
  test('the chosen operation fails and does nothing; the next one works', async () => {
    const fs = new FaultFileSystem()
    fs.failAt(1)
    fs.failAt(2, 'ENOSPC')
    const handle = fs.openSync('/a', 'create')
    assert.throws(() => write(handle, 'abc', 0), { code: 'EIO', message: 'EIO: i/o error, write' })
    await assert.rejects(fs.mkdir('/d'), { code: 'ENOSPC', path: '/d' })
    assert.equal(handle.sizeSync(), 0)
    assert.equal(await fs.stat('/d'), undefined)
    write(handle, 'abc', 0)
    assert.equal(readText(fs, '/a'), 'abc')
  })

  test('a torn write leaves its first bytes', async () => {
    const fs = new FaultFileSystem()
    fs.tearAt(1, 2)
    fs.tearAt(2, 1, 'ENOSPC')
    const handle = fs.openSync('/a', 'create')
    assert.throws(() => write(handle, 'abc', 0), { code: 'EIO' })
    await assert.rejects(handle.write(Buffer.from('xyz'), 0, 3, 2), { code: 'ENOSPC' })
    assert.equal(readText(fs, '/a'), 'abx')
  })

  test('a rule chooses by name and path, reads included, until it is taken back', async () => {
    const fs = new FaultFileSystem()
    writeText(fs, '/a', 'x')
    const heal = fs.failWhen(({ name, path }) =>
      name === 'read' && path === '/a' ? 'EIO' : undefined,
    )
    assert.throws(() => readText(fs, '/a'), { code: 'EIO' })
    heal()
    assert.equal(readText(fs, '/a'), 'x')
  })

  test('random failures depend on their seed alone', () => {
    const run = (seed: number): string => {
      const fs = new FaultFileSystem()
      const handle = fs.openSync('/a', 'create')
      fs.failAtRandom(seed, 0.3)
      const results: string[] = []
      for (let index = 0; index < 30; index += 1) {
        try {
          write(handle, 'abcd', index * 4)
          results.push('ok')
        } catch {
          results.push(`failed at ${handle.sizeSync()}`)
        }
      }
      return results.join()
    }
    assert.equal(run(1), run(1))
    assert.notEqual(run(1), run(2))
    assert.match(run(1), /ok.*failed/)
  })

  test('a full disk takes what fits, overwrites in place, and works again once there is room', async () => {
    for (const code of ['ENOSPC', 'EDQUOT'] as const) {
      const fs = new FaultFileSystem({ capacityBytes: 4 })
      fs.fullCode = code
      const handle = fs.openSync('/a', 'create')
      assert.throws(() => write(handle, 'abcdef', 0), { code })
      assert.equal(readText(fs, '/a'), 'abcd')
      write(handle, 'AB', 0)
      assert.throws(() => write(handle, 'x', 4), { code })
      fs.capacityBytes = 5
      write(handle, 'x', 4)
      assert.equal(readText(fs, '/a'), 'ABcdx')
      assert.equal(fs.usedBytes, 5)
    }
  })
})

describe('power cuts', () => {
  test('what a sync covered is there after every cut', async () => {
    const { fs, handle } = await withSynced('synced')
    write(handle, '!', 6)
    assert.ok([...outcomes(fs, (after) => readText(after, '/a').slice(0, 6))].join() === 'synced')
  })

  test('a write is what its buffer held then, whatever the buffer is used for since', async () => {
    const { fs, handle } = await withSynced('')
    const buffer = Buffer.from('written')
    handle.writeSync(buffer, 0, buffer.length, 0)
    buffer.fill('x')
    await handle.sync()
    assert.equal(readText(fs.powerCut({ mode: 'lose-all' }), '/a'), 'written')
  })

  test('an unsynced write is kept, lost, or grows the file by zeros', async () => {
    const { fs, handle } = await withSynced('abc')
    write(handle, 'def', 3)
    assert.equal(fs.unsyncedBytes('/a'), 3)
    assert.deepEqual(
      outcomes(fs, (after) => readText(after, '/a')),
      new Set(['abc', 'abcdef', 'abc\0\0\0']),
    )
    assert.equal(readText(fs.powerCut({ mode: 'lose-all' }), '/a'), 'abc')
    assert.equal(readText(fs.powerCut({ mode: 'keep-all' }), '/a'), 'abcdef')
  })

  test('a write may be torn at sectors of 512 bytes, old content between the new', async () => {
    const { fs, handle } = await withSynced('o'.repeat(1536))
    write(handle, 'n'.repeat(1436), 100)
    const found = outcomes(fs, (after) => {
      const text = readText(after, '/a')
      assert.equal(text.length, 1536)
      const sectors = [text.slice(100, 512), text.slice(512, 1024), text.slice(1024)]
      return sectors.map((sector) => [...new Set(sector)].join('')).join('')
    })
    assert.deepEqual([...found].sort(), ['nnn', 'nno', 'non', 'noo', 'onn', 'ono', 'oon', 'ooo'])
  })

  test('a long write may leave nothing but zeros', async () => {
    const { fs, handle } = await withSynced('')
    write(handle, 'n'.repeat(32 * 512), 0)
    assert.ok(outcomes(fs, (after) => readText(after, '/a')).has('\0'.repeat(32 * 512)))
  })

  test('each of several writes has its own fate, and a truncation too', async () => {
    const { fs, handle } = await withSynced('abcd')
    await handle.truncate(2)
    write(handle, 'x', 2)
    write(handle, 'y', 3)
    const found = outcomes(fs, (after) => readText(after, '/a'))
    for (const each of ['abcd', 'ab', 'abx', 'abxy', 'abxd', 'abcy', 'ab\0y']) {
      assert.ok(found.has(each), `${JSON.stringify(each)} never came back`)
    }
  })

  test('a sync covers what was written before its call, not what came after', async () => {
    const { fs, handle } = await withSynced('')
    write(handle, 'before', 0)
    const syncing = handle.sync()
    write(handle, 'after', 6)
    await syncing
    assert.equal(readText(fs.powerCut({ mode: 'lose-all' }), '/a'), 'before')
  })

  test('a sync under way at the cut may have written nothing', async () => {
    const { fs, handle } = await withSynced('')
    write(handle, 'x', 0)
    const syncing = handle.sync()
    const after = fs.powerCut({ mode: 'lose-all' })
    await assert.rejects(syncing, PowerCut)
    assert.equal(readText(after, '/a'), '')
  })

  test('a new file may vanish until its directory is synced, though its content was', async () => {
    for (const isSynced of [false, true]) {
      const fs = new FaultFileSystem()
      const handle = fs.openSync('/a', 'create')
      write(handle, 'x', 0)
      await handle.sync()
      if (isSynced) await fs.syncDirectory('/')
      const found = outcomes(fs, (after) => contentOf(after, '/a'))
      assert.deepEqual(found, new Set(isSynced ? ['x'] : ['x', 'missing']))
    }
  })

  test('a directory goes, with what is in it, until its parent is synced', async () => {
    for (const isSynced of [false, true]) {
      const fs = new FaultFileSystem()
      await fs.mkdir('/d')
      writeText(fs, '/d/a', '')
      await fs.syncDirectory('/d')
      if (isSynced) await fs.syncDirectory('/')
      const after = fs.powerCut({ mode: 'lose-all' })
      assert.equal(contentOf(after, '/d/a'), isSynced ? '' : 'missing')
      assert.equal((await after.stat('/d'))?.isDirectory, isSynced ? true : undefined)
    }
  })

  test('a rename without a directory sync is undone or done, never in between', async () => {
    for (const isSynced of [false, true]) {
      const { fs } = await withSynced('old')
      const handle = fs.openSync('/new', 'create')
      write(handle, 'new', 0)
      await handle.sync()
      await fs.syncDirectory('/')
      await fs.rename('/new', '/a')
      if (isSynced) await fs.syncDirectory('/')
      const look = (after: FileSystem) => `${contentOf(after, '/a')} ${contentOf(after, '/new')}`
      const expected = isSynced ? ['new missing'] : ['new missing', 'old new']
      assert.deepEqual([...outcomes(fs, look)].sort(), expected)
    }
  })

  test('a rename between directories is whole, whichever of the two is synced', async () => {
    const look = (after: FileSystem) =>
      `${contentOf(after, '/from/a')} ${contentOf(after, '/to/a')}`
    for (const synced of [undefined, '/from', '/to']) {
      const fs = new FaultFileSystem()
      await fs.mkdir('/from')
      await fs.mkdir('/to')
      writeText(fs, '/from/a', '')
      for (const each of ['/', '/from', '/to']) await fs.syncDirectory(each)
      await fs.rename('/from/a', '/to/a')
      if (synced !== undefined) await fs.syncDirectory(synced)
      const expected = synced === undefined ? [' missing', 'missing '] : ['missing ']
      assert.deepEqual([...outcomes(fs, look)].sort(), expected)
    }
  })

  test('a synced rename between directories stands on what was done before in both', async () => {
    const fs = new FaultFileSystem()
    await fs.mkdir('/from')
    await fs.mkdir('/to')
    await fs.syncDirectory('/')
    for (const name of ['b', 'a']) writeText(fs, `/from/${name}`, '')
    await fs.rename('/from/a', '/to/a')
    writeText(fs, '/from/c', '')
    await fs.syncDirectory('/to')
    const after = fs.powerCut({ mode: 'lose-all' })
    assert.deepEqual(await after.readdir('/from'), ['b'])
    assert.deepEqual(await after.readdir('/to'), ['a'])
  })

  test('of a directory’s unsynced operations the first few are kept', async () => {
    const fs = new FaultFileSystem()
    for (const name of ['a', 'b', 'c']) writeText(fs, `/${name}`, '')
    const names = await Promise.all(
      SEEDS.map(async (seed) => (await fs.powerCut({ seed }).readdir('/')).join('')),
    )
    assert.deepEqual(new Set(names), new Set(['', 'a', 'ab', 'abc']))
  })

  test('an unlinked file comes back where its directory was not synced', async () => {
    for (const isSynced of [false, true]) {
      const { fs } = await withSynced('x')
      await fs.unlink('/a')
      if (isSynced) await fs.syncDirectory('/')
      const after = fs.powerCut({ mode: 'lose-all' })
      assert.equal(contentOf(after, '/a'), isSynced ? 'missing' : 'x')
    }
  })

  test('the names of one file are still of one file', async () => {
    const { fs } = await withSynced('x')
    await fs.link('/a', '/b')
    const after = fs.powerCut({ mode: 'keep-all' })
    withHandle(after, '/a', 'write', (handle) => write(handle, 'y', 0))
    assert.equal(readText(after, '/b'), 'y')
    assert.equal(after.usedBytes, 1)
  })

  test('what came back is on the disk', async () => {
    const { fs, handle } = await withSynced('abc')
    write(handle, 'd', 3)
    const after = fs.powerCut({ mode: 'keep-all' })
    assert.equal(readText(after.powerCut({ mode: 'lose-all' }), '/a'), 'abcd')
  })

  test('one seed gives one outcome, as does one random function', async () => {
    const { fs, handle } = await withSynced('')
    for (let index = 0; index < 10; index += 1) write(handle, 'x'.repeat(700), index * 700)
    for (const seed of SEEDS.slice(0, 20)) {
      const first = readText(fs.powerCut({ seed }), '/a')
      assert.equal(readText(fs.powerCut({ seed }), '/a'), first)
      assert.equal(readText(fs.powerCut({ random: seededRandom(seed) }), '/a'), first)
    }
  })
})

describe('failed syncs', () => {
  test('the bytes stay readable, are gone at the cut, and the next sync succeeds', async () => {
    for (const code of ['EIO', 'ENOSPC'] as const) {
      const { fs, handle } = await withSynced('abc')
      const heal = fs.refuseSync((path) => path === '/a', code)
      write(handle, 'XYZ', 0)
      write(handle, 'def', 3)
      await assert.rejects(handle.sync(), { code })
      heal()
      assert.equal(readText(fs, '/a'), 'XYZdef')
      await handle.sync()
      for (const mode of ['lose-all', 'keep-all', 'random'] as const) {
        assert.equal(readText(fs.powerCut({ mode }), '/a'), 'abc')
      }
    }
  })

  test('bytes written again are kept by the next sync', async () => {
    const { fs, handle } = await withSynced('abc')
    fs.failAt(fs.operations.length + 1)
    write(handle, 'def', 3)
    await assert.rejects(handle.sync(), { code: 'EIO' })
    write(handle, 'ef', 4)
    await handle.sync()
    assert.equal(readText(fs.powerCut({ mode: 'lose-all' }), '/a'), 'abc\0ef')
  })

  test('what was written while the failing sync was under way is not lost by it', async () => {
    const { fs, handle } = await withSynced('')
    fs.failAt(fs.operations.length + 1)
    write(handle, 'a', 0)
    const syncing = handle.sync()
    write(handle, 'b', 1)
    await assert.rejects(syncing, { code: 'EIO' })
    await handle.sync()
    assert.equal(readText(fs.powerCut({ mode: 'lose-all' }), '/a'), '\0b')
  })

  test('a failed directory sync loses its names, and the next one succeeds', async () => {
    const { fs } = await withSynced('x')
    const heal = fs.refuseSync((path) => path === '/')
    await fs.rename('/a', '/b')
    await assert.rejects(fs.syncDirectory('/'), { code: 'EIO' })
    heal()
    await fs.syncDirectory('/')
    assert.equal(readText(fs, '/b'), 'x')
    assert.deepEqual(await fs.powerCut({ mode: 'keep-all' }).readdir('/'), ['a'])
  })
})

describe('endings', () => {
  test('at the cut an operation and all later ones do not happen', async () => {
    const { fs, handle } = await withSynced('abc')
    const lock = await fs.lock('/lock')
    assert.ok(typeof lock === 'object')
    fs.cutAt(fs.operations.length + 1)
    write(handle, 'd', 3)
    assert.equal(fs.hasEnded, false)
    assert.throws(() => write(handle, 'e', 4), PowerCut)
    assert.equal(fs.hasEnded, true)
    assert.throws(() => handle.sizeSync(), PowerCut)
    assert.throws(() => fs.openSync('/a', 'read'), PowerCut)
    await assert.rejects(handle.sync(), PowerCut)
    await assert.rejects(fs.stat('/a'), PowerCut)
    await assert.rejects(fs.syncDirectory('/'), PowerCut)
    handle.closeSync()
    await lock.release()
    const after = fs.powerCut({ mode: 'keep-all' })
    assert.equal(readText(after, '/a'), 'abcd')
    assert.deepEqual(after.operations, [])
    assert.equal(typeof (await after.lock('/lock')), 'object')
  })

  test('asynchronous calls under way at the cut are not answered', async () => {
    const { fs, handle } = await withSynced('')
    fs.cutAt(fs.operations.length + 2)
    const calls = [handle.write(Buffer.from('x'), 0, 1, 0), fs.mkdir('/d'), fs.unlink('/a')]
    const results = await Promise.allSettled(calls)
    for (const each of results) {
      assert.ok(each.status === 'rejected' && each.reason instanceof PowerCut)
    }
  })

  test('a killed process leaves what it wrote, which a later cut may still take', async () => {
    const { fs, handle } = await withSynced('abc')
    write(handle, 'def', 3)
    writeText(fs, '/b', 'new')
    await fs.lock('/lock')
    const next = fs.processKill()
    assert.throws(() => handle.sizeSync(), PowerCut)
    assert.equal(readText(next, '/a'), 'abcdef')
    assert.equal(readText(next, '/b'), 'new')
    assert.equal(typeof (await next.lock('/lock')), 'object')
    const cut = next.powerCut({ mode: 'lose-all' })
    assert.equal(readText(cut, '/a'), 'abc')
    assert.equal(contentOf(cut, '/b'), 'missing')
  })

  test('the next process sees bytes of a failed sync that are not on the disk', async () => {
    const { fs, handle } = await withSynced('abc')
    fs.refuseSync(() => true)
    write(handle, 'def', 3)
    await assert.rejects(handle.sync(), { code: 'EIO' })
    const next = fs.processKill()
    assert.equal(readText(next, '/a'), 'abcdef')
    const again = next.openSync('/a', 'write')
    await again.sync()
    assert.equal(readText(next.powerCut({ mode: 'keep-all' }), '/a'), 'abc')
  })

  test('the next process can sync what the killed one wrote', async () => {
    const { fs, handle } = await withSynced('abc')
    write(handle, 'def', 3)
    const next = fs.processKill()
    await next.openSync('/a', 'write').sync()
    assert.equal(readText(next.powerCut({ mode: 'lose-all' }), '/a'), 'abcdef')
  })

  test('a file without a name ends with the process that had it open', async () => {
    const { fs, handle } = await withSynced('abc')
    await fs.unlink('/a')
    assert.equal(handle.sizeSync(), 3)
    assert.equal(fs.usedBytes, 3)
    assert.equal(fs.processKill().usedBytes, 0)
  })

  test('a script can be cut at each of its operations in turn', async () => {
    const script = async (fs: FaultFileSystem): Promise<string> => {
      let acknowledged = ''
      const handle = fs.openSync('/a', 'create')
      await fs.syncDirectory('/')
      for (const letter of 'abc') {
        write(handle, letter, acknowledged.length)
        await handle.sync()
        acknowledged += letter
        progress = acknowledged
      }
      return acknowledged
    }
    let progress = ''
    const whole = new FaultFileSystem()
    assert.equal(await script(whole), 'abc')
    for (let index = 0; index < whole.operations.length; index += 1) {
      progress = ''
      const fs = new FaultFileSystem()
      fs.cutAt(index)
      await assert.rejects(script(fs), PowerCut)
      assert.deepEqual(fs.operations, whole.operations.slice(0, index + 1))
      const isNamed = index >= 2
      for (const seed of SEEDS.slice(0, 10)) {
        const found = contentOf(fs.powerCut({ seed }), '/a')
        assert.ok(isNamed ? found.startsWith(progress) : found === 'missing' || found === '')
      }
    }
  })
})

describe('mutants', () => {
  test('a sync that does nothing loses what it was asked to keep, for good', async () => {
    const fs = new FaultFileSystem()
    fs.syncDoesNothing = true
    writeText(fs, '/a', 'x')
    await fs.syncDirectory('/')
    await fs.openSync('/a', 'write').sync()
    assert.equal(readText(fs.powerCut({ mode: 'lose-all' }), '/a'), '')
    assert.equal(fs.processKill().syncDoesNothing, true)
  })

  test('a directory sync that does nothing loses names', async () => {
    const fs = new FaultFileSystem()
    fs.directorySyncDoesNothing = true
    writeText(fs, '/a', 'x')
    await fs.syncDirectory('/')
    const after = fs.powerCut({ mode: 'lose-all' })
    assert.equal(contentOf(after, '/a'), 'missing')
    assert.equal(after.directorySyncDoesNothing, true)
  })
})

test('rules are not handed on to the file system that comes back', () => {
  const fs = new FaultFileSystem()
  const rule: FaultRule = () => 'EIO'
  fs.failWhen(rule)
  assert.throws(() => writeText(fs, '/a', 'x'), { code: 'EIO' })
  writeText(fs.powerCut(), '/a', 'x')
  writeText(fs.processKill(), '/a', 'x')
})
