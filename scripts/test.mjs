// npm test: every test but those that need a real Kafka (npm run test:kafka).
// npm test -- test/storage test/behaviour/10-open.test.ts   only these files and folders
// npm test -- --test-name-pattern='a torn tail'             options go to node
import { runTests, testFilesIn } from './lib/run-tests.mjs'

const KAFKA = 'test/kafka/'
/** They look at the real clock: each runs when nothing else does. */
const TIMED = ['test/behaviour/92-event-loop.test.ts', 'test/storage/event-loop.test.ts']
const given = process.argv.slice(2)
const options = given.filter((each) => each.startsWith('-'))
const targets = given.filter((each) => !each.startsWith('-'))
const files =
  targets.length === 0
    ? testFilesIn('test', [KAFKA])
    : targets.flatMap((target) =>
        testFilesIn(target, target.startsWith('test/kafka') ? [] : [KAFKA]),
      )

const chosen = [...new Set(files)]
const timed = chosen.filter((file) => TIMED.includes(file))
const others = chosen.filter((file) => !TIMED.includes(file))
if (others.length > 0) process.exitCode = await runTests(others, { options })
if (timed.length > 0) {
  const exitCode = await runTests(timed, { options, concurrency: 1 })
  process.exitCode ||= exitCode
}
if (chosen.length === 0) throw new Error('no test file matches')
