// npm test: every test but those that need a real Kafka (npm run test:kafka).
// npm test -- test/storage test/behaviour/10-open.test.ts   only these files and folders
// npm test -- --test-name-pattern='a torn tail'             options go to node
import { runTests, testFilesIn } from './lib/run-tests.mjs'

const KAFKA = 'test/kafka/'
const given = process.argv.slice(2)
const options = given.filter((each) => each.startsWith('-'))
const targets = given.filter((each) => !each.startsWith('-'))
const files =
  targets.length === 0
    ? testFilesIn('test', [KAFKA])
    : targets.flatMap((target) =>
        testFilesIn(target, target.startsWith('test/kafka') ? [] : [KAFKA]),
      )

process.exitCode = await runTests([...new Set(files)], { options })
