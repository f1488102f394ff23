// npm run test:kafka: a real Kafka judges the files that this library writes, and this library those of a real Kafka.
// npm run test:kafka -- --seed 42               the random data of an earlier run
// npm run test:kafka -- --kafka 4.1.0           another version of Kafka
// npm run test:kafka -- --keep                  directories stay, and their paths are printed
// npm run test:kafka -- test/kafka/x.test.ts    only these files and folders
// Needs a JDK 17 or newer and Maven: see test/kafka/README.md.
import { parseArgs } from 'node:util'
import { defaultVersion, install, missing } from './lib/kafka.mjs'
import { runTests, testFilesIn } from './lib/run-tests.mjs'

/** The longest that one test file may take. */
const FILE_TIMEOUT_MS = 10 * 60 * 1000

function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seed: { type: 'string', default: process.env.BROKERLESS_SEED ?? `${Date.now() % 1_000_000}` },
      kafka: { type: 'string', default: process.env.KAFKA_VERSION ?? defaultVersion() },
      keep: { type: 'boolean', default: process.env.BROKERLESS_KEEP === '1' },
    },
  })
  if (!/^\d+$/.test(values.seed)) throw new RangeError('--seed takes a whole number')
  const names = missing()
  if (names.length > 0) {
    console.error(`npm run test:kafka needs what is not installed here: ${names.join(', ')}`)
    return 1
  }
  const { jars, classes } = install(values.kafka)
  console.log(
    `Kafka ${values.kafka}, seed ${values.seed} (repeat with: npm run test:kafka -- --seed ${values.seed})`,
  )
  const files = (positionals.length === 0 ? ['test/kafka'] : positionals).flatMap((each) =>
    testFilesIn(each),
  )
  const env = {
    KAFKA_JARS: jars,
    KAFKA_CLASSES: classes,
    BROKERLESS_SEED: values.seed,
    BROKERLESS_KEEP: values.keep ? '1' : '',
  }
  return runTests(files, { env, timeoutMs: FILE_TIMEOUT_MS })
}

process.exitCode = await main()
