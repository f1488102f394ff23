/**
 * Keeps a loop of awaited calls from starving the process. What is answered from microtasks alone never lets
 * timers and I/O run; after `SLICE_MS` of it the next answer comes through `setImmediate`.
 *
 * The real time is meant here, not the `Clock`: it is the event loop of this process that is watched.
 */
const SLICE_MS = 5
/** Of work that nobody waits for: who produces or fetches beside it comes to a turn of its own after as much at the most, several times a call. */
const BACKGROUND_SLICE_MS = 0.2
/** And where somebody does, it leaves the processor alone for as long: the disk's own threads need one, too, for what is synced. */
const BACKGROUND_PAUSE_MS = 1

/** Taken once: as a global it is an accessor, which takes as long as the look at the clock. */
const { performance } = globalThis

/** Taken here, so that a test that mocks the global timers does not stop the work. */
const { setTimeout } = globalThis

let turnStartMs = 0
let inTurn = false
/** Since work in the background gave way for the last time. */
let othersCame = false

/** True when the current turn of the event loop has gone on for longer than it should. */
export function turnIsLong(): boolean {
  othersCame = true
  return hasTaken(SLICE_MS)
}

/** As `turnIsLong`, for work in the background, which gives way earlier, by `giveWay`. */
export function turnIsLongForBackground(): boolean {
  return hasTaken(BACKGROUND_SLICE_MS)
}

function hasTaken(sliceMs: number): boolean {
  if (!inTurn) {
    inTurn = true
    turnStartMs = performance.now()
    setImmediate(endTurn).unref()
    return false
  }
  return performance.now() - turnStartMs > sliceMs
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

/** For work in the background: as `nextTurn`, and after a pause where others are at work. */
export function giveWay(): Promise<void> {
  if (!othersCame) return nextTurn()
  othersCame = false
  return new Promise((resolve) => {
    setTimeout(resolve, BACKGROUND_PAUSE_MS)
  })
}

function endTurn(): void {
  inTurn = false
}
