import type { RecordSet } from '../codec/record-set.ts'
import type { HeaderValue, RecordHeaders } from '../types.ts'
import { asError } from '../util/error-code.ts'
import { viewOf } from '../util/view.ts'
import type { AppendCall } from './append-call.ts'
import type { PendingRoom } from './pending-room.ts'

/** The room is taken; the records may be encoded. */
export type Admit = (set: RecordSet, call: AppendCall, roomBytes: number) => void

/**
 * Lets calls in where there is room for their records, in their order. Who has to wait can be taken back by an abort signal, and its
 * records are copied, since the caller may use its buffers again once the call has returned.
 */
export class Admission {
  readonly #room: PendingRoom
  readonly #admit: Admit
  readonly #left: () => void
  #waiting = 0

  /** @param left told when a call has stopped waiting, in either way. */
  constructor(room: PendingRoom, admit: Admit, left: () => void) {
    this.#room = room
    this.#admit = admit
    this.#left = left
  }

  /** How many calls wait. */
  get waiting(): number {
    return this.#waiting
  }

  enter(set: RecordSet, call: AppendCall, roomBytes: number): void {
    if (this.#room.tryTake(roomBytes)) this.#admit(set, call, roomBytes)
    else if (call.signal?.aborted === true) call.failed(asError(call.signal.reason))
    else this.#wait(copyRecordSet(set), call, roomBytes)
  }

  #wait(copy: RecordSet, call: AppendCall, roomBytes: number): void {
    const { signal } = call
    this.#waiting += 1
    const takeBack = this.#room.wait(roomBytes, () => {
      signal?.removeEventListener('abort', onAbort)
      this.#waiting -= 1
      this.#admit(copy, call, roomBytes)
      this.#left()
    })
    const onAbort = (): void => {
      if (!takeBack()) return
      this.#waiting -= 1
      call.failed(asError(signal?.reason))
      this.#left()
    }
    signal?.addEventListener('abort', onAbort, { once: true })
  }
}

/** For records that wait: the caller may use its buffers again once the call has returned. */
export function copyRecordSet({ keys, values, headers, timestamps }: RecordSet): RecordSet {
  return {
    keys: copyAll(keys),
    values: copyAll(values),
    headers: headers?.map(copyHeaders),
    timestamps: timestamps?.slice(),
  }
}

type Content = string | Uint8Array | null

/**
 * The same with copies of all bytes among them, in one piece of memory: a piece for each costs more than the copying. `stays` tells what needs no
 * copy; it is asked of each once, in their order.
 */
export function copyAll<T extends Content>(
  contents: readonly T[],
  stays?: (bytes: Uint8Array) => boolean,
): readonly T[] {
  let bytes = 0
  let copies: T[] | undefined
  for (let index = 0; index < contents.length; index += 1) {
    const each = contents[index] as T
    if (!isBytes(each) || stays?.(each) === true) continue
    // Marked by what it is replaced with.
    copies ??= contents.slice()
    copies[index] = TO_COPY as T
    bytes += each.length
  }
  if (copies === undefined) return contents
  const memory = Buffer.allocUnsafe(bytes)
  let at = memory.byteOffset
  for (let index = 0; index < contents.length; index += 1) {
    if (copies[index] !== TO_COPY) continue
    const each = contents[index] as Uint8Array
    const copy = viewOf(memory.buffer, at, each.length)
    copy.set(each)
    copies[index] = copy as Uint8Array as T
    at += each.length
  }
  return copies
}

const TO_COPY = new Uint8Array(0)

function isBytes(content: Content): content is Uint8Array {
  return typeof content === 'object' && content !== null
}

/** Small ones share a pool with others: an `ArrayBuffer` each would take longer to make, and to collect, than they to copy. */
export function copyBytes(bytes: Uint8Array | null): Uint8Array | null {
  if (bytes === null) return null
  const copy = Buffer.allocUnsafe(bytes.length)
  copy.set(bytes)
  return copy
}

export function copyHeaders(headers: RecordHeaders | undefined): RecordHeaders | undefined {
  if (headers === undefined) return undefined
  const copies = Object.entries(headers).map(([name, value]) => [
    name,
    Array.isArray(value) ? value.map(copyHeader) : copyHeader(value as HeaderValue),
  ])
  return Object.fromEntries(copies) as RecordHeaders
}

function copyHeader(value: HeaderValue): HeaderValue {
  return typeof value === 'string' ? value : copyBytes(value)
}
