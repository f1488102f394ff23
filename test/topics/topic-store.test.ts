import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32c } from '../../src/codec/crc32c.ts'
import { LogError } from '../../src/errors.ts'
import { readFileIfThere, replaceFile } from '../../src/storage/checkpoint.ts'
import { MemoryFileSystem } from '../../src/testing/memory-file-system.ts'
import type { StoredTopic } from '../../src/topics/stored-topic.ts'
import { foreignTopic } from '../../src/topics/stored-topic.ts'
import type { TopicDeclaration } from '../../src/topics/topic-definition.ts'
import { resolveDeclaration } from '../../src/topics/topic-definition.ts'
import { TopicStore } from '../../src/topics/topic-store.ts'
import { FIRST_PRODUCER_ID, formatTopicStore } from '../../src/topics/topic-store-format.ts'
import type { FileSystem } from '../../src/types.ts'

const PATH = '/data/brokerless.json'
const ID = 'xRQf76KASpmJ78nw4a8qVg'
const declare = (name: string, declaration: TopicDeclaration = {}) =>
  resolveDeclaration(name, declaration)

class FailingFileSystem extends MemoryFileSystem {
  /** Operations that fail, each time, with this code. */
  readonly failing = new Map<'rename' | 'syncDirectory', string>()
  renames = 0

  override async rename(from: string, to: string): Promise<void> {
    this.#fail('rename')
    this.renames += 1
    await super.rename(from, to)
  }

  override async syncDirectory(path: string): Promise<void> {
    this.#fail('syncDirectory')
    await super.syncDirectory(path)
  }

  #fail(operation: 'rename' | 'syncDirectory'): void {
    const code = this.failing.get(operation)
    if (code !== undefined) throw Object.assign(new Error(code), { code })
  }
}

async function freshStore(): Promise<{ fileSystem: FailingFileSystem; store: TopicStore }> {
  const fileSystem = new FailingFileSystem()
  await fileSystem.mkdir('/data')
  return { fileSystem, store: new TopicStore(fileSystem, PATH) }
}

async function reload(fileSystem: FileSystem): Promise<TopicStore> {
  const { store, problem } = await TopicStore.load(fileSystem, PATH)
  assert.equal(problem, undefined)
  return store
}

async function problemOf(fileSystem: FileSystem): Promise<string> {
  const { store, problem } = await TopicStore.load(fileSystem, PATH)
  assert.equal(store, undefined)
  return problem
}

function isLogError(code: string, retryable = false): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof LogError)
    assert.deepEqual([error.code, error.retryable], [code, retryable])
    return true
  }
}

test('a store that was written is read back whole, in the order of creation', async () => {
  const { fileSystem, store } = await freshStore()
  await store.create(declare('2', { partitions: 3, value: 'json', retentionMs: 9 }), ID)
  await store.create(declare('1', { key: 'bytes', value: 'bytes' }), ID)
  await store.put(foreignTopic('from-a-broker', ID, 2))
  const again = await reload(fileSystem)
  assert.deepEqual(again.list(), store.list())
  assert.deepEqual(
    again.list().map(({ name }) => name),
    ['2', '1', 'from-a-broker'],
  )
  assert.equal(again.get('from-a-broker')?.serializer, undefined)
  assert.equal(again.get('nowhere'), undefined)
})

test('the file is text that people can read', async () => {
  const { fileSystem, store } = await freshStore()
  await store.create(declare('orders', { retentionMs: 9 }), ID)
  const text = String(await readFileIfThere(fileSystem, PATH))
  assert.match(text, /\n {8}"name": "orders",\n/)
  assert.match(text, /"retentionMs": 9/)
  assert.ok(text.endsWith('}\n'))
})

test('a missing file is told, so that the directories are looked at', async () => {
  const { fileSystem } = await freshStore()
  assert.equal(await problemOf(fileSystem), 'brokerless.json is missing')
})

test('a file with any byte changed is damaged, unless it still says the same', async () => {
  const { fileSystem, store } = await freshStore()
  await store.create(declare('orders', { retentionMs: 9 }), ID)
  const bytes = await readFileIfThere(fileSystem, PATH)
  assert.ok(bytes)
  let damaged = 0
  for (let i = 0; i < bytes.length; i += 1) {
    const changed = Buffer.from(bytes)
    changed[i] = (bytes[i] ?? 0) ^ 0x04
    await replaceFile(fileSystem, PATH, changed)
    const { store: loaded, problem } = await TopicStore.load(fileSystem, PATH)
    if (loaded === undefined) {
      damaged += 1
      assert.match(problem, /brokerless\.json is damaged: /)
    } else assert.deepEqual(loaded.list(), store.list())
  }
  assert.ok(damaged > bytes.length / 2, `${damaged} of ${bytes.length}`)
})

