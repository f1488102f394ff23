// What every FileSystem does alike.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { FileHandle, FileSystem, OpenMode } from '../../src/types.ts'

export interface FileSystemUnderTest extends AsyncDisposable {
  readonly fs: FileSystem
  /** An empty directory. */
  readonly directory: string
}

export function writeText(fs: FileSystem, path: string, text: string): void {
  const bytes = Buffer.from(text)
  withHandle(fs, path, 'create', (handle) => handle.writeSync(bytes, 0, bytes.length, 0))
}

export function readText(fs: FileSystem, path: string): string {
  return withHandle(fs, path, 'read', (handle) => {
    const bytes = Buffer.alloc(handle.sizeSync())
    handle.readSync(bytes, 0, bytes.length, 0)
    return bytes.toString()
  })
}

export function withHandle<T>(
  fs: FileSystem,
  path: string,
  mode: OpenMode,
  use: (handle: FileHandle) => T,
): T {
  const handle = fs.openSync(path, mode)
  try {
    return use(handle)
  } finally {
    handle.closeSync()
  }
}

/** Registers the tests. */
export function fileSystemContract(name: string, make: () => Promise<FileSystemUnderTest>): void {
  const promise = (
    title: string,
    check: (fs: FileSystem, at: (name: string) => string) => unknown,
  ) =>
    test(title, async () => {
      await using made = await make()
      await check(made.fs, (each) => `${made.directory}/${each}`)
    })

  describe(`${name}: names`, () => {
    promise('mkdir makes missing parents and does not mind what exists', async (fs, at) => {
      await fs.mkdir(at('a/b/c'))
      await fs.mkdir(at('a/b/c'))
      assert.deepEqual(await fs.readdir(at('a')), ['b'])
      assert.equal((await fs.stat(at('a/b/c')))?.isDirectory, true)
    })
    promise('mkdir refuses the name of a file, and a path through one', async (fs, at) => {
      writeText(fs, at('file'), 'x')
      await assert.rejects(fs.mkdir(at('file')), { code: 'EEXIST' })
      await assert.rejects(fs.mkdir(at('file/a')), { code: 'ENOTDIR' })
    })
    promise('readdir gives the names of files and directories', async (fs, at) => {
      writeText(fs, at('file'), 'x')
      await fs.mkdir(at('directory/below'))
      assert.deepEqual((await fs.readdir(at('.'))).sort(), ['directory', 'file'])
      await assert.rejects(fs.readdir(at('missing')), { code: 'ENOENT' })
      await assert.rejects(fs.readdir(at('file')), { code: 'ENOTDIR' })
    })
    promise('rmdir removes an empty directory only', async (fs, at) => {
      await fs.mkdir(at('a/b'))
      writeText(fs, at('file'), 'x')
      await assert.rejects(fs.rmdir(at('a')), { code: 'ENOTEMPTY' })
      await assert.rejects(fs.rmdir(at('file')), { code: 'ENOTDIR' })
      await assert.rejects(fs.rmdir(at('missing')), { code: 'ENOENT' })
      await fs.rmdir(at('a/b'))
      assert.deepEqual(await fs.readdir(at('a')), [])
    })
    promise('rename moves a file and replaces another', async (fs, at) => {
      writeText(fs, at('a'), 'new')
      writeText(fs, at('b'), 'old')
      await fs.rename(at('a'), at('b'))
      assert.equal(readText(fs, at('b')), 'new')
      assert.deepEqual(await fs.readdir(at('.')), ['b'])
      await assert.rejects(fs.rename(at('a'), at('c')), { code: 'ENOENT' })
      await assert.rejects(fs.rename(at('b'), at('missing/b')), { code: 'ENOENT' })
    })
    promise('rename moves a directory with all that is in it', async (fs, at) => {
      await fs.mkdir(at('a/b'))
      writeText(fs, at('a/b/file'), 'x')
      await fs.rename(at('a'), at('z'))
      assert.equal(readText(fs, at('z/b/file')), 'x')
      assert.equal(await fs.stat(at('a')), undefined)
    })
    promise('rename refuses to put one kind in place of the other', async (fs, at) => {
      await fs.mkdir(at('directory/below'))
      await fs.mkdir(at('other'))
      writeText(fs, at('file'), 'x')
      await assert.rejects(fs.rename(at('file'), at('other')), { code: 'EISDIR' })
      await assert.rejects(fs.rename(at('other'), at('file')), { code: 'ENOTDIR' })
      await assert.rejects(fs.rename(at('other'), at('directory')), { code: 'ENOTEMPTY' })
      await assert.rejects(fs.rename(at('directory'), at('directory/a')), { code: 'EINVAL' })
      await fs.rename(at('directory'), at('other'))
      assert.deepEqual(await fs.readdir(at('other')), ['below'])
    })
    promise('rename between two names of one file leaves both', async (fs, at) => {
      writeText(fs, at('a'), 'x')
      await fs.link(at('a'), at('b'))
      await fs.rename(at('a'), at('b'))
      assert.deepEqual((await fs.readdir(at('.'))).sort(), ['a', 'b'])
    })
    promise('link gives a file a second name and takes none that is taken', async (fs, at) => {
      writeText(fs, at('a'), 'one')
      await fs.link(at('a'), at('b'))
      withHandle(fs, at('b'), 'write', (handle) => handle.writeSync(Buffer.from('two'), 0, 3, 0))
      assert.equal(readText(fs, at('a')), 'two')
      await fs.unlink(at('a'))
      assert.equal(readText(fs, at('b')), 'two')
      writeText(fs, at('c'), 'three')
      await assert.rejects(fs.link(at('b'), at('c')), { code: 'EEXIST' })
      assert.equal(readText(fs, at('c')), 'three')
      await assert.rejects(fs.link(at('a'), at('d')), { code: 'ENOENT' })
    })
    promise('unlink removes files only', async (fs, at) => {
      await fs.mkdir(at('directory'))
      await assert.rejects(fs.unlink(at('missing')), { code: 'ENOENT' })
      await assert.rejects(fs.unlink(at('directory')), { code: /^(EISDIR|EPERM)$/ })
    })
    promise('errors name the call, the code and the paths as Node does', async (fs, at) => {
      const path = at('missing')
      assert.throws(() => fs.openSync(path, 'read'), {
        message: `ENOENT: no such file or directory, open '${path}'`,
        code: 'ENOENT',
        syscall: 'open',
        path,
      })
      await assert.rejects(fs.rename(path, at('b')), {
        message: `ENOENT: no such file or directory, rename '${path}' -> '${at('b')}'`,
        dest: at('b'),
      })
    })
    promise('stat and realpath tell what exists', async (fs, at) => {
      writeText(fs, at('file'), 'four')
      const stat = await fs.stat(at('file'))
      assert.equal(stat?.size, 4)
      assert.equal(stat?.isDirectory, false)
      assert.ok(stat !== undefined && stat.modifiedMs > 0)
      assert.equal(await fs.stat(at('missing')), undefined)
      assert.equal(await fs.stat(at('file/below')), undefined)
      assert.equal(await fs.realpath(at('.//file')), await fs.realpath(at('file')))
      await assert.rejects(fs.realpath(at('missing')), { code: 'ENOENT' })
    })
    promise('a directory that exists can be synced', async (fs, at) => {
      await fs.syncDirectory(at('.'))
      await assert.rejects(fs.syncDirectory(at('missing')), { code: 'ENOENT' })
    })
  })

  describe(`${name}: handles`, () => {
    promise(
      'create makes a file that must be new, the other modes one that must exist',
      (fs, at) => {
        assert.throws(() => fs.openSync(at('a'), 'read'), { code: 'ENOENT' })
        assert.throws(() => fs.openSync(at('a'), 'write'), { code: 'ENOENT' })
        assert.throws(() => fs.openSync(at('missing/a'), 'create'), { code: 'ENOENT' })
        writeText(fs, at('a'), 'x')
        assert.throws(() => fs.openSync(at('a'), 'create'), { code: 'EEXIST' })
        assert.throws(() => fs.openSync(at('a/below'), 'create'), { code: 'ENOTDIR' })
        assert.equal(readText(fs, at('a')), 'x')
      },
    )
    promise('a directory cannot be opened for writing', async (fs, at) => {
      await fs.mkdir(at('directory'))
      assert.throws(() => fs.openSync(at('directory'), 'write'), { code: 'EISDIR' })
    })
    promise('both forms of read and write use the ranges they are given', async (fs, at) => {
      const handle = fs.openSync(at('a'), 'create')
      handle.writeSync(Buffer.from('-abcdef-'), 1, 6, 0)
      await handle.write(Buffer.from('-XY-'), 1, 2, 2)
      const buffer = Buffer.from('........')
      assert.equal(handle.readSync(buffer, 1, 3, 1), 3)
      assert.equal(buffer.toString(), '.bXY....')
      assert.equal(await handle.read(buffer, 4, 4, 4), 2)
      assert.equal(buffer.toString(), '.bXYef..')
      assert.equal(handle.readSync(buffer, 0, 8, 6), 0)
      assert.equal(await handle.read(buffer, 0, 8, 100), 0)
      handle.closeSync()
    })
    promise(
      'a gap reads as zeros, and so does what was cut off and grown again',
      async (fs, at) => {
        const handle = fs.openSync(at('a'), 'create')
        handle.writeSync(Buffer.from('abcd'), 0, 4, 0)
        await handle.truncate(2)
        assert.equal(handle.sizeSync(), 2)
        handle.writeSync(Buffer.from('z'), 0, 1, 5)
        await handle.truncate(8)
        assert.equal(handle.sizeSync(), 8)
        handle.closeSync()
        assert.equal(readText(fs, at('a')), 'ab\0\0\0z\0\0')
      },
    )
    promise('a handle opened for reading does not write', (fs, at) => {
      writeText(fs, at('a'), 'x')
      withHandle(fs, at('a'), 'read', (handle) => {
        assert.throws(() => handle.writeSync(Buffer.from('y'), 0, 1, 0), { code: 'EBADF' })
      })
      assert.equal(readText(fs, at('a')), 'x')
    })
    promise('a closed handle refuses everything, and may be closed again', async (fs, at) => {
      const handle = fs.openSync(at('a'), 'create')
      handle.closeSync()
      handle.closeSync()
      const buffer = Buffer.alloc(1)
      assert.throws(() => handle.readSync(buffer, 0, 1, 0), { code: 'EBADF' })
      assert.throws(() => handle.writeSync(buffer, 0, 1, 0), { code: 'EBADF' })
      assert.throws(() => handle.sizeSync(), { code: 'EBADF' })
      await assert.rejects(handle.read(buffer, 0, 1, 0), { code: 'EBADF' })
      await assert.rejects(handle.write(buffer, 0, 1, 0), { code: 'EBADF' })
      await assert.rejects(handle.truncate(0), { code: 'EBADF' })
      await assert.rejects(handle.sync(), { code: 'EBADF' })
    })
    promise('a handle outlives the name of its file', async (fs, at) => {
      writeText(fs, at('a'), 'old')
      const handle = fs.openSync(at('a'), 'write')
      await fs.unlink(at('a'))
      writeText(fs, at('a'), 'new')
      handle.writeSync(Buffer.from('OLD'), 0, 3, 0)
      await handle.sync()
      const buffer = Buffer.alloc(3)
      handle.readSync(buffer, 0, 3, 0)
      handle.closeSync()
      assert.equal(buffer.toString(), 'OLD')
      assert.equal(readText(fs, at('a')), 'new')
    })
    promise('a handle follows its file to another name', async (fs, at) => {
      const handle = fs.openSync(at('a'), 'create')
      await fs.rename(at('a'), at('b'))
      handle.writeSync(Buffer.from('x'), 0, 1, 0)
      handle.closeSync()
      assert.equal(readText(fs, at('b')), 'x')
    })
    promise('a file has one identity, whatever its name, content and handle', async (fs, at) => {
      const writer = fs.openSync(at('a'), 'create')
      const id = writer.idSync?.()
      assert.ok(id)
      writer.writeSync(Buffer.from('x'), 0, 1, 0)
      assert.equal(writer.idSync?.(), id)
      await fs.rename(at('a'), at('b'))
      assert.equal(writer.idSync?.(), id)
      writer.closeSync()
      assert.equal(
        withHandle(fs, at('b'), 'read', (handle) => handle.idSync?.()),
        id,
      )
    })
    promise('a file that takes the name of another one has another identity', async (fs, at) => {
      const ids = new Set<string | undefined>()
      const idOf = (name: string, mode: OpenMode) =>
        withHandle(fs, at(name), mode, (handle) => handle.idSync?.())
      ids.add(idOf('a', 'create'))
      for (let round = 1; round < 10; round += 1) {
        const id = idOf('b', 'create')
        await fs.rename(at('b'), at('a'))
        assert.equal(idOf('a', 'read'), id)
        ids.add(id)
      }
      assert.equal(ids.size, 10)
    })
    promise('two handles see one content', (fs, at) => {
      const writer = fs.openSync(at('a'), 'create')
      const reader = fs.openSync(at('a'), 'read')
      writer.writeSync(Buffer.from('x'), 0, 1, 0)
      assert.equal(reader.sizeSync(), 1)
      writer.closeSync()
      reader.closeSync()
    })
  })
}

/** For file systems whose locks always work. */
export function lockContract(name: string, make: () => Promise<FileSystemUnderTest>): void {
  test(`${name}: a lock makes its file and keeps others out until it is released, once`, async () => {
    await using made = await make()
    const { fs } = made
    const path = `${made.directory}/lock`
    const first = await fs.lock(path)
    assert.ok(typeof first === 'object')
    assert.equal((await fs.stat(path))?.size, 0)
    assert.equal(await fs.lock(path), 'held')
    await first.release()
    const second = await fs.lock(path)
    assert.ok(typeof second === 'object')
    await first.release()
    assert.equal(await fs.lock(path), 'held')
    await second.release()
  })
}
