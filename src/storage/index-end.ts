import type { FileHandle, FileSystem } from '../types.ts'
import { errorCode } from '../util/error-code.ts'
import type { IndexEnd } from './index-file.ts'
import { entriesPerPage } from './index-file.ts'

const NO_ENTRIES: IndexEnd = { count: 0, firstEntry: 0, bytes: Buffer.alloc(0), id: undefined }

/**
 * How many entries of an index file to go by. The last entry stands for the file: where it is plausible, so are the
 * others (a look-up checks the batch that it is led to); where it is not, the file is read whole. The last page is what is looked at next:
 * it comes along, so that an open goes to the file once.
 */
export function readIndexEnd(
  fileSystem: FileSystem,
  name: string,
  entryBytes: number,
  saneEntries: (bytes: Buffer) => number,
): IndexEnd {
  let handle: FileHandle
  try {
    handle = fileSystem.openSync(name, 'read')
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return NO_ENTRIES
    throw error
  }
  try {
    const count = Math.floor(handle.sizeSync() / entryBytes)
    if (count === 0) return NO_ENTRIES
    const id = handle.idSync?.()
    const firstEntry = count - 1 - ((count - 1) % entriesPerPage(entryBytes))
    const bytes = readEntries(handle, firstEntry, count, entryBytes)
    const last = bytes.subarray(bytes.length - entryBytes)
    const isPadding = count > 1 && last.every((byte) => byte === 0)
    if (!isPadding && saneEntries(last) === 1) return { count, firstEntry, bytes, id }
    return { ...NO_ENTRIES, count: saneEntries(readEntries(handle, 0, count, entryBytes)), id }
  } finally {
    handle.closeSync()
  }
}

function readEntries(handle: FileHandle, from: number, to: number, entryBytes: number): Buffer {
  // Its own allocation, as the cache counts it.
  const bytes = Buffer.allocUnsafeSlow((to - from) * entryBytes)
  const read = handle.readSync(bytes, 0, bytes.length, from * entryBytes)
  return read === bytes.length ? bytes : bytes.fill(0, read)
}