test('a file that is cut anywhere before its last brace is damaged', async () => {
  const { fileSystem, store } = await freshStore()
  await store.create(declare('orders'), ID)
  const bytes = await readFileIfThere(fileSystem, PATH)
  assert.ok(bytes)
  for (let length = 0; length < bytes.length - 1; length += 1) {
    await replaceFile(fileSystem, PATH, bytes.subarray(0, length))
    assert.match(await problemOf(fileSystem), /damaged/)
  }
})

test('content that is nested too deeply to be written again is damage', async () => {
  const { fileSystem } = await freshStore()
  const deep = `${'['.repeat(20_000)}${']'.repeat(20_000)}`
  await replaceFile(fileSystem, PATH, Buffer.from(`{"crc":1,"content":{"topics":${deep}}}`))
  assert.match(await problemOf(fileSystem), /damaged/)
})

test('a whole file of a newer version is UNSUPPORTED_VERSION, not damage', async () => {
  const { fileSystem } = await freshStore()
  const newer = { version: 2, somethingElse: true }
  const newerBytes = Buffer.from(JSON.stringify(newer))
  const crc = crc32c(newerBytes, 0, newerBytes.length)
  await replaceFile(fileSystem, PATH, Buffer.from(JSON.stringify({ crc, content: newer })))
  await assert.rejects(TopicStore.load(fileSystem, PATH), isLogError('UNSUPPORTED_VERSION'))
})

test('content that cannot be, though its CRC is right, is damage', async () => {
  const { fileSystem } = await freshStore()
  const good = foreignTopic('orders', ID, 1)
  for (const bad of [
    { ...good, name: 'a b' },
    { ...good, topicId: 'short' },
    { ...good, partitions: 0 },
    { ...good, key: 'number' },
    { ...good, serializer: 5 },
    { ...good, config: { segmentBytes: 1 } },
    { ...good, config: undefined },
    { ...good, state: 'gone' },
  ]) {
    const content = { nextProducerId: 5, topics: [bad as unknown as StoredTopic] }
    await replaceFile(fileSystem, PATH, formatTopicStore(content))
    assert.match(await problemOf(fileSystem), /damaged/, JSON.stringify(bad))
  }
  await replaceFile(fileSystem, PATH, formatTopicStore({ nextProducerId: 5, topics: [good, good] }))
  assert.match(await problemOf(fileSystem), /twice/)
})

test('creating the same topic again agrees and writes nothing; another one under its name is TOPIC_EXISTS', async () => {
  const { fileSystem, store } = await freshStore()
  const first = await store.create(declare('orders', { partitions: 2 }), ID)
  assert.equal(first.created, true)
  const { renames } = fileSystem
  const second = await store.create(declare('orders', { partitions: 2 }), 'AAAAAAAAAAAAAAAAAAAAAA')
  assert.deepEqual(second, { topic: first.topic, created: false })
  assert.equal(fileSystem.renames, renames)
  await assert.rejects(store.create(declare('orders'), ID), isLogError('TOPIC_EXISTS'))
})

test('of two creators at the same time one creates and the other agrees', async () => {
  const { store } = await freshStore()
  const both = await Promise.all([
    store.create(declare('orders'), ID),
    store.create(declare('orders'), ID),
  ])
  assert.deepEqual(
    both.map(({ created }) => created),
    [true, false],
  )
})

test('a name that Kafka takes for that of another topic is refused', async () => {
  const { store } = await freshStore()
  await store.create(declare('a.b'), ID)
  await assert.rejects(store.create(declare('a_b'), ID), isLogError('TOPIC_EXISTS'))
})

test('partitions are added, never taken away', async () => {
  const { fileSystem, store } = await freshStore()
  await store.create(declare('orders', { partitions: 2 }), ID)
  assert.equal((await store.addPartitions('orders', 4)).partitions, 4)
  await assert.rejects(store.addPartitions('orders', 3), RangeError)
  await assert.rejects(store.addPartitions('orders', 4.5), RangeError)
  await assert.rejects(store.addPartitions('nowhere', 3), isLogError('UNKNOWN_TOPIC'))
  assert.equal((await reload(fileSystem)).get('orders')?.partitions, 4)
})

