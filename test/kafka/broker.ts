/** A real single-node broker on the loopback: KRaft, with its controller in the same process. */
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { startJava } from './java.ts'
import type { Judge } from './judge.ts'
import { endWithThisFile, scratchDirectory, within } from './scratch.ts'

const START_MS = 60_000
const STOP_MS = 60_000
const CLEANED_MS = 60_000
/** Another process may take a port that was free a moment ago. */
const TRIES = 3
const DROPPED_EPOCHS =
  /LeaderEpochCache (\S+)\] New epoch entry .* caused truncation of conflicting entries/
/** What speaks of the log directory and what is in it; a controller on a busy machine complains of time-outs. */
const OF_FILES =
  /\] (?:WARN|ERROR|FATAL) (?:kafka\.(?:log|cluster|coordinator)|org\.apache\.kafka\.(?:storage|coordinator))\./
/**
 * Where the log start is inside a batch and no high watermark is known, it first takes the log start for it, then goes back to that
 * batch's base offset.
 */
const MEANINGLESS = [
  DROPPED_EPOCHS,
  /Non-monotonic update of high watermark from \(offset=\d+, segment=\[-1:-1\]\)/,
]
const READY = 'Kafka Server started'
/** A killed broker's registration must time out before it can start again: soon. Topics are replicated once, for there is one broker. */
const SETTINGS = {
  'process.roles': 'broker,controller',
  'node.id': '1',
  'controller.listener.names': 'CONTROLLER',
  'inter.broker.listener.name': 'PLAINTEXT',
  'auto.create.topics.enable': 'false',
  'offsets.topic.replication.factor': '1',
  'offsets.topic.num.partitions': '1',
  'transaction.state.log.replication.factor': '1',
  'transaction.state.log.min.isr': '1',
  'transaction.state.log.num.partitions': '1',
  'share.coordinator.state.topic.replication.factor': '1',
  'share.coordinator.state.topic.min.isr': '1',
  'group.initial.rebalance.delay.ms': '0',
  'log.cleaner.dedupe.buffer.size': '16777216',
  'log.cleaner.backoff.ms': '200',
  'broker.session.timeout.ms': '3000',
  'broker.heartbeat.interval.ms': '500',
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

export class Broker {
  /** Its log directory. */
  readonly data: string
  readonly #judge: Judge
  readonly #home: string
  readonly #settings: Readonly<Record<string, string>>
  #process: ChildProcess | undefined
  #said = ''

  private constructor(judge: Judge, settings: Readonly<Record<string, string>>) {
    this.#judge = judge
    this.#home = scratchDirectory('broker')
    this.#settings = { ...SETTINGS, ...settings }
    this.data = path.join(this.#home, 'data')
  }

  /** A new cluster of one broker, which is not started yet. */
  static async create(
    judge: Judge,
    settings: Readonly<Record<string, string>> = {},
  ): Promise<Broker> {
    const broker = new Broker(judge, settings)
    mkdirSync(broker.data)
    const properties = await broker.#writeProperties()
    const id = randomBytes(16)
    // It would begin with a dash otherwise, one time in 64, and be taken for an option.
    id[0] = (id[0] ?? 0) & 0x7f
    const clusterId = id.toString('base64url')
    await judge.ask('format', { clusterId, properties: properties.file })
    return broker
  }

  /** What it has logged since it was last started. */
  get said(): string {
    return this.#said
  }

  /**
   * Partitions whose leader epochs it has dropped from its cache, with a warning, since it was last started: they were not below
   * the one that it starts with.
   */
  get droppedEpochs(): string[] {
    const pattern = new RegExp(DROPPED_EPOCHS, 'g')
    return Array.from(this.#said.matchAll(pattern), ([, name]) => name ?? '').sort()
  }

  /** Warnings and errors about files since it was last started, a line each, save `droppedEpochs` and what means nothing. */
  get complaints(): string[] {
    const lines = this.#said.split('\n').filter((line) => OF_FILES.test(line))
    return lines.filter((line) => !MEANINGLESS.some((pattern) => pattern.test(line)))
  }

  /** Resolves when it is ready, and the judge is connected to it. */
  async start(): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      const { file, port } = await this.#writeProperties()
      try {
        await this.#run(file)
        await this.#judge.ask('connect', { bootstrap: `127.0.0.1:${port}` })
        return
      } catch (error) {
        if (tries === TRIES || !this.#said.includes('Address already in use')) throw error
      }
    }
  }

  /**
   * Resolves when all of a partition is clean but its newest segment, which is never cleaned. The cleaner's checkpoint says how
   * far it has come.
   */
  async untilCleaned(topic: string, partition: number): Promise<void> {
    const names = readdirSync(path.join(this.data, `${topic}-${partition}`))
    const newest =
      names
        .filter((name) => name.endsWith('.log'))
        .sort()
        .at(-1) ?? ''
    const line = `${topic} ${partition} ${Number.parseInt(newest, 10)}\n`
    const checkpoint = path.join(this.data, 'cleaner-offset-checkpoint')
    for (let waited = 0; waited < CLEANED_MS; waited += 100) {
      if (readFileSync(checkpoint, 'utf8').includes(line)) return
      await pause(100)
    }
    throw new Error(`the broker has not cleaned ${topic}-${partition}`)
  }

  /** A clean stop. */
  stop(): Promise<void> {
    return this.#end('SIGTERM')
  }

  /** As a crash ends it. */
  kill(): Promise<void> {
    return this.#end('SIGKILL')
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#process
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    if (signal === 'SIGTERM') await this.#judge.ask('disconnect', {})
    child.kill(signal)
    await within(STOP_MS, 'the broker ends', ended)
    this.#process = undefined
  }

  async #writeProperties(): Promise<{ file: string; port: number }> {
    const [port, controller] = [await freePort(), await freePort()]
    const all = {
      ...this.#settings,
      'controller.quorum.voters': `1@127.0.0.1:${controller}`,
      listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controller}`,
      'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
      'log.dirs': this.data,
    }
    const file = path.join(this.#home, 'server.properties')
    const lines = Object.entries(all).map(([name, value]) => `${name}=${value}\n`)
    writeFileSync(file, lines.join(''))
    return { file, port }
  }

  async #run(properties: string): Promise<void> {
    this.#said = ''
    const child = startJava('Leash', ['kafka.Kafka', properties], 'info')
    endWithThisFile(child)
    this.#process = child
    child.stdout?.resume()
    child.stderr?.setEncoding('utf8')
    const ready = new Promise<void>((resolve, reject) => {
      child.stderr?.on('data', (text: string) => {
        this.#said += text
        if (
          text.includes(READY) ||
          this.#said.slice(-2 * READY.length - text.length).includes(READY)
        )
          resolve()
      })
      child.on('error', reject)
      child.on('exit', () =>
        reject(new Error(`the broker did not start:\n${this.#said.slice(-4000)}`)),
      )
    })
    try {
      await within(START_MS, 'the broker starts', ready)
    } catch (error) {
      child.kill('SIGKILL')
      throw error
    }
  }
}
