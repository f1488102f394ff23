// How long the event loop is held by the one thread that it has.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'

/** What holds the loop by itself does so each time; a collection of garbage may fall into one. */
const ATTEMPTS = 20

/** What this thread has run so far: another process, or a virtual machine's host, may have the processor at any time. Milliseconds. */
function processorMs(): number {
  try {
    const [ran] = readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')
    return Number(ran) / 1e6
  } catch {
    // Not Linux: all threads of the process, where there is no better.
    const { user, system } = process.threadCpuUsage?.() ?? process.cpuUsage()
    return (user + system) / 1000
  }
}

/** The longest that the loop was kept from a timer of 1 ms while `work` ran, in milliseconds. */
export async function longestHoldMs(work: () => Promise<unknown>): Promise<number> {
  let last = processorMs()
  let longest = 0
  const tick = (): void => {
    const now = processorMs()
    longest = Math.max(longest, now - last)
    last = now
  }
  const timer = setInterval(tick, 1)
  try {
    await work()
    tick()
  } finally {
    clearInterval(timer)
  }
  return longest
}

/** Fails where each of some attempts, whose holds in milliseconds `attempt` answers with, is over the limit. */
export async function expectShortHold(
  what: string,
  limitMs: number,
  attempt: () => Promise<number>,
): Promise<void> {
  const holds: number[] = []
  while (holds.length < ATTEMPTS) {
    holds.push(await attempt())
    if ((holds.at(-1) ?? 0) <= limitMs) return
  }
  assert.fail(`${what} held the event loop for ${holds.map(Math.round)} ms`)
}
