import { LogError } from '../errors.ts'
import type { Identity } from './identity.ts'
import type { BeginOptions, OpenTransaction, TransactionalProducer } from './types.ts'

export interface ProducerHost {
  /** Why no more transactions begin; undefined: they do. */
  readonly closed: LogError | undefined
  beginOf(identity: Identity, options: BeginOptions, isNamed: boolean): OpenTransaction
}

/** One instance of a transactional id. */
export class Producer implements TransactionalProducer {
  readonly transactionalId: string
  readonly producerId: number
  readonly producerEpoch: number
  readonly identity: Identity
  readonly #host: ProducerHost
  readonly #isNamed: boolean
  #fenced: LogError | undefined

  /** @param isNamed a user has named it, and may have another instance of it. */
  constructor(host: ProducerHost, identity: Identity, isNamed: boolean) {
    this.transactionalId = identity.transactionalId
    this.producerId = identity.state.producerId
    this.producerEpoch = identity.state.producerEpoch
    this.identity = identity
    this.#host = host
    this.#isNamed = isNamed
  }

  get fenced(): LogError | undefined {
    const { failure, state } = this.identity
    const isOld = state.producerId !== this.producerId || state.producerEpoch !== this.producerEpoch
    if (this.#fenced !== undefined) return this.#fenced
    if (isOld) return fencedError(this.transactionalId)
    // Those without a name are begun by who commits, also while the log is being closed.
    return failure ?? (this.#isNamed ? this.#host.closed : undefined)
  }

  /** A newer instance takes over, or it is forgotten. The first reason counts. */
  fence(reason: LogError): void {
    this.#fenced ??= reason
  }

  begin(options: BeginOptions): OpenTransaction {
    const { fenced, identity } = this
    if (fenced !== undefined) throw fenced
    if (identity.isBusy) throw busyError(identity)
    return this.#host.beginOf(identity, options, this.#isNamed)
  }
}

export function fencedError(transactionalId: string): LogError {
  const message = `the producer ${transactionalId} is fenced: a newer instance has taken over, or its transaction took too long`
  return new LogError('PRODUCER_FENCED', message)
}

/** It was idle for too long: nothing is known of its id any more. */
export function forgottenError(transactionalId: string): LogError {
  const message = `the producer ${transactionalId} was idle for longer than transactionalIdExpirationMs and is forgotten: make it anew`
  return new LogError('PRODUCER_FENCED', message)
}

/** Something of the identity is under way. */
export function busyError({ transactionalId, isStalled }: Identity): Error {
  if (!isStalled) return new TypeError(`a transaction of ${transactionalId} is open`)
  const message = `the last transaction of ${transactionalId} waits for room on the disk`
  return new LogError('DISK_FULL', message, { retryable: true })
}
