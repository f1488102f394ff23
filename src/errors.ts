/**
 * Trouble is a `LogError` with a stable `code`; misuse is a `TypeError` or `RangeError`.
 * Every code stands once in this table; its text says what it means to the caller.
 */
export const ERROR_CODES = {
  CLOSED: 'the log, or the consumer, is closed',
  READ_ONLY: 'the log was opened with readOnly',
  LOCKED: 'another owner holds the data directory',
  UNSUPPORTED_VERSION: 'a file was written by a newer version',
  UNKNOWN_TOPIC: 'no such topic',
  UNKNOWN_PARTITION: 'the topic has no such partition',
  TOPIC_EXISTS: 'the topic exists with another configuration',
  TOPIC_MISMATCH: 'the declaration does not fit the stored topic',
  UNKNOWN_GROUP: 'no such group',
  GROUP_NOT_EMPTY: 'the group has members; what was asked is for a group without',
  FENCED: 'the partition is not the own of who commits or asks for it; nothing was committed',
  NO_OFFSET: "the group has committed nothing for a partition, and from is 'none'",
  HANDLER_FAILED: 'a handler of a consumer failed, and its failure policy says stop',
  VALIDATION_FAILED: 'the schema refused a value',
  KEY_REQUIRED: 'the topic is compacted, and a record has no key',
  MESSAGE_TOO_LARGE: 'the records make a batch above maxMessageBytes or segmentBytes',
  PRODUCER_FENCED:
    'a newer instance of the producer has taken over, or it was forgotten; nothing was written',
  OUT_OF_ORDER_SEQUENCE: 'records of the producer before these are missing; nothing was written',
  TRANSACTION_ABORTED:
    'the transaction was given up: its time was up, or records of it were refused',
  DUPLICATE_SEQUENCE:
    'the records were written before, so long ago that their offsets are not remembered',
  OFFSET_CONFLICT: 'expectedOffset is not the log end offset',
  OFFSET_OUT_OF_RANGE: 'the offset lies outside the partition',
  PARTIAL_PRODUCE: 'some partitions of a call took their records, others did not',
  CORRUPT_LOG: 'bytes in a file fail their checks',
  UNSUPPORTED_CODEC: 'the package for a codec is missing, or the codec is not known',
  UNSUPPORTED_MAGIC: 'a batch has the format of Kafka before 0.11 (magic 0 or 1)',
  DECODE_FAILED: 'the serializer could not decode a value',
  COMPRESSION_FAILED: 'a codec could not compress a batch; nothing was written',
  COMPACTION_FAILED: 'a partition could not be compacted; its records are as they were',
  DISK_FULL: 'there is no room on the disk; nothing was written',
  STORAGE_FAILED: 'a write or sync failed; writes have stopped until the log is opened again',
} as const

export type LogErrorCode = keyof typeof ERROR_CODES

export interface LogErrorOptions {
  readonly cause?: unknown
  /** True where the same call may succeed later without anything being done. Default false. */
  readonly retryable?: boolean
}

export class LogError extends Error {
  override readonly name: string = 'LogError'
  readonly code: LogErrorCode
  readonly retryable: boolean

  constructor(code: LogErrorCode, message: string, options: LogErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.retryable = options.retryable ?? false
  }
}

/** The offset asked for lies outside [start, end]. */
export class OffsetOutOfRangeError extends LogError {
  override readonly name = 'OffsetOutOfRangeError'
  readonly requested: number
  readonly start: number
  readonly end: number

  constructor(where: string, requested: number, start: number, end: number) {
    super('OFFSET_OUT_OF_RANGE', `${where}: offset ${requested} is outside ${start} to ${end}`)
    this.requested = requested
    this.start = start
    this.end = end
  }
}

/** A conditional append found another log end offset than the caller expected. */
export class OffsetConflictError extends LogError {
  override readonly name = 'OffsetConflictError'
  readonly expected: number
  readonly actual: number

  constructor(where: string, expected: number, actual: number) {
    super('OFFSET_CONFLICT', `${where}: expected the log end offset ${expected}, it is ${actual}`)
    this.expected = expected
    this.actual = actual
  }
}

/** A region of a file fails its checks. */
export class CorruptLogError extends LogError {
  override readonly name = 'CorruptLogError'
  readonly file: string
  /** Where the region begins, in bytes. */
  readonly position: number

