import path from 'node:path'
import { CLEAN_MARKER, OWN_LOCK } from '../storage/file-names.ts'
import { nodeProcessFacts } from '../storage/file-system.ts'
import type { ProcessFacts, ProcessIdentity } from '../storage/lock-record.ts'
import { judge, readRecord } from '../storage/lock-record.ts'
import type { FileSystem } from '../types.ts'
import type { DirectoryState } from './verify-context.ts'

export interface FoundState {
  readonly state: DirectoryState
  /** Who has the directory open, or may have it. */
  readonly holder: ProcessIdentity | undefined
  /** Whether the holder lives could be told from here. */
  readonly isCertain: boolean
}

/**
 * Whether a writer has the directory, and if not, whether the last one closed it. Looks only: a lock whose holder cannot be judged from here
 * counts as held. A Kafka broker is not seen; its directory counts as one that was not closed.
 */
export async function directoryState(
  fileSystem: FileSystem,
  directory: string,
  facts: ProcessFacts = nodeProcessFacts,
): Promise<FoundState> {
  const record = readRecord(fileSystem, path.join(directory, OWN_LOCK))
  const verdict = record === undefined ? 'dead' : judge(record, facts)
  if (record !== undefined && verdict !== 'dead') {
    return { state: 'live', holder: record.holder, isCertain: verdict === 'alive' }
  }
  const isClosed = (await fileSystem.stat(path.join(directory, CLEAN_MARKER))) !== undefined
  return { state: isClosed ? 'closed' : 'crashed', holder: undefined, isCertain: true }
}
