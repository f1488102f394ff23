import type { RecordSet } from '../codec/record-set.ts'
import type { HeaderValue, RecordHeaders } from '../types.ts'
import { asError } from '../util/error-code.ts'
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
    keys: keys.map((key) => (typeof key === 'string' ? key : copyBytes(key))),
    values: values.map(copyBytes),
    headers: headers?.map(copyHeaders),
    timestamps: timestamps?.slice(),
  }
}

export function copyBytes(bytes: Uint8Array | null): Uint8Array | null {
  return bytes === null ? null : Uint8Array.prototype.slice.call(bytes)
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
