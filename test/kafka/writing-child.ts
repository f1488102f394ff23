// A process that writes until it is killed, and prints what was acknowledged, one line a call: DIRECTORY SEED.
import { seededRandom } from '../support/random.ts'
import { openRandomLog, produceRandomly } from './random-run.ts'

const [directory = '', seed = '0'] = process.argv.slice(2)
const log = await openRandomLog(directory)
await produceRandomly(log, seededRandom(Number(seed)), Number.POSITIVE_INFINITY, (acknowledged) => {
  process.stdout.write(`${JSON.stringify(acknowledged)}\n`)
})
