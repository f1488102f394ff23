/** Java programs from the jars of pom.xml and from the classes in java/, which scripts/test-kafka.mjs has got and compiled. */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

/** Quick to start: what runs here is over in seconds. */
const OPTIONS = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-Xmx512m']
const DUMP_LOG_SEGMENTS = 'tools.DumpLogSegments'

function folder(variable: string): string {
  const directory = process.env[variable]
  if (directory === undefined || !existsSync(directory)) {
    throw new Error(`${variable} names no directory; run this by: npm run test:kafka`)
  }
  return directory
}

/** Arguments of `java` that run a class. `logLevel` is that of slf4j-simple, which writes to standard error. */
export function javaArguments(mainClass: string, logLevel: 'info' | 'warn'): string[] {
  const classPath = [folder('KAFKA_CLASSES'), path.join(folder('KAFKA_JARS'), '*')]
  const log = `-Dorg.slf4j.simpleLogger.defaultLogLevel=${logLevel}`
  return [...OPTIONS, log, '-cp', classPath.join(path.delimiter), mainClass]
}

/** Kafka's tool, which moved to another package after 4.1. */
export function dumpLogSegmentsClass(): string {
  const jars = folder('KAFKA_JARS')
  const old = readdirSync(jars).find((name) => /^kafka_2\.13-.*\.jar$/.test(name)) ?? ''
  const entry = `kafka/${DUMP_LOG_SEGMENTS.replace('.', '/')}.class`
  const isOld = readFileSync(path.join(jars, old)).includes(entry)
  return `${isOld ? 'kafka' : 'org.apache.kafka'}.${DUMP_LOG_SEGMENTS}`
}

/** Starts a class that ends when this process does, at the latest: its standard input is the leash. */
export function startJava(
  mainClass: string,
  args: readonly string[],
  logLevel: 'info' | 'warn',
): ChildProcess & { stdin: NodeJS.WritableStream; stdout: NodeJS.ReadableStream } {
  const all = [...javaArguments(mainClass, logLevel), ...args]
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const child = spawn('java', all, { env, stdio: ['pipe', 'pipe', 'pipe'] })
  // A process that is gone has closed it.
  child.stdin.on('error', () => {})
  return child
}
