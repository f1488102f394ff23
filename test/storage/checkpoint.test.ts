// Checkpoints are Kafka's text files; replacing one leaves the old or the new, never a mixture.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { CorruptLogError } from '../../src/errors.ts'
import {
  formatCleanMarker,
  formatLeaderEpochs,
  formatOffsetCheckpoint,
  formatPartitionMetadata,
  parseLeaderEpochs,
  parseOffsetCheckpoint,
  parsePartitionMetadata,
  readFileIfThere,
  readOffsetCheckpoint,
  replaceFile,
  writeOffsetCheckpoint,
} from '../../src/storage/checkpoint.ts'
import { MemoryFileSystem } from '../../src/testing/memory-file-system.ts'
import type { FileSystem } from '../../src/types.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import { FIXTURE_SETS, fixtureDirectory, loadPartitions } from '../support/fixtures.ts'

const offsets = fc.nat({ max: Number.MAX_SAFE_INTEGER })
const damaged = (text: string, parse: (bytes: Buffer, file: string) => unknown): void =>
  assert.throws(
    () => parse(Buffer.from(text), 'a-file'),
    (error) => error instanceof CorruptLogError && error.file === 'a-file' && error.position === 0,
    JSON.stringify(text),
  )

suite('offset checkpoint', () => {
  test('what was formatted is parsed again, dashes in topic names included', () => {
    const names = fc
      .tuple(fc.stringMatching(/^[a-zA-Z0-9._-]{1,40}$/), fc.nat({ max: 2 ** 31 - 1 }))
      .map(([topic, partition]) => `${topic}-${partition}`)
    fc.assert(
      fc.property(fc.array(fc.tuple(names, offsets)), (entries) => {
        const map = new Map(entries)
        assert.deepEqual(parseOffsetCheckpoint(formatOffsetCheckpoint(map), ''), map)
      }),
    )
  })

  test('the text is version, count and a line an entry, as Kafka writes it', () => {
    const map = new Map([
      ['orders-0', 120],
      ['a-b-1', 98],
    ])
    assert.equal(formatOffsetCheckpoint(map).toString(), '0\n2\norders 0 120\na-b 1 98\n')
    assert.equal(formatOffsetCheckpoint(new Map()).toString(), '0\n0\n')
  })

  test('0 bytes mean no entries', () => {
    assert.equal(parseOffsetCheckpoint(Buffer.alloc(0), '').size, 0)
  })

  test('a text that is cut, altered or of another version is a CorruptLogError', () => {
    for (const text of [
      '1\n0\n',
      '0\n',
      '0\n2\norders 0 1\n',
      '0\n0\norders 0 1\n',
      '0\nx\n',
      '0\n-1\n',
      '0\n1\norders 0\n',
      '0\n1\norders 0 x\n',
      '0\n1\norders 0 -1\n',
      '0\n1\norders 0 9007199254740993\n',
      '\0\0\0\0',
    ]) {
      damaged(text, parseOffsetCheckpoint)
    }
  })

  test('a checkpoint cut at a line is never taken for a whole one', () => {
    const bytes = formatOffsetCheckpoint(
      new Map([
        ['a-0', 1],
        ['b-0', 2],
      ]),
    )
    for (const cut of ['0', '0\n2\n', '0\n2\na 0 1\n']) {
      assert.ok(bytes.toString().startsWith(cut))
      damaged(cut, parseOffsetCheckpoint)
    }
  })

  test("Kafka's own checkpoints are read and come out the same", async () => {
    let entries = 0
    for (const set of FIXTURE_SETS) {
      for (const name of ['recovery-point', 'log-start', 'replication']) {
        const path = join(fixtureDirectory(set), `${name}-offset-checkpoint`)
        const bytes = await readFile(path)
        const map = parseOffsetCheckpoint(bytes, path)
        entries += map.size
        if (bytes.length > 0) assert.deepEqual(formatOffsetCheckpoint(map), bytes)
      }
    }
    assert.ok(entries > 50)
  })
})

suite('files of a partition', () => {
  test('leader epochs are parsed as they were formatted', () => {
    const epochs = fc.array(
      fc.record({ epoch: fc.nat(), startOffset: offsets }, { noNullPrototype: true }),
    )
    fc.assert(
      fc.property(epochs, (list) => {
        assert.deepEqual(parseLeaderEpochs(formatLeaderEpochs(list), ''), list)
      }),
    )
    assert.equal(formatLeaderEpochs([{ epoch: 0, startOffset: 0 }]).toString(), '0\n1\n0 0\n')
    damaged('0\n1\n0\n', parseLeaderEpochs)
    damaged('0\n2\n0 0\n', parseLeaderEpochs)
  })

  test('partition.metadata has the topic id and no newline at its end', () => {
    const topicId = 'xRQf76KASpmJ78nw4a8qVg'
    const bytes = formatPartitionMetadata(topicId)
    assert.equal(bytes.toString(), `version: 0\ntopic_id: ${topicId}`)
    assert.equal(parsePartitionMetadata(bytes, ''), topicId)
    for (const text of [
      '',
      'version: 0',
      `version: 1\ntopic_id: ${topicId}`,
      'version: 0\ntopic_id: x',
    ]) {
      damaged(text, parsePartitionMetadata)
    }
  })

  test("Kafka's leader epochs and topic ids are read and come out the same", async () => {
    for (const set of FIXTURE_SETS) {
      for (const { directory } of await loadPartitions(set)) {
        const epochs = await readFile(join(directory, 'leader-epoch-checkpoint'))
        assert.deepEqual(formatLeaderEpochs(parseLeaderEpochs(epochs, '')), epochs)
        const metadata = await readFile(join(directory, 'partition.metadata'))
        assert.deepEqual(formatPartitionMetadata(parsePartitionMetadata(metadata, '')), metadata)
      }
    }
  })

  test("the clean marker has the fields of Kafka's", async () => {
    const kafka = JSON.parse(
      await readFile(join(fixtureDirectory('plain'), '.kafka_cleanshutdown'), 'utf8'),
    ) as object
    const own = JSON.parse(formatCleanMarker().toString()) as object
    assert.deepEqual(Object.keys(own), Object.keys(kafka))
    assert.equal(formatCleanMarker().toString(), '{"version":0,"brokerEpoch":-1}')
  })
})

