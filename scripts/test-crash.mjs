// npm run test:crash: the killed processes and the races for a dead lock, as often as asked.
// npm run test:crash -- --rounds 10000                 more rounds of each
// npm run test:crash -- --rounds 1000 test/crash/x.test.ts
import { parseArgs } from 'node:util'
import { runTests, testFilesIn } from './lib/run-tests.mjs'

const HOUR_MS = 60 * 60 * 1000

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string' }, seed: { type: 'string' } },
})
const env = {}
if (values.rounds !== undefined) {
  if (!/^[1-9]\d*$/.test(values.rounds))
    throw new RangeError('--rounds takes a whole number above 0')
  for (const what of ['ROUNDS', 'LOCK_ROUNDS', 'LOCK_SCHEDULES']) {
    env[`BROKERLESS_${what}`] = values.rounds
  }
}
if (values.seed !== undefined) env.BROKERLESS_SEED = values.seed
const files = (positionals.length === 0 ? ['test/crash'] : positionals).flatMap((each) =>
  testFilesIn(each),
)
process.exitCode = await runTests(files, { env, timeoutMs: 24 * HOUR_MS })
