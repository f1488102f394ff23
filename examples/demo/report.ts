// What the demo prints, and how it ends when something is not as it must be.
let checks = 0

export function say(line: string): void {
  console.log(line)
}

/** Ends the demo, with an exit code other than 0, unless it is so. */
export function check(what: string, isSo: boolean): void {
  checks += 1
  if (!isSo) throw new Error(`check failed: ${what}`)
}

export function countChecks(): number {
  return checks
}

export function rate(count: number, elapsedMs: number): string {
  return `${Math.round((count / elapsedMs) * 1000).toLocaleString('en')} records/s`
}

/** The result of some work, and how many milliseconds it took. */
export async function timed<T>(work: () => Promise<T>): Promise<[result: T, elapsedMs: number]> {
  const began = performance.now()
  const result = await work()
  return [result, performance.now() - began]
}
