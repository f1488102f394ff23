/** `__transaction_state`: the last state of each transactional id. */
import { MalformedBytesError } from '../groups/byte-reader.ts'
import { offsetsPartitionFor } from '../groups/offset-format.ts'
import { OffsetsLog } from '../groups/offsets-log.ts'
import { AppendCall } from '../storage/append-call.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import type { Durability } from '../types.ts'
import type { TransactionState } from './transaction-state-format.ts'
import {
  decodeTransactionKey,
  decodeTransactionValue,
  encodeTransactionKey,
  encodeTransactionValue,
} from './transaction-state-format.ts'

export const TRANSACTIONS_TOPIC = '__transaction_state'

/** The last states in one partition of `__transaction_state`. What cannot be read is passed: it is kept, and never acted upon. */
export async function readTransactionStates(
  log: PartitionLog,
): Promise<Map<string, TransactionState>> {
  const states = new Map<string, TransactionState>()
  for await (const { key, value, control } of new OffsetsLog(log).scan()) {
    if (key === null || control !== undefined) continue
    try {
      const transactionalId = decodeTransactionKey(key)
      if (value === null) states.delete(transactionalId)
      else states.set(transactionalId, decodeTransactionValue(value))
    } catch (error) {
      if (!(error instanceof MalformedBytesError)) throw error
    }
  }
  return states
}

/** The partition of a transactional id: by the same hash as a group's. */
export function stateLogFor(transactionalId: string, logs: readonly PartitionLog[]): PartitionLog {
  return logs[offsetsPartitionFor(transactionalId, logs.length)] as PartitionLog
}

/** Stores a state, or with null that the id is forgotten. Exactly one of the two functions is called, once. */
export function appendState(
  log: PartitionLog,
  transactionalId: string,
  state: TransactionState | null,
  durability: Durability,
  stored: () => void,
  refused: (error: Error) => void,
): void {
  const set = {
    keys: [encodeTransactionKey(transactionalId)],
    values: [state === null ? null : encodeTransactionValue(state)],
    headers: undefined,
    timestamps: state === null ? undefined : [state.lastUpdateTimestamp],
  }
  log.append(set, new StateCall(durability, stored, refused))
}

/** As `appendState`. */
export function storeState(
  log: PartitionLog,
  transactionalId: string,
  state: TransactionState | null,
  durability: Durability,
): Promise<void> {
  return new Promise((resolve, reject) => {
    appendState(log, transactionalId, state, durability, resolve, reject)
  })
}

class StateCall extends AppendCall {
  readonly #stored: () => void
  readonly #refused: (error: Error) => void

  constructor(durability: Durability, stored: () => void, refused: (error: Error) => void) {
    super(durability, -1, undefined)
    this.#stored = stored
    this.#refused = refused
  }

  acknowledged(): void {
    this.#stored()
  }

  failed(error: Error): void {
    this.#refused(error)
  }
}
