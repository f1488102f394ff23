/** What a campaign and the process that runs its inputs say to each other. */

/** How an input failed. */
export interface Failure {
  /** The same for inputs that fail in the same way. */
  readonly signature: string
  /** For people: message and stack. */
  readonly text: string
}

export interface Limits {
  /** Resident memory that the process may come to. */
  readonly residentBytes: number
  /** Of V8's heap. */
  readonly heapMegabytes: number
  /** Overrides the targets' own. */
  readonly timeoutMs: number | undefined
}

/** Iterations `from` on, until `milliseconds` have passed or `inputs` are done. */
export interface FuzzRequest {
  readonly do: 'fuzz'
  readonly target: string
  readonly seed: number
  readonly from: number
  readonly milliseconds: number
  readonly inputs: number
}

/** The input itself, or that of an iteration. */
export interface CheckRequest {
  readonly do: 'check'
  readonly target: string
  readonly input: Uint8Array
}

export interface InputRequest {
  readonly do: 'generate'
  readonly target: string
  readonly seed: number
  readonly iteration: number
}

export type Request = FuzzRequest | CheckRequest | InputRequest

export interface Fuzzed {
  readonly inputs: number
  readonly slowestMs: number
  readonly slowestIteration: number
  readonly peakResidentBytes: number
  /** Of the last iteration. */
  readonly failure: Failure | undefined
}

export type Reply =
  | { readonly told: 'ready' }
  | { readonly told: 'fuzzed'; readonly result: Fuzzed }
  | { readonly told: 'checked'; readonly failure: Failure | undefined }
  | { readonly told: 'generated'; readonly input: Uint8Array }

/** The file in which the process tells what it is at: two doubles, the iteration (-1: none) and when it began (`Date.now()`). */
export const PROGRESS_BYTES = 16
export const IDLE = -1
