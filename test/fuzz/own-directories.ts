/** Data directories that this library writes: the same ones each time, so that an input means the same in every process. */
import type { AnyTopics } from '../../src/index.ts'
import { Log } from '../../src/index.ts'
import { replaceFile } from '../../src/storage/checkpoint.ts'
import { ManualClock, MemoryFileSystem } from '../../src/testing/index.ts'
import { FIRST_PRODUCER_ID, formatTopicStore } from '../../src/topics/topic-store-format.ts'
import type { BaseDirectory } from './directory-input.ts'
import { FuzzRandom } from './fuzz-random.ts'

const DIRECTORY = '/log'
const BEGAN_AT = 1_700_000_000_000
const TOPICS = {
  plain: { segmentBytes: 2048, indexIntervalBytes: 200 },
  mixed: { segmentBytes: 4096, indexIntervalBytes: 500, durability: 'os' },
} as const
const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const
const GROUPS = ['billing', 'shipping'] as const
const BATCHES = 40

/** One that was closed, and one whose process was killed just before. */
export async function ownDirectories(): Promise<BaseDirectory[]> {
  const clock = new ManualClock(BEGAN_AT)
  const fileSystem = new MemoryFileSystem({ clock })
  await fileSystem.mkdir(DIRECTORY)
  await replaceFile(fileSystem, `${DIRECTORY}/brokerless.json`, topicStore())
  const log = await Log.open<AnyTopics>(DIRECTORY, { fileSystem, clock })
  await write(log, clock)
  const killed = fileSystem.clone()
  await log.close()
  return [
    { name: 'own/closed', files: await filesIn(fileSystem) },
    { name: 'own/killed', files: await filesIn(killed) },
  ]
}

/** Else the ids would be others each time. */
function topicStore(): Buffer {
  const topics = Object.entries(TOPICS).map(([name, config], index) => ({
    name,
    topicId: `${'A'.repeat(20)}${index}w`,
    partitions: 1,
    key: 'bytes' as const,
    serializer: 'bytes',
    config,
    state: 'live' as const,
  }))
  return formatTopicStore({ nextProducerId: FIRST_PRODUCER_ID, topics })
}

async function write(log: Log, clock: ManualClock): Promise<void> {
  const random = new FuzzRandom('own directories')
  for (let batch = 0; batch < BATCHES; batch += 1) {
    const topic = random.pick(Object.keys(TOPICS))
    const compression = topic === 'plain' ? 'none' : random.pick(CODECS)
    const records = Array.from({ length: 1 + random.below(8) }, () => ({
      key: random.chance(0.2) ? null : Buffer.from(`key ${random.below(9)}`),
      value: random.chance(0.1) ? null : Buffer.from(`value ${random.below(99)} `.repeat(6)),
      timestamp: BEGAN_AT + random.below(5000),
      headers: random.chance(0.2) ? { trace: `${random.below(99)}`, none: null } : {},
    }))
    await log.produce(topic, records as never, { compression, partition: 0 })
    if (random.chance(0.2)) await log.flush()
    if (random.chance(0.3)) await commit(log, random, topic)
    await clock.advance(random.below(300))
  }
  await log.deleteRecords('plain', { partition: 0, before: 9 })
}

async function commit(log: Log, random: FuzzRandom, topic: string): Promise<void> {
  const { latest } = await log.offsets(topic, 0)
  const offset = random.below(latest)
  await log.commitOffset(random.pick(GROUPS), { topic, partition: 0, offset })
}

/** Without those of the lock, which names a process. */
async function filesIn(fileSystem: MemoryFileSystem): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>()
  for (const name of await fileSystem.readdir(DIRECTORY)) {
    if (name === '.lock' || name.startsWith('brokerless.lock')) continue
    const path = `${DIRECTORY}/${name}`
    if ((await fileSystem.stat(path))?.isDirectory !== true) {
      files.set(name, contentOf(fileSystem, path))
      continue
    }
    for (const file of await fileSystem.readdir(path)) {
      files.set(`${name}/${file}`, contentOf(fileSystem, `${path}/${file}`))
    }
  }
  return files
}

function contentOf(fileSystem: MemoryFileSystem, path: string): Buffer {
  const handle = fileSystem.openSync(path, 'read')
  const bytes = Buffer.alloc(handle.sizeSync())
  handle.readSync(bytes, 0, bytes.length, 0)
  handle.closeSync()
  return bytes
}
