/** The process that runs inputs, and the watch over it: what hangs, crashes or grows in it is a failure like others. */
import type { ChildProcess } from 'node:child_process'
import { fork } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { TYPESCRIPT } from '../support/typescript.ts'
import type {
  CheckRequest,
  Failure,
  Fuzzed,
  FuzzRequest,
  InputRequest,
  Limits,
  Reply,
  Request,
} from './messages.ts'
import { IDLE, PROGRESS_BYTES } from './messages.ts'

const ROOT = path.resolve(import.meta.dirname, '../..')
const WORKER = path.join(import.meta.dirname, 'worker.ts')
const LOOK_MS = 50
const STDERR_SHOWN = 2000
const PAGE_BYTES = 4096

export const DEFAULT_LIMITS: Limits = {
  residentBytes: 640 * 1024 * 1024,
  heapMegabytes: 256,
  timeoutMs: undefined,
}

/** It died, or had to be killed, at an iteration. */
interface Death {
  readonly iteration: number
  readonly failure: Failure
}

export class FuzzProcess {
  readonly #targetsModule: string
  readonly #limits: Limits
  readonly #directory = mkdtempSync(path.join(tmpdir(), 'brokerless-fuzz-'))
  readonly #progressFile = path.join(this.#directory, 'progress')
  #child: ChildProcess | undefined

  constructor(targetsModule: string, limits: Limits) {
    this.#targetsModule = targetsModule
    this.#limits = limits
  }

  async fuzz(request: Omit<FuzzRequest, 'do'>, timeoutMs: number): Promise<Fuzzed> {
    const reply = await this.#ask({ do: 'fuzz', ...request }, timeoutMs)
    if ('iteration' in reply) {
      const { iteration, failure } = reply
      const inputs = Math.max(0, iteration - request.from) + 1
      return { inputs, slowestMs: 0, slowestIteration: iteration, peakResidentBytes: 0, failure }
    }
    if (reply.told !== 'fuzzed') throw new Error(`an answer to something else: ${reply.told}`)
    // What it holds would be laid to the next input.
    if (reply.result.failure !== undefined) this.#end()
    return reply.result
  }

  /** How an input fails; undefined where it does not. */
  async check(request: Omit<CheckRequest, 'do'>, timeoutMs: number): Promise<Failure | undefined> {
    const reply = await this.#ask({ do: 'check', ...request }, timeoutMs)
    if ('iteration' in reply) return reply.failure
    if (reply.told !== 'checked') throw new Error(`an answer to something else: ${reply.told}`)
    if (reply.failure?.signature === 'memory') this.#end()
    return reply.failure
  }

  /** The input of an iteration. */
  async inputOf(request: Omit<InputRequest, 'do'>, timeoutMs: number): Promise<Buffer> {
    const reply = await this.#ask({ do: 'generate', ...request }, timeoutMs)
    if ('iteration' in reply) throw new Error(`the input cannot be made: ${reply.failure.text}`)
    if (reply.told !== 'generated') throw new Error(`an answer to something else: ${reply.told}`)
    return Buffer.from(reply.input)
  }

  close(): void {
    this.#end()
    rmSync(this.#directory, { recursive: true, force: true })
  }

  #end(): void {
    this.#child?.kill('SIGKILL')
    this.#child = undefined
  }

  async #started(): Promise<ChildProcess> {
    if (this.#child !== undefined) return this.#child
    const { NODE_TEST_CONTEXT: _, ...env } = process.env
    const { residentBytes, heapMegabytes } = this.#limits
    const child = fork(WORKER, [this.#targetsModule, this.#progressFile, `${residentBytes}`], {
      cwd: ROOT,
      env,
      execArgv: ['--import', TYPESCRIPT, `--max-old-space-size=${heapMegabytes}`],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    this.#child = child
    const reply = await nextReply(child, () => undefined)
    if ('iteration' in reply) throw new Error(`the process does not start: ${reply.failure.text}`)
    return child
  }

  async #ask(request: Request, timeoutMs: number): Promise<Reply | Death> {
    const child = await this.#started()
    const limitMs = this.#limits.timeoutMs ?? timeoutMs
    const watch = (): Death | undefined => this.#tooMuch(child, limitMs)
    const answer = nextReply(child, watch, () => this.#progress().iteration)
    child.send(request)
    const reply = await answer
    if ('iteration' in reply) this.#end()
    return reply
  }

  #tooMuch({ pid }: ChildProcess, limitMs: number): Death | undefined {
    const { iteration, beganMs } = this.#progress()
    if (iteration === IDLE) return undefined
    const tookMs = Date.now() - beganMs
    if (tookMs > limitMs) {
      return { iteration, failure: { signature: 'hang', text: `no end after ${tookMs} ms` } }
    }
    const resident = residentBytesOf(pid)
    if (resident <= 2 * this.#limits.residentBytes) return undefined
    const text = `the process grew to ${resident} bytes`
    return { iteration, failure: { signature: 'memory', text } }
  }

  #progress(): { iteration: number; beganMs: number } {
    const bytes = readFileSync(this.#progressFile)
    if (bytes.length < PROGRESS_BYTES) return { iteration: IDLE, beganMs: 0 }
    return { iteration: bytes.readDoubleLE(0), beganMs: bytes.readDoubleLE(8) }
  }
}

/** The next message, or why there will be none. `watch` is asked again and again whether it has to be killed. */
function nextReply(
  child: ChildProcess,
  watch: () => Death | undefined,
  iteration: () => number = () => IDLE,
): Promise<Reply | Death> {
  return new Promise((resolve) => {
    let stderr = ''
    const hear = (chunk: Buffer): void => {
      stderr = (stderr + chunk.toString()).slice(-STDERR_SHOWN)
    }
    const end = (result: Reply | Death): void => {
      clearInterval(timer)
      child.off('message', end).off('close', died)
      child.stderr?.off('data', hear)
      resolve(result)
    }
    const died = (code: number | null, signal: string | null): void => {
      const text = `the process ended with ${signal ?? code}\n${stderr}`
      end({ iteration: iteration(), failure: { signature: `crash ${signal ?? code}`, text } })
    }
    const timer = setInterval(() => {
      const tooMuch = watch()
      if (tooMuch !== undefined) end(tooMuch)
    }, LOOK_MS)
    child.on('message', end).on('close', died)
    child.stderr?.on('data', hear)
  })
}

/** 0 where the system does not tell; then the process itself does, between its inputs. */
function residentBytesOf(pid: number | undefined): number {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * PAGE_BYTES
  } catch {
    return 0
  }
}
