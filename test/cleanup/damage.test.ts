// What compaction makes of a log with damage: it takes nothing that a reader who skips the damage has, and brings nothing back.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Log } from '../../src/index.ts'
import { ManualClock, MemoryFileSystem } from '../../src/testing/index.ts'
import type { FileHandle, OpenMode } from '../../src/types.ts'
import { readFileBytes, writeFileBytes } from '../support/storage-environment.ts'

const DIRECTORY = '/data'
const FIRST = `${DIRECTORY}/users-0/${'0'.repeat(20)}.log`
const DELETE_RETENTION_MS = 1000
/** Two records fill a segment. */
const PADDING = '.'.repeat(400)
const TOPICS = {
  users: {
    value: 'string',
    cleanupPolicy: 'compact',
    segmentBytes: 1024,
    deleteRetentionMs: DELETE_RETENTION_MS,
  },
} as const

type Written = readonly [key: string, value: string | null]

interface Scene {
  readonly fileSystem: MemoryFileSystem
  readonly clock: ManualClock
  readonly log: Log
}

async function open({ fileSystem, clock }: Omit<Scene, 'log'>): Promise<Scene> {
  const log = (await Log.open(DIRECTORY, { fileSystem, clock, topics: TOPICS })) as unknown as Log
  return { fileSystem, clock, log }
}

/** A log of these records, one a batch, after a clean close. */
async function written(...records: readonly Written[]): Promise<Omit<Scene, 'log'>> {
  const clock = new ManualClock()
  const scene = await open({ fileSystem: new MemoryFileSystem({ clock }), clock })
  for (const [key, value] of records) {
    await scene.log.produce('users', { key, value: value === null ? null : value + PADDING })
  }
  await scene.log.close()
  return scene
}

async function flipByte(fileSystem: MemoryFileSystem, file: string, at: number): Promise<Buffer> {
  const bytes = await readFileBytes(fileSystem, file)
  bytes[at] = (bytes[at] ?? 0) ^ 1
  await writeFileBytes(fileSystem, file, bytes)
  return bytes
}

/** All that a reader has who skips the damage. */
async function readable(log: Log): Promise<unknown[]> {
  const found: unknown[] = []
  const options = { partition: 0, until: 'end', onCorrupt: 'skip' } as const
  for await (const { offset, key, value } of log.read('users', options)) {
    found.push([offset, key, value === null ? null : (value as string).replace(PADDING, '')])
  }
  return found
}

const WRITTEN: readonly Written[] = [
  ['a', '0'],
  ['lost', '1'],
  ['b', '2'],
  ['c', '3'],
  ['a', null],
  ['b', '5'],
  ['c', '6'],
  ['c', '7'],
]
/** Into the value of the second record. */
const IN_THE_SECOND_BATCH = 700

test('a segment with damage stays as it is, byte for byte, and its neighbours are compacted', async () => {
  const scene = await written(...WRITTEN)
  const bytes = await flipByte(scene.fileSystem, FIRST, IN_THE_SECOND_BATCH)
  const { log, fileSystem } = await open(scene)
  const [done] = await log.compact('users')
  assert.equal(done?.damagedSegments, 1)
  assert.deepEqual(await readFileBytes(fileSystem, FIRST), bytes)
  assert.deepEqual(await readable(log), [
    [0, 'a', '0'],
    [4, 'a', null],
    [5, 'b', '5'],
    [7, 'c', '7'],
  ])
  await log.close()
})

test('what can be read of a segment with damage counts: records before it that it supersedes go', async () => {
  const scene = await written(['a', '0'], ['b', '1'], ['a', '2'], ['lost', '3'], ['c', '4'])
  await flipByte(
    scene.fileSystem,
    `${DIRECTORY}/users-0/${'2'.padStart(20, '0')}.log`,
    IN_THE_SECOND_BATCH,
  )
  const { log } = await open(scene)
  await log.compact('users')
  assert.deepEqual(await readable(log), [
    [1, 'b', '1'],
    [2, 'a', '2'],
    [4, 'c', '4'],
  ])
  await log.close()
})

test('a tombstone behind damage stays for good: the record that it deletes is still there', async () => {
  const scene = await written(...WRITTEN)
  await flipByte(scene.fileSystem, FIRST, IN_THE_SECOND_BATCH)
  const { log, clock } = await open(scene)
  for (let pass = 0; pass < 3; pass += 1) {
    await log.compact('users')
    await clock.advance(2 * DELETE_RETENTION_MS)
  }
  assert.deepEqual((await readable(log)).slice(0, 2), [
    [0, 'a', '0'],
    [4, 'a', null],
  ])
  await log.close()
})