  constructor(file: string, position: number, reason: string, options: LogErrorOptions = {}) {
    super('CORRUPT_LOG', `${file}, byte ${position}: ${reason}`, options)
    this.file = file
    this.position = position
  }
}

/** A value could not be decoded by the topic's serializer. */
export class DecodeError extends LogError {
  override readonly name = 'DecodeError'
  readonly topic: string
  readonly partition: number
  readonly offset: number

  constructor(topic: string, partition: number, offset: number, cause: unknown) {
    super('DECODE_FAILED', `${topic}-${partition}, offset ${offset}: the value cannot be decoded`, {
      cause,
    })
    this.topic = topic
    this.partition = partition
    this.offset = offset
  }
}

/** A topic's schema refused a value. */
export class ValidationError extends LogError {
  override readonly name = 'ValidationError'
  readonly topic: string
  /** Position in the call's records. */
  readonly index: number
  /** As the schema gave them (Standard Schema). */
  readonly issues: readonly { readonly message: string }[]

  constructor(topic: string, index: number, issues: readonly { readonly message: string }[]) {
    const first = issues[0]?.message ?? 'no reason given'
    super(
      'VALIDATION_FAILED',
      `${topic}: the schema refused the value of record ${index}: ${first}`,
    )
    this.topic = topic
    this.index = index
    this.issues = issues
  }
}

/** A batch above `maxMessageBytes` or `segmentBytes`. */
export class MessageTooLargeError extends LogError {
  override readonly name = 'MessageTooLargeError'
  /** Size of the batch in bytes. */
  readonly size: number
  readonly limit: number

  constructor(where: string, size: number, limitName: string, limit: number) {
    super(
      'MESSAGE_TOO_LARGE',
      `${where}: the records make a batch of ${size} bytes, ${limitName} is ${limit}`,
    )
    this.size = size
    this.limit = limit
  }
}

/** Who holds a data directory, as far as its lock file tells. */
export interface LockHolder {
  readonly pid: number
  readonly host: string
  /** When the lock was taken, milliseconds since the Unix epoch. */
  readonly since: number
}

/** The data directory is held. `token` names this lock; `open({ breakLock: token })` clears it where its holder is known to be gone. */
export class DirectoryLockedError extends LogError {
  override readonly name = 'DirectoryLockedError'
  readonly holder: LockHolder | undefined
  readonly token: string | undefined

  constructor(message: string, holder: LockHolder | undefined, token: string | undefined) {
    super('LOCKED', message)
    this.holder = holder
    this.token = token
  }
}

/** A handler of a consumer's `run` failed, and its failure policy says stop; `cause` is what it threw. */
export class HandlerFailedError extends LogError {
  override readonly name = 'HandlerFailedError'
  readonly topic: string
  readonly partition: number
  /** Of the record, or of the first one of the batch. */
  readonly offset: number
  /** How often it had been handed out. */
  readonly deliveryCount: number

  constructor(record: Pick<HandlerFailedError, FailedRecordField>, cause: unknown) {
    const { topic, partition, offset, deliveryCount } = record
    const reason = cause instanceof Error ? cause.message : String(cause)
    super(
      'HANDLER_FAILED',
      `${topic}-${partition}, offset ${offset}: its handler failed (delivery ${deliveryCount}): ${reason}`,
      { cause },
    )
    this.topic = topic
    this.partition = partition
    this.offset = offset
    this.deliveryCount = deliveryCount
  }
}

type FailedRecordField = 'topic' | 'partition' | 'offset' | 'deliveryCount'

export interface FailedPartition {
  readonly partition: number
  readonly error: Error
}

/** Of a call over several partitions some took their records and others did not. */
export class PartialProduceError<A = unknown> extends LogError {
  override readonly name = 'PartialProduceError'
  readonly acknowledged: readonly A[]
  readonly failed: readonly FailedPartition[]

  constructor(topic: string, acknowledged: readonly A[], failed: readonly FailedPartition[]) {
    const partitions = failed.map((each) => each.partition).join(', ')
    super('PARTIAL_PRODUCE', `${topic}: partitions ${partitions} did not take their records`, {
      cause: failed[0]?.error,
    })
    this.acknowledged = acknowledged
    this.failed = failed
  }
}
