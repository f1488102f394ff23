// Threads that run TypeScript, and tests in a thread of their own.
import { once } from 'node:events'
import { test } from 'node:test'
import type { WorkerOptions } from 'node:worker_threads'
import { isMainThread, Worker, workerData } from 'node:worker_threads'

/** Workers do not inherit the loader that reads TypeScript. */
export function startThread(url: string, options: Pick<WorkerOptions, 'env' | 'workerData'>) {
  const [loader, program] = [import.meta.resolve('tsx/esm/api'), url].map((each) =>
    JSON.stringify(each),
  )
  const code = `import(${loader}).then(({ register }) => { register(); return import(${program}) })`
  return new Worker(code, { ...options, eval: true, execArgv: [] })
}

export interface ThreadTestOptions {
  /** The test's own file, which the thread runs as well. */
  readonly url: string
  /** Told with the test's result, and to the thread as `BROKERLESS_SEED`. */
  readonly seed: number
}

/**
 * As `test`, with a body that runs in a thread of its own: node:test has a hook look at each promise of its thread, which
 * takes a third of the time of a body that makes millions. Names are unique within a file.
 */
export function testInThread(
  name: string,
  { url, seed }: ThreadTestOptions,
  body: () => Promise<void>,
): void {
  if (!isMainThread) {
    if (workerData === name) void body()
    return
  }
  test(name, async (t) => {
    t.diagnostic(`BROKERLESS_SEED=${seed}`)
    const env = { ...process.env, BROKERLESS_SEED: String(seed) }
    // An error that nobody catches there is thrown here.
    const [exitCode] = await once(startThread(url, { workerData: name, env }), 'exit')
    if (exitCode !== 0) throw new Error(`the thread ended with exit code ${exitCode}`)
  })
}
