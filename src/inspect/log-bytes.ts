import path from 'node:path'
import type { PartitionName } from '../storage/file-names.ts'
import { partitionDirectoryName } from '../storage/file-names.ts'
import type { FileSystem } from '../types.ts'
import { errorCode } from '../util/error-code.ts'
import { partitionFilesOf } from './partition-files.ts'

/** Size of the .log files of partitions. What goes meanwhile counts nothing. */
export async function logBytes(
  fileSystem: FileSystem,
  directory: string,
  partitions: readonly PartitionName[],
): Promise<number> {
  let bytes = 0
  for (const { topic, partition } of partitions) {
    const inside = path.join(directory, partitionDirectoryName(topic, partition))
    for (const { log } of partitionFilesOf(await namesIn(fileSystem, inside)).segments) {
      bytes += (await fileSystem.stat(path.join(inside, log)))?.size ?? 0
    }
  }
  return bytes
}

async function namesIn(fileSystem: FileSystem, directory: string): Promise<readonly string[]> {
  try {
    return await fileSystem.readdir(directory)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return []
    throw error
  }
}
