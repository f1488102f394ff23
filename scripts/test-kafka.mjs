// npm run test:kafka: Kafka's own tools judge the files that this library writes. Needs Java 17 or newer and Maven.
import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { ROOT, runTests, testFilesIn } from './lib/run-tests.mjs'

const MINIMUM_JAVA = 17
const KAFKA_SH = path.join(ROOT, 'test/kafka/kafka.sh')
const JARS = path.join(ROOT, '.cache/kafka')

/** Names of the prerequisites that are missing. */
function missing() {
  const names = []
  const java = spawnSync('java', ['-version'], { encoding: 'utf8' })
  const version = Number(
    /version "(\d+)/.exec(`${java.stderr ?? ''}${java.stdout ?? ''}`)?.[1] ?? 0,
  )
  if (java.status !== 0 || version < MINIMUM_JAVA) {
    names.push(`Java ${MINIMUM_JAVA} or newer (found: ${version === 0 ? 'none' : version})`)
  }
  if (spawnSync('mvn', ['-v'], { stdio: 'ignore' }).status !== 0) names.push('Maven (mvn)')
  return names
}

function main() {
  const names = missing()
  if (names.length > 0) {
    console.error(`npm run test:kafka needs what is not installed here: ${names.join(', ')}`)
    return 1
  }
  const install = spawnSync(KAFKA_SH, ['install', JARS], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  if (install.status !== 0) return 1
  const options = process.argv.slice(2)
  return runTests(testFilesIn('test/kafka'), { options, env: { KAFKA_JARS: JARS } })
}

process.exitCode = await main()
