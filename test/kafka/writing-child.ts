// A process that writes, and compacts meanwhile, until it is killed; it prints what was acknowledged, one line a call: DIRECTORY SEED.
import { seededRandom } from '../support/random.ts'
import type { Acknowledged } from './random-run.ts'
import { compactAll, openRandomLog, produceRandomly } from './random-run.ts'

const BURSTS_BESIDE_A_COMPACTION = 8

const [directory = '', seed = '0'] = process.argv.slice(2)
const log = await openRandomLog(directory)
const random = seededRandom(Number(seed))
const tell = (acknowledged: Acknowledged): void => {
  process.stdout.write(`${JSON.stringify(acknowledged)}\n`)
}
// Committed offsets, which can be compacted from here on.
await produceRandomly(log, random, 0, tell)
for (;;) {
  const writing = produceRandomly(log, random, BURSTS_BESIDE_A_COMPACTION, tell)
  await Promise.all([writing, compactAll(log)])
}