test('altering the configuration sets what is given and keeps the rest', async () => {
  const { fileSystem, store } = await freshStore()
  await store.create(declare('orders', { retentionMs: 1, segmentMs: 2 }), ID)
  await store.alterConfig('orders', { retentionMs: 5 })
  assert.deepEqual((await reload(fileSystem)).get('orders')?.config, {
    retentionMs: 5,
    segmentMs: 2,
  })
  await assert.rejects(store.alterConfig('orders', { segmentMs: 0 }), RangeError)
  await store.alterConfig('orders', { minCompactionLagMs: 9 })
  await assert.rejects(store.alterConfig('orders', { maxCompactionLagMs: 8 }), RangeError)
  await store.alterConfig('orders', { minCompactionLagMs: 0 })
  await assert.rejects(store.alterConfig('nowhere', {}), isLogError('UNKNOWN_TOPIC'))
})

test('a topic that is being deleted is kept until it is removed, and cannot be altered or created meanwhile', async () => {
  const { fileSystem, store } = await freshStore()
  await store.create(declare('orders'), ID)
  await store.markDeleting('orders')
  assert.equal((await reload(fileSystem)).get('orders')?.state, 'deleting')
  await assert.rejects(store.alterConfig('orders', {}), isLogError('UNKNOWN_TOPIC'))
  await assert.rejects(store.create(declare('orders'), ID), isLogError('TOPIC_EXISTS', true))
  await store.remove('orders')
  await store.remove('orders')
  assert.deepEqual((await reload(fileSystem)).list(), [])
  assert.equal((await store.create(declare('orders'), ID)).created, true)
})

test('producer ids start at 2^40 and none is given twice, across a reopening too', async () => {
  const { fileSystem, store } = await freshStore()
  const taken = await Promise.all([store.takeProducerIds(1), store.takeProducerIds(3)])
  assert.deepEqual(taken, [FIRST_PRODUCER_ID, FIRST_PRODUCER_ID + 1])
  assert.equal(FIRST_PRODUCER_ID, 2 ** 40)
  assert.equal(await (await reload(fileSystem)).takeProducerIds(1), FIRST_PRODUCER_ID + 4)
})

test('several topics are put in one write, none in no write, and save writes what is there', async () => {
  const { fileSystem, store } = await freshStore()
  await store.put()
  assert.equal(fileSystem.renames, 0)
  await store.put(foreignTopic('a', ID, 1), foreignTopic('b', ID, 1))
  assert.equal(fileSystem.renames, 1)
  await fileSystem.unlink(PATH)
  await store.save()
  assert.deepEqual((await reload(fileSystem)).list(), store.list())
})

for (const [code, expected, retryable] of [
  ['ENOSPC', 'DISK_FULL', true],
  ['EIO', 'STORAGE_FAILED', false],
] as const) {
  test(`a change that cannot be written (${code}) is ${expected} and changes neither memory nor file`, async () => {
    const { fileSystem, store } = await freshStore()
    await store.create(declare('orders'), ID)
    const before = store.list()
    fileSystem.failing.set('rename', code)
    for (const change of [
      () => store.create(declare('more'), ID),
      () => store.put(foreignTopic('more', ID, 1)),
      () => store.addPartitions('orders', 2),
      () => store.alterConfig('orders', { retentionMs: 1 }),
      () => store.markDeleting('orders'),
      () => store.remove('orders'),
      () => store.takeProducerIds(1),
    ]) {
      await assert.rejects(change(), isLogError(expected, retryable))
      assert.deepEqual(store.list(), before)
      assert.equal(store.nextProducerId, FIRST_PRODUCER_ID)
    }
    assert.deepEqual((await reload(fileSystem)).list(), before)
    fileSystem.failing.clear()
    await store.markDeleting('orders')
    assert.equal(store.get('orders')?.state, 'deleting')
  })
}

test('a refused deletion whose file already has its name is put back, so that no later open finishes it', async () => {
  const { fileSystem, store } = await freshStore()
  await store.create(declare('orders'), ID)
  const syncDirectory = fileSystem.syncDirectory.bind(fileSystem)
  let failures = 1
  fileSystem.syncDirectory = async (path) => {
    failures -= 1
    if (failures >= 0) throw Object.assign(new Error('EIO'), { code: 'EIO' })
    await syncDirectory(path)
  }
  await assert.rejects(store.markDeleting('orders'), isLogError('STORAGE_FAILED'))
  assert.equal((await reload(fileSystem)).get('orders')?.state, 'live')
  await store.alterConfig('orders', { retentionMs: 1 })
})

test('where the former content cannot be put back, no change is taken any more', async () => {
  const { fileSystem, store } = await freshStore()
  await store.create(declare('orders'), ID)
  fileSystem.failing.set('syncDirectory', 'EIO')
  await assert.rejects(store.markDeleting('orders'), isLogError('STORAGE_FAILED'))
  assert.equal(store.get('orders')?.state, 'live')
  fileSystem.failing.clear()
  await assert.rejects(
    store.alterConfig('orders', { retentionMs: 1 }),
    isLogError('STORAGE_FAILED'),
  )
})
