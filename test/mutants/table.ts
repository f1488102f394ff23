// The faults that the suite must notice, each with the test that does.
import type { Mutant } from './engine.ts'

const PROMISES = 'test/crash/promises.test.ts'
const READERS = 'test/crash/compaction-readers.test.ts'
const LOOKING =
  'has none for logs that were opened before, and look before one read in 7, or when they must'

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'the lock is always granted',
    file: 'src/storage/directory-lock.ts',
    search: 'const right = current && (await this.#rightTo(lockPath, current))',
    replace: "const right: Right | undefined = current && 'own'",
    killedBy: {
      file: 'test/storage/directory-lock.test.ts',
      test: 'a second open in the same process is refused with the holder and the way out',
    },
  },
  {
    name: 'the sync of a file does nothing',
    file: 'src/storage/file-cache.ts',
    search: 'await handle.sync()',
    replace: 'await Promise.resolve()',
    killedBy: {
      file: PROMISES,
      test: 'a record that was acknowledged at disk is there after the power cut that follows',
    },
  },
  {
    name: 'the sync of a directory does nothing',
    file: 'src/storage/limited-syncs.ts',
    search: 'return this.syncs.run(() => this.inner.syncDirectory(path))',
    replace: 'return Promise.resolve()',
    killedBy: {
      file: PROMISES,
      test: 'a segment that a roll has begun is there after a power cut, and so is a topic',
    },
  },
  {
    name: 'the recovery point is written before the sync',
    file: 'src/log/log-core.ts',
    search: '[each.name, each.syncedOffset]',
    replace: '[each.name, each.logEndOffset]',
    killedBy: {
      file: PROMISES,
      test: 'a batch that came while its topic was being synced is not taken for synced: torn, it is cut',
    },
  },
  {
    name: 'the CRC is never checked',
    file: 'src/codec/batch.ts',
    search: "return computed === readInt32(buffer, at + 17) >>> 0 ? undefined : 'bad-crc'",
    replace: "return computed >= 0 ? undefined : 'bad-crc'",
    killedBy: {
      file: PROMISES,
      test: 'a batch of which a part did not reach the disk is cut by the next open, and its offset given again',
    },
  },
  {
    name: 'the index is trusted',
    file: 'src/storage/page-reader.ts',
    search: 'const isTrusted = hint !== undefined || segment.wereIndexesRebuilt',
    replace: 'const isTrusted = true',
    killedBy: {
      file: PROMISES,
      test: 'after a clean close an index with wrong entries leads no reader astray',
    },
  },
  {
    name: 'the clean marker is left in place',
    file: 'src/log/data-directory.ts',
    search: 'if (!this.isClean || this.#options.readOnly) return',
    replace: 'return',
    killedBy: {
      file: PROMISES,
      test: 'a crash after a clean close and an open is told from the clean close',
    },
  },
  {
    name: 'an open after a crash goes on with the last epoch',
    file: 'src/storage/recovered-epochs.ts',
    search: '(mayHaveLost || isCut)',
    replace: 'isCut',
    killedBy: {
      file: 'test/behaviour/72-epochs.test.ts',
      test: 'has the offsets that a power cut took from an os topic again, with another epoch',
    },
  },
  {
    name: 'the epoch of a term is not written',
    file: 'src/storage/partition-epochs.ts',
    search: 'if (areSame(this.#written, entries)) return',
    replace: 'if (entries.length >= 0) return',
    killedBy: {
      file: 'test/storage/leader-epoch-file.test.ts',
      test: 'that wrote what was then lost keeps its epoch: the next one is above it',
    },
  },
  {
    name: 'a compaction commits what it has not synced',
    file: 'src/cleanup/cleaned-writer.ts',
    search: 'await this.segment.seal()',
    replace: 'this.segment.flushIndexes()',
    killedBy: {
      file: 'test/crash/compaction.test.ts',
      test: 'after a power cut at any operation of a compaction each key has its last record, and what was deleted is not back',
    },
  },
  {
    name: 'a compaction syncs no names',
    file: 'src/storage/segment-swap.ts',
    search: "import { syncNames } from './sync-error.ts'",
    replace: 'const syncNames = async (..._unused: unknown[]): Promise<void> => {}',
    killedBy: {
      file: 'test/crash/compaction.test.ts',
      test: 'after a power cut at any operation of a compaction each key has its last record, and what was deleted is not back',
    },
  },
  {
    name: 'an open that finishes a compaction leaves what it covers',
    file: 'src/storage/segment-swap.ts',
    search: 'const isCommitted = (await fileSystem.stat(log)) !== undefined',
    replace: 'const isCommitted = false',
    killedBy: {
      file: 'test/crash/compaction.test.ts',
      test: 'after a power cut at any operation of a compaction each key has its last record, and what was deleted is not back',
    },
  },
  {
    name: 'a compaction forgets where producers have come to',
    file: 'src/cleanup/compaction-pass.ts',
    search: 'last.set(producerId, { producerEpoch, lastDataOffset: batches.at(-1)?.lastOffset })',
    replace: 'last.set(producerId, { producerEpoch, lastDataOffset: batches.length })',
    killedBy: {
      file: 'test/crash/compaction.test.ts',
      test: 'after a power cut at any operation of a compaction each key has its last record, and what was deleted is not back',
    },
  },
  {
    name: 'a compaction that failed behind its commit point is never finished',
    file: 'src/storage/segment-changes.ts',
    search: '    this.#unfinished = baseOffset\n',
    replace: '',
    killedBy: {
      file: 'test/crash/compaction-failure.test.ts',
      test: 'whatever operation of a compaction fails, the records stay, the log goes on, and the next compaction makes up for it',
    },
  },
  {
    name: 'a compaction keeps the first record of a key',
    file: 'src/cleanup/record-sieve.ts',
    search: 'offset >= (found[index] as number)',
    replace: 'offset <= (found[index] as number)',
    killedBy: {
      file: 'test/behaviour/65-compaction.test.ts',
      test: 'of each key the last record stays, at its old offset, and a tombstone stays too; so after a restart (in memory)',
    },
  },
  {
    name: 'a compaction drops tombstones at once',
    file: 'src/cleanup/batch-filter.ts',
    search: 'return this.#round.isBehindDamage || !isPastHorizon(page, at, this.#round.nowMs)',
    replace: 'return false',
    killedBy: {
      file: 'test/behaviour/65-compaction.test.ts',
      test: 'a tombstone stays for deleteRetentionMs after the first pass that met it, then it goes (in memory)',
    },
  },
  {
    name: 'a compaction rolls without being asked',
    file: 'src/log/compaction.ts',
    search: 'if (roll) await log.rollNow()',
    replace: 'await log.rollNow()',
    killedBy: {
      file: 'test/behaviour/65-compaction.test.ts',
      test: 'the active segment is never touched (in memory)',
    },
  },
  {
    name: 'a compaction that has filled its map takes one record too many for known',
    file: 'src/cleanup/key-gathering.ts',
    search: 'this.latestOffset = Math.max(this.latestOffset, offset - 1)',
    replace: 'this.latestOffset = Math.max(this.latestOffset, offset)',
    killedBy: {
      file: 'test/behaviour/65-compaction.test.ts',
      test: 'keys that do not fit into the map take several passes, with the same outcome (in memory)',
    },
  },
  {
    name: 'a compaction does not wait for transactions',
    file: 'src/cleanup/compactor.ts',
    search: 'stableOffset: partition.settledOffset,',
    replace: 'stableOffset: partition.highWatermark,',
    killedBy: {
      file: 'test/groups/compacted-offsets.test.ts',
      test: 'leaves undecided what is decided later, however it is',
    },
  },
  {
    name: 'a record that was aborted supersedes one that counts',
    file: 'src/cleanup/key-gathering.ts',
    search: 'return !isAborted && countAt(buffer, at) > 0',
    replace: 'return countAt(buffer, at) > 0',
    killedBy: {
      file: 'test/cleanup/kafka-directories.test.ts',
      test: 'the directory transactions, compacted here, has of each key the last record, at its old offset, and the groups what they have committed',
    },
  },
  {
    name: 'a compaction keeps what was aborted',
    file: 'src/cleanup/batch-filter.ts',
    search: "return isAborted ? this.#without(page, at) : 'sifted'",
    replace: "return 'sifted'",
    killedBy: {
      file: 'test/cleanup/kafka-directories.test.ts',
      test: 'the directory transactions, compacted here, has of each key the last record, at its old offset, and the groups what they have committed',
    },
  },
  {
    name: 'a marker goes while its transaction has batches',
    file: 'src/cleanup/batch-filter.ts',
    search: "    if (!isIdle) return 'kept'\n",
    replace: '',
    killedBy: {
      file: 'test/cleanup/batch-filter.test.ts',
      test: 'a marker stays while its transaction has batches',
    },
  },
  {
    name: 'a compaction leaves nothing of a producer’s last batch',
    file: 'src/cleanup/batch-filter.ts',
    search: 'return last.lastDataOffset === lastOffset',
    replace: 'return false',
    killedBy: {
      file: 'test/cleanup/batch-filter.test.ts',
      test: 'a batch of an aborted transaction goes, save the header of its producer’s last',
    },
  },
  {
    name: 'a tombstone goes though a segment before it was left as it is',
    file: 'src/cleanup/compaction-pass.ts',
    search: 'isBehindDamage ||= group.some(({ isKept }) => isKept)',
    replace: 'isBehindDamage ||= group.length === 0',
    killedBy: {
      file: 'test/cleanup/damage.test.ts',
      test: 'a tombstone behind damage stays for good: the record that it deletes is still there',
    },
  },
  {
    name: 'a delete horizon moves the timestamps',
    file: 'src/cleanup/batch-rewriter.ts',
    search: ': shifted(kept.records, count, baseTimestamp - horizon)',
    replace: ': kept.records',
    killedBy: {
      file: 'test/cleanup/record-sieve.test.ts',
      test: 'a horizon becomes the base of the timestamps, and changes none',
    },
  },
  {
    name: 'the active segment can be compacted',
    file: 'src/cleanup/cleanable.ts',
    search:
      'const next = segments[index + 1]\n    if (next === undefined || next.baseOffset > stableOffset) break',
    replace:
      'const next = segments[index + 1] ?? { baseOffset: limits.logEndOffset }\n    if (next.baseOffset > stableOffset) break',
    killedBy: {
      file: 'test/cleanup/cleanable.test.ts',
      test: 'all but the active segment can be compacted, and all of it is dirty that never was',
    },
  },
  {
    name: 'a reader in another process takes a compacted .log for the one that it knew',
    file: 'src/storage/file-cache.ts',
    search: 'if (id === this.#id) return',
    replace: 'if (id !== undefined) return',
    killedBy: { file: READERS, test: LOOKING },
  },
  {
    name: 'a reader in another process takes a compacted index for the one that it knew',
    file: 'src/storage/index-file.ts',
    search: 'handle.idSync?.() === this.#id',
    replace: 'handle.idSync?.() !== undefined',
    killedBy: { file: READERS, test: LOOKING },
  },
  {
    name: 'a reader in another process keeps a segment that others were merged into',
    file: 'src/storage/tail-follower.ts',
    search: ' && !grown.has(name.baseOffset)',
    replace: '',
    killedBy: { file: READERS, test: LOOKING },
  },
  {
    name: 'a reader in another process believes in damage before it looks at the names again',
    file: 'src/storage/steady-reads.ts',
    search: ' || error instanceof CorruptLogError',
    replace: '',
    killedBy: {
      file: READERS,
      test: 'has none for a log that opens its first file at any of them',
    },
  },
  {
    name: 'the decision of a transaction is not waited for on the disk',
    file: 'src/transactions/transaction-run.ts',
    search: 'appendState(log, transactionalId, state, level, stored',
    replace: "appendState(log, transactionalId, state, 'os', stored",
    killedBy: {
      file: 'test/transactions/commit.test.ts',
      test: 'over two partitions takes two rounds: both data, then the decision',
    },
  },
  {
    name: 'a transaction that waits for a marker is seen where the others stand',
    file: 'src/transactions/decided-transaction.ts',
    search: "if (this.decision.outcome === 'abort') this.#release(",
    replace: 'this.#release(',
    killedBy: {
      file: 'test/transactions/failure.test.ts',
      test: 'a marker without room is tried again, and nothing is seen before it stands',
    },
  },
  {
    name: 'the records that transactions share are counted from the first of all',
    file: 'src/transactions/joint-commits.ts',
    search: 'baseOffset: baseOffset + first,',
    replace: 'baseOffset,',
    killedBy: {
      file: 'test/behaviour/73-transactions-side-by-side.test.ts',
      test: 'share a marker, and each is told its own offsets (in memory)',
    },
  },
  {
    name: 'one that is refused takes all that were committed beside it with it',
    file: 'src/transactions/joint-commits.ts',
    search: 'else for (const { transaction, writes } of this.#members) transaction.parted(writes)',
    replace: "else this.failed(error, 'aborted')",
    killedBy: {
      file: 'test/behaviour/73-transactions-side-by-side.test.ts',
      test: 'go on without one whose partition fails (in memory)',
    },
  },
]
