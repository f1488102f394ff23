/**
 * One handle a process that keeps it alive while anyone waits for records. The real timer is meant here, not the
 * `Clock`: it never has to fire.
 */
const { setInterval: startInterval } = globalThis
const LONGEST_MS = 2 ** 31 - 1

let handle: NodeJS.Timeout | undefined
let waiting = 0

/** The process stays alive until `letGo` has been called as often as this. */
export function keepAlive(): void {
  waiting += 1
  if (waiting > 1) return
  if (handle === undefined) handle = startInterval(() => {}, LONGEST_MS)
  else handle.ref()
}

export function letGo(): void {
  waiting -= 1
  if (waiting === 0) handle?.unref()
}
