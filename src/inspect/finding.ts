import type { CorruptLogError } from '../errors.ts'

/** What looking at a directory's files can find. Every kind stands once in these tables, with what it means. */

export type Severity = 'damage' | 'warning' | 'information'

/** Bytes are not what they must be. */
export const DAMAGE = {
  'batch-header': 'no batch begins where one must, its header makes no sense',
  'batch-crc': 'the CRC of a batch does not hold',
  'batch-cut': 'the file ends within a batch',
  zeros: 'zeros where batches must be',
  records: 'the CRC of a batch holds, but its records do not decode',
  'offset-order': 'a batch begins at an offset that lies behind it already',
  'segment-range': 'a batch has offsets that are not of its segment',
  'timestamp-above': "a record is younger than its batch's maxTimestamp says",
  'index-size': 'the size of an index is not that of whole entries',
  'index-zeros': 'zeros behind the entries of an index that must end with them',
  'index-order': 'the entries of an index do not rise',
  'index-entry': 'an index entry leads readers past records',
  'aborted-entry': 'an aborted transaction that the batches do not bear out',
  'aborted-missing': 'an aborted transaction that the index does not have',
  'snapshot-damaged': 'a producer snapshot fails its checks',
  'snapshot-contradicts': 'a producer snapshot and the batches contradict each other',
  'producer-epoch': 'a batch has a lower producer epoch than one before it',
  'coordinator-epoch': 'a marker has a lower coordinator epoch than one before it',
  'transaction-mixed': 'a batch outside of the transaction that its producer has open',
  'transaction-open': 'a transaction that is complete by its state is open in a partition',
  'checkpoint-damaged': 'a checkpoint cannot be read',
  'recovery-point-ahead': 'offsets that were on the disk are missing at the log end',
  'recovery-point-behind': 'the log was closed with another end than it has',
  'epochs-damaged': 'leader-epoch-checkpoint cannot be read, or does not rise',
  'metadata-damaged': 'partition.metadata cannot be read',
  'store-damaged': 'brokerless.json fails its checks',
  'partition-missing': 'brokerless.json names a partition that is not there',
} as const

/** Not as it should be, though no byte that has to be there is wrong. */
export const WARNINGS = {
  'zero-tail': 'zeros behind the last batch of a log that was not closed',
  'lost-write': 'zeros where an unsynced write was lost; readers pass them',
  'old-format': 'messages of Kafka before 0.11 (magic 0 or 1), which are not read',
  'codec-missing': 'the package of a codec is missing: CRC checked, records not',
  'large-batch': 'a batch too large for memory: CRC checked, records not',
  'max-timestamp': "no record has its batch's maxTimestamp",
  'leader-epoch': 'a batch has another leader epoch than the checkpoint says',
  sequence: 'the sequences of a producer do not go on where they ended',
  'state-record': 'a record of __transaction_state cannot be read',
  'index-inexact': 'an index entry is not as Kafka makes it, look-ups by it are right',
  'index-missing': 'a segment has no index; the next open makes it',
  'index-incomplete': 'a time index ends below the greatest timestamp of its segment',
  'snapshot-ahead': 'a producer snapshot is as of an offset past the log end',
  'snapshot-missing': 'no producer snapshot as of the log end, though the log was closed',
  'log-start-ahead': 'the log start lies past the log end',
  'checkpoint-ahead': 'a checkpoint lies past the log end',
  'epoch-ahead': 'a leader epoch begins past the log end',
  'topic-id': 'a partition has another topic id than its topic',
  'unknown-name': 'a file or directory whose name means nothing here',
} as const

/** Good to know. */
export const INFORMATION = {
  gap: 'offsets without a record, as compaction leaves them',
  'marker-alone': 'a marker of a transaction without records here',
  'transaction-hanging': 'an open transaction that nothing in __transaction_state will decide',
  'growing-tail': 'bytes behind the last whole batch of a log that is being written',
  'index-orphan': 'an index without a .log; the next open removes it',
  'checkpoint-unknown': 'a checkpoint names a partition that is not there',
  'topic-unknown': 'brokerless.json does not name a partition that is there',
  'half-done': 'an operation that the next open finishes or undoes',
  'kept-aside': 'a copy of what a recovery cut off',
  'not-closed': 'the last writer did not close the directory',
  live: 'a writer has the directory open',
  changed: 'a file went or changed while it was looked at',
  more: 'further findings of a kind in a file, not listed',
} as const

export type FindingKind = keyof typeof DAMAGE | keyof typeof WARNINGS | keyof typeof INFORMATION

/** How bad a kind of finding is, where the state of the directory does not say otherwise. */
export function severityOf(kind: FindingKind): Severity {
  if (kind in DAMAGE) return 'damage'
  return kind in WARNINGS ? 'warning' : 'information'
}

export interface Finding {
  readonly severity: Severity
  readonly kind: FindingKind
  /** Path within the data directory. */
  readonly file: string
  /** Where it begins in the file, in bytes. */
  readonly position?: number
  /** How far it reaches. */
  readonly bytes?: number
  /** Offsets concerned, both included. */
  readonly firstOffset?: number
  readonly lastOffset?: number
  /** What is the matter, as a sentence without its end. */
  readonly message: string
}

export type FindingDetails = Omit<Finding, 'kind' | 'severity' | 'file' | 'message'> & {
  /** Where the state of the directory excuses it, or makes it worse. */
  readonly severity?: Severity
}

/** Findings of a kind in a file that are told one by one; those beyond are counted. */
const TOLD_ONE_BY_ONE = 20

/** Takes findings, and keeps a file full of the same from filling memory and screen. */
export class Findings {
  readonly #told: (finding: Finding) => void
  /** Of a kind in a file, that are told one by one. */
  readonly limit: number
  readonly #counts = new Map<string, { readonly first: Finding; count: number }>()
  readonly totals: Record<Severity, number> = { damage: 0, warning: 0, information: 0 }

  constructor(told: (finding: Finding) => void, limit: number = TOLD_ONE_BY_ONE) {
    this.#told = told
    this.limit = limit
  }

  add(kind: FindingKind, file: string, message: string, details: FindingDetails = {}): void {
    const { severity = severityOf(kind), ...rest } = details
    this.take({ severity, kind, file, ...rest, message })
  }

  take(finding: Finding): void {
    this.totals[finding.severity] += 1
    const key = `${finding.file} ${finding.kind}`
    const seen = this.#counts.get(key)
    if (seen === undefined) this.#counts.set(key, { first: finding, count: 1 })
    else seen.count += 1
    if ((seen?.count ?? 1) <= this.limit) this.#told(finding)
  }

  /** Tells what was only counted since the last call. */
  settle(): void {
    for (const [, { first, count }] of this.#counts) {
      if (count <= this.limit) continue
      const message = `${count - this.limit} more of ${first.kind}`
      this.#told({ severity: first.severity, kind: 'more', file: first.file, message })
    }
    this.#counts.clear()
  }
}

/** What is wrong, without the file and position that findings have apart. */
export function reasonOf({ message, file, position }: CorruptLogError): string {
  const where = `${file}, byte ${position}: `
  return message.startsWith(where) ? message.slice(where.length) : message
}
