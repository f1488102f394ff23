/**
 * Keeps a loop of awaited calls from starving the process. What is answered from microtasks alone never lets
 * timers and I/O run; after `SLICE_MS` of it the next answer comes through `setImmediate`.
 *
 * The real time is meant here, not the `Clock`: it is the event loop of this process that is watched.
 */
const SLICE_MS = 5
/** Of work that nobody waits for: who produces or fetches beside it comes to a turn of its own after as much at the most, several times a call. */
const BACKGROUND_SLICE_MS = 0.5

/** Taken once: as a global it is an accessor, which takes as long as the look at the clock. */
const { performance } = globalThis

let turnStartMs = 0
let inTurn = false

/** True when the current turn of the event loop has gone on for longer than it should. */
export function turnIsLong(sliceMs: number = SLICE_MS): boolean {
  if (!inTurn) {
    inTurn = true
    turnStartMs = performance.now()
    setImmediate(endTurn).unref()
    return false
  }
  return performance.now() - turnStartMs > sliceMs
}

/** As `turnIsLong`, for work in the background, which gives way earlier. */
export function turnIsLongForBackground(): boolean {
  return turnIsLong(BACKGROUND_SLICE_MS)
}

/** Runs `task`, which must not throw, from a microtask: as soon as the current code has ended. */
export function soon(task: () => void): void {
  void settled.then(task)
}

/** Its reactions are plain microtasks; `queueMicrotask` adds the bookkeeping of an `AsyncResource`, a third of a microsecond. */
const settled = Promise.resolve()

/** Resolves in the next turn of the event loop. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}

function endTurn(): void {
  inTurn = false
}
