// Whatever stands in a directory, looking at it comes to an end and throws nothing.
import { test } from 'node:test'
import { dumpedKindOf, dumpFile } from '../../src/inspect/dump-file.ts'
import { topicStatistics } from '../../src/inspect/topic-statistics.ts'
import type { FixtureSet } from '../support/fixtures.ts'
import type { Inspected } from '../support/inspected.ts'
import { inspectedFixture, soundLog } from '../support/inspected.ts'
import { randomInteger, seededRandom } from '../support/random.ts'

const SEED = Number(process.env['BROKERLESS_SEED'] ?? Date.now() % 2 ** 31)
const RUNS = Number(process.env['BROKERLESS_FLIP_RUNS'] ?? 25)
const SETS: readonly (FixtureSet | 'own')[] = [
  ...(['own', 'compacted', 'transactions', 'offsets', 'delete-records', 'restarted'] as const),
  ...(['flipped-byte', 'torn-tail'] as const),
]
const SUFFIXES = ['.swap', '.cleaned', '.deleted', '.tmp', '.log']

type Below = (limit: number) => number

/** Ways to harm a file. */
const HARM: readonly ((
  log: Inspected,
  file: string,
  other: string,
  below: Below,
) => Promise<void>)[] = [
  (log, file) => log.remove(file),
  (log, file, _, below) => log.edit(file, (bytes) => bytes.subarray(0, below(bytes.length + 1))),
  (log, file, _, below) =>
    log.edit(file, (bytes) => Buffer.concat([bytes, randomBytes(below(200), below)])),
  (log, file, _, below) =>
    log.edit(file, (bytes) => {
      const at = below(bytes.length + 1)
      bytes.fill(0, at, Math.min(bytes.length, at + below(300)))
    }),
  (log, file, other) => log.write(file, log.read(other)),
  (log, file, _, below) => log.rename(file, file + SUFFIXES[below(SUFFIXES.length)]),
  (log, file, _, below) =>
    log.edit(file, (bytes) => {
      const at = below(bytes.length + 1)
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + below(100))])
    }),
  (log, file, _, below) =>
    log.edit(file, (bytes) => {
      for (let count = bytes.length === 0 ? 0 : 1 + below(8); count > 0; count -= 1) {
        bytes.writeUInt8(below(256), below(bytes.length))
      }
    }),
]

function randomBytes(count: number, below: Below): Buffer {
  return Buffer.from(Array.from({ length: count }, () => below(256)))
}

async function filesOf(log: Inspected): Promise<string[]> {
  const files: string[] = []
  for (const name of await log.names()) {
    if (!/-\d+$/.test(name)) files.push(name)
    else for (const inside of await log.names(name)) files.push(`${name}/${inside}`)
  }
  return files
}

async function harm(log: Inspected, below: Below): Promise<string> {
  const did: string[] = []
  for (let count = 1 + below(4); count > 0; count -= 1) {
    const files = await filesOf(log)
    const [file = '', other = ''] = [files[below(files.length)], files[below(files.length)]]
    const way = below(HARM.length)
    did.push(`${way} ${file}`)
    await HARM[way]?.(log, file, other, below)
  }
  return did.join(', ')
}

async function lookAtAll(log: Inspected): Promise<void> {
  const { fileSystem, directory } = log
  await log.verify()
  for (const name of await log.names()) {
    const [, topic, partition] = /^(.+)-(\d+)$/.exec(name) ?? []
    if (topic === undefined) continue
    await topicStatistics({ fileSystem, directory, topic, partitions: [Number(partition)] })
  }
  for (const file of await filesOf(log)) {
    if (dumpedKindOf(file.slice(file.indexOf('/') + 1)) === undefined) continue
    await dumpFile({ fileSystem, file: log.path(file), emit: () => {} })
  }
}

for (const set of SETS) {
  test(`files of ${set} that were harmed at random are looked at to their end`, async (t) => {
    t.diagnostic(`BROKERLESS_SEED=${SEED}`)
    const random = seededRandom(SEED)
    const sound = set === 'own' ? await soundLog() : await inspectedFixture(set)
    for (let run = 0; run < RUNS; run += 1) {
      const log = sound.copy()
      const did = await harm(log, (limit) => randomInteger(random, limit))
      await lookAtAll(log).catch((error: unknown) => {
        throw new Error(`run ${run}, BROKERLESS_SEED=${SEED}: ${did}`, { cause: error })
      })
    }
  })
}
