// The faults that the suite must notice, each with the test that does.
import type { Mutant } from './engine.ts'

const PROMISES = 'test/crash/promises.test.ts'

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
]
