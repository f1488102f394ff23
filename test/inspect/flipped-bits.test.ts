// A bit that flips anywhere in a closed directory is found.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Finding } from '../../src/inspect/finding.ts'
import type { Inspected } from '../support/inspected.ts'
import { inspectedFixture, soundLog } from '../support/inspected.ts'

const RUNS = Number(process.env['BROKERLESS_FLIP_RUNS'] ?? 1000)
const SEED = process.env['BROKERLESS_SEED']
const parameters = { numRuns: RUNS, ...(SEED === undefined ? {} : { seed: Number(SEED) }) }

interface Flip {
  readonly file: string
  readonly at: number
  readonly bit: number
}

async function partitionFiles(log: Inspected, isWanted: (name: string) => boolean) {
  const directories = (await log.names()).filter((name) => /-\d+$/.test(name))
  const files: { file: string; size: number }[] = []
  for (const directory of directories) {
    for (const name of await log.names(directory)) {
      const size = log.read(`${directory}/${name}`).length
      if (isWanted(name) && size > 0) files.push({ file: `${directory}/${name}`, size })
    }
  }
  return files
}

/** Every byte of the files has the same chance. */
function flipIn(files: readonly { file: string; size: number }[]): fc.Arbitrary<Flip> {
  const total = files.reduce((sum, { size }) => sum + size, 0)
  return fc.record({ at: fc.nat(total - 1), bit: fc.nat(7) }).map(({ at, bit }) => {
    let rest = at
    for (const { file, size } of files) {
      if (rest < size) return { file, at: rest, bit }
      rest -= size
    }
    throw new Error('there is no such byte')
  })
}

/** What is found after the flip and was not before, information left out. */
async function foundBy(sound: Inspected, { file, at, bit }: Flip): Promise<Finding[]> {
  const log = sound.copy()
  await log.edit(file, (bytes) => void bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << bit), at))
  const { findings } = await log.verify()
  return findings.filter(({ severity }) => severity !== 'information')
}

/** The place of a byte in its batch. */
function placeInBatch(sound: Inspected, { file, at }: Flip): number {
  return at - (sound.batches(file).findLast((position) => position <= at) ?? 0)
}

/** Behind baseOffset and length: a leader sets it, so no CRC covers it. */
const isLeaderEpoch = (place: number): boolean => place >= 12 && place < 16
/** Nor that, which a broker gives. */
const isBaseOffset = (place: number): boolean => place < 8

test('a bit that flips in a .log is damage, and in a leader epoch, which no CRC covers, a warning', async () => {
  const sound = await soundLog()
  const files = await partitionFiles(sound, (name) => name.endsWith('.log'))
  await fc.assert(
    fc.asyncProperty(flipIn(files), async (flip) => {
      const found = await foundBy(sound, flip)
      if (isLeaderEpoch(placeInBatch(sound, flip))) {
        const [only, ...others] = found
        assert.deepEqual(
          [only?.kind, only?.severity, others.length],
          ['leader-epoch', 'warning', 0],
        )
      } else {
        assert.ok(found.some(({ severity }) => severity === 'damage'))
      }
    }),
    parameters,
  )
})

test('a bit that flips in any other file of a partition is found', async () => {
  const sound = await soundLog()
  const files = await partitionFiles(sound, (name) => !name.endsWith('.log'))
  await fc.assert(
    fc.asyncProperty(flipIn(files), async (flip) => {
      assert.notEqual((await foundBy(sound, flip)).length, 0)
    }),
    parameters,
  )
})

test('a bit that flips beside transactions is found', async () => {
  const sound = await inspectedFixture('transactions')
  const files = await partitionFiles(sound, (name) => /\.(?:log|txnindex|snapshot)$/.test(name))
  await fc.assert(
    fc.asyncProperty(flipIn(files), async (flip) => {
      assert.notEqual((await foundBy(sound, flip)).length, 0)
    }),
    { ...parameters, numRuns: Math.ceil(RUNS / 4) },
  )
})

test('where compaction has left gaps a base offset may move within one; any other bit is found', async () => {
  const sound = await inspectedFixture('compacted')
  const files = await partitionFiles(sound, (name) => name.endsWith('.log'))
  await fc.assert(
    fc.asyncProperty(flipIn(files), async (flip) => {
      if (isBaseOffset(placeInBatch(sound, flip))) return
      assert.notEqual((await foundBy(sound, flip)).length, 0)
    }),
    { ...parameters, numRuns: Math.ceil(RUNS / 4) },
  )
})