const PATH = '/data/checkpoint'
const OLD = Buffer.from('old')
const NEW = Buffer.from('the new content')

async function withOldFile(): Promise<FaultFileSystem> {
  const fileSystem = new FaultFileSystem()
  await fileSystem.mkdir('/data')
  await replaceFile(fileSystem, PATH, OLD)
  await fileSystem.syncDirectory('/')
  return fileSystem
}

suite('replacing a file', () => {
  test('a file that is not there is made, one that is there is replaced', async () => {
    const fileSystem = new MemoryFileSystem()
    await fileSystem.mkdir('/data')
    assert.equal(await readFileIfThere(fileSystem, PATH), undefined)
    await replaceFile(fileSystem, PATH, OLD)
    assert.deepEqual(await readFileIfThere(fileSystem, PATH), OLD)
    await replaceFile(fileSystem, PATH, NEW)
    assert.deepEqual(await readFileIfThere(fileSystem, PATH), NEW)
    assert.deepEqual(await fileSystem.readdir('/data'), ['checkpoint'])
  })

  test('a power cut at any operation leaves the old file or the new one, whole', async () => {
    const count = (await withOldFile()).operations.length
    const full = await withOldFile()
    await replaceFile(full, PATH, NEW)
    const end = full.operations.length
    assert.ok(end > count + 3)
    for (let index = count; index < end; index += 1) {
      const fileSystem = await withOldFile()
      fileSystem.cutAt(index)
      await assert.rejects(replaceFile(fileSystem, PATH, NEW), { name: 'PowerCut' })
      for (let seed = 0; seed < 20; seed += 1) {
        const after = fileSystem.powerCut({ seed })
        const found = (await readFileIfThere(after, PATH))?.toString()
        assert.ok(found === 'old' || found === 'the new content', `${index}, ${seed}: ${found}`)
        await replaceFile(after, PATH, NEW)
        assert.deepEqual(await readFileIfThere(after, PATH), NEW)
      }
    }
  })

  test('what was replaced survives a power cut', async () => {
    const fileSystem = await withOldFile()
    await replaceFile(fileSystem, PATH, NEW)
    const after = fileSystem.powerCut({ mode: 'lose-all' })
    assert.deepEqual(await readFileIfThere(after, PATH), NEW)
  })

  test('a write or sync that fails leaves the old file, and the next replacement succeeds', async () => {
    const first = (await withOldFile()).operations.length
    for (const failing of ['create', 'write', 'sync', 'rename'] as const) {
      const fileSystem = await withOldFile()
      assert.equal(fileSystem.operations.length, first)
      const heal = fileSystem.failWhen(({ name }) => (name === failing ? 'ENOSPC' : undefined))
      await assert.rejects(replaceFile(fileSystem, PATH, NEW), { code: 'ENOSPC' }, failing)
      assert.deepEqual(await readFileIfThere(fileSystem, PATH), OLD)
      heal()
      await replaceFile(fileSystem, PATH, NEW)
      assert.deepEqual(await readFileIfThere(fileSystem, PATH), NEW)
      assert.deepEqual(await fileSystem.readdir('/data'), ['checkpoint'])
    }
  })

  test('a failed directory sync is told', async () => {
    const fileSystem = await withOldFile()
    fileSystem.refuseSync((path) => path === '/data')
    await assert.rejects(replaceFile(fileSystem, PATH, NEW), { code: 'EIO' })
  })

  test('offset checkpoints are written and read; a missing one has no entries', async () => {
    const fileSystem = new MemoryFileSystem()
    await fileSystem.mkdir('/data')
    assert.equal((await readOffsetCheckpoint(fileSystem, PATH)).size, 0)
    const map = new Map([['orders-0', 120]])
    await writeOffsetCheckpoint(fileSystem, PATH, map)
    assert.deepEqual(await readOffsetCheckpoint(fileSystem, PATH), map)
  })

  test('a damaged checkpoint names its path', async () => {
    const fileSystem: FileSystem = new MemoryFileSystem()
    await fileSystem.mkdir('/data')
    await replaceFile(fileSystem, PATH, Buffer.from('junk'))
    await assert.rejects(readOffsetCheckpoint(fileSystem, PATH), {
      code: 'CORRUPT_LOG',
      file: PATH,
    })
  })

  test('a file above 64 KiB is read whole', async () => {
    const fileSystem = new MemoryFileSystem()
    await fileSystem.mkdir('/data')
    const large = Buffer.alloc(300_000, 'abcdefg')
    await replaceFile(fileSystem, PATH, large)
    assert.deepEqual(await readFileIfThere(fileSystem, PATH), large)
  })
})