test('a tombstone before damage goes at its time', async () => {
  const first = [
    ['a', '0'],
    ['b', '1'],
  ] as const
  const second = [
    ['a', null],
    ['b', '3'],
    ['c', '4'],
  ] as const
  const scene = await written(...first, ...second, ['d', '5'], ['lost', '6'], ['e', '7'])
  await flipByte(
    scene.fileSystem,
    `${DIRECTORY}/users-0/${'5'.padStart(20, '0')}.log`,
    IN_THE_SECOND_BATCH,
  )
  const { log, clock } = await open(scene)
  for (let pass = 0; pass < 2; pass += 1) {
    await log.compact('users')
    await clock.advance(2 * DELETE_RETENTION_MS)
  }
  assert.deepEqual(await readable(log), [
    [3, 'b', '3'],
    [4, 'c', '4'],
    [5, 'd', '5'],
    [7, 'e', '7'],
  ])
  await log.close()
})

test('any number of segments with damage stays as it is, and the others are compacted', async () => {
  const keys = Array.from({ length: 60 }, (_, index) => `k${index}`)
  const scene = await written(...keys.map((key) => [key, '1'] as const))
  const before = await open(scene)
  await before.log.compact('users')
  await before.log.close()
  const names = await scene.fileSystem.readdir(`${DIRECTORY}/users-0`)
  const files = names.filter((name) => name.endsWith('.log')).slice(1, 26)
  for (const name of files) {
    await flipByte(scene.fileSystem, `${DIRECTORY}/users-0/${name}`, IN_THE_SECOND_BATCH)
  }
  const { log } = await open(scene)
  await log.produce('users', { key: 'k0', value: '2' })
  const [done] = await log.compact('users')
  assert.deepEqual([files.length, done?.damagedSegments], [25, 25])
  const left = (await readable(log)).map((each) => (each as unknown[])[0])
  assert.deepEqual([left.length, left.at(0), left.at(-1)], [60 - 25, 1, 60])
  await log.close()
})

/** What a disk makes of a read that is right: answers with the number of bytes that it gives. */
type Lie = (buffer: Uint8Array, offset: number, bytes: number) => number

/** A disk that lies once, about one read of the first segment. */
class LyingFileSystem extends MemoryFileSystem {
  /** Counts down to the read that is wrong; below 0: none is. */
  sound = -1
  lie: Lie = (_buffer, _offset, bytes) => bytes

  override openSync(path: string, mode: OpenMode): FileHandle {
    const handle = super.openSync(path, mode)
    if (path !== FIRST) return handle
    const read = handle.read.bind(handle)
    handle.read = async (buffer, offset, length, position) => {
      const bytes = await read(buffer, offset, length, position)
      const isLie = this.sound === 0
      this.sound -= 1
      return isLie ? this.lie(buffer, offset, bytes) : bytes
    }
    return handle
  }
}

const LIES: readonly (readonly [string, Lie])[] = [
  [
    'gives a wrong bit',
    (buffer, offset, bytes) => {
      buffer[offset + 100] = (buffer[offset + 100] ?? 0) ^ 1
      return bytes
    },
  ],
  ['gives nothing', () => 0],
  // They are of one size.
  ['ends behind the third batch', (buffer, offset) => 3 * (12 + (buffer[offset + 11] ?? 0))],
  ['ends within the fourth', (buffer, offset) => 4 * (12 + (buffer[offset + 11] ?? 0)) - 10],
]

for (const [what, lie] of LIES) {
  test(`a read that ${what}, once, loses nothing, whichever it is`, async () => {
    let lies = 0
    for (let isOver = false; !isOver; lies += 1) {
      const clock = new ManualClock()
      const fileSystem = new LyingFileSystem({ clock })
      const { log } = await open({ fileSystem, clock })
      // The first two stay; the segment is written anew from the third on.
      for (const key of ['a', 'b', 'c', 'c', 'd']) {
        await log.produce('users', { key, value: `of ${key}` })
      }
      Object.assign(fileSystem, { sound: lies, lie })
      await log.compact('users').catch(() => {})
      isOver = fileSystem.sound >= 0
      fileSystem.sound = -1
      const left = new Set((await readable(log)).map((each) => (each as unknown[])[1]))
      assert.deepEqual(left, new Set(['a', 'b', 'c', 'd']), `read ${lies}`)
      await log.close()
    }
    assert.ok(lies > 3, `${lies}`)
  })
}
