// Gets what the tests against a real Kafka need: its jars by Maven, and the classes of test/kafka/java.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { ROOT } from './run-tests.mjs'

const MINIMUM_JAVA = 17
/** Of one download, with a slow network. */
const INSTALL_MS = 10 * 60 * 1000
const COMPILE_MS = 60_000
const POM = path.join(ROOT, 'test/kafka/pom.xml')
const SOURCES = path.join(ROOT, 'test/kafka/java')

/** Names of the prerequisites that are missing. */
export function missing() {
  const names = []
  const java = spawnSync('javac', ['-version'], { encoding: 'utf8' })
  const version = Number(/javac (\d+)/.exec(`${java.stderr ?? ''}${java.stdout ?? ''}`)?.[1] ?? 0)
  if (version < MINIMUM_JAVA) {
    const found = version === 0 ? 'none' : version
    names.push(`a JDK (java and javac) of version ${MINIMUM_JAVA} or newer (found: ${found})`)
  }
  if (spawnSync('mvn', ['-v'], { stdio: 'ignore' }).status !== 0) names.push('Maven (mvn)')
  return names
}

/** Runs a program to its end; what it said is the error's message where it fails. */
function run(program, args, timeout) {
  const { status, error, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', timeout })
  if (status === 0) return
  const said = `${stdout ?? ''}${stderr ?? ''}`.trim().split('\n').slice(-20).join('\n')
  throw new Error(`${program} failed: ${error?.message ?? `exit code ${status}`}\n${said}`)
}

/** The directory is whole when its mark, written last, says what it was made of. */
function makeOnce(directory, madeOf, make) {
  const mark = path.join(directory, '.made-of')
  const sum = createHash('sha256').update(JSON.stringify(madeOf)).digest('hex')
  if (existsSync(mark) && readFileSync(mark, 'utf8') === sum) return
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory, { recursive: true })
  make()
  writeFileSync(mark, sum)
}

/** Kafka's version in pom.xml. */
export const defaultVersion = () =>
  /<kafka\.version>(.*)<\/kafka\.version>/.exec(readFileSync(POM, 'utf8'))?.[1]

/** Answers with the directories of the jars and of our classes; both are made where they are not there. */
export function install(version) {
  const jars = path.join(ROOT, '.cache', `kafka-${version}`)
  const classes = `${jars}-classes`
  makeOnce(jars, [version, readFileSync(POM, 'utf8')], () => {
    const goal = 'dependency:copy-dependencies'
    const options = [
      `-Dkafka.version=${version}`,
      '-DincludeScope=runtime',
      `-DoutputDirectory=${jars}`,
    ]
    run('mvn', ['-q', '-B', '-f', POM, ...options, goal], INSTALL_MS)
    if (!readdirSync(jars).some((name) => name.startsWith('kafka_2.13-'))) {
      throw new Error(`Maven has brought no Kafka ${version}`)
    }
  })
  const sources = readdirSync(SOURCES).map((name) => path.join(SOURCES, name))
  const contents = sources.map((file) => readFileSync(file, 'utf8'))
  makeOnce(classes, [version, contents], () => {
    run('javac', ['-nowarn', '-d', classes, '-cp', path.join(jars, '*'), ...sources], COMPILE_MS)
  })
  return { jars, classes }
}
