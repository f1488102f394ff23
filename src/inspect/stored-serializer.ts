import path from 'node:path'
import { readFileIfThere } from '../storage/checkpoint.ts'
import { METADATA_FILE } from '../storage/file-names.ts'
import { parseTopicStore } from '../topics/topic-store-format.ts'
import type { FileSystem } from '../types.ts'

/** The serializer that `brokerless.json` names for a topic; undefined where that says nothing, or cannot be read. */
export async function storedSerializer(
  fileSystem: FileSystem,
  directory: string,
  topic: string,
): Promise<string | undefined> {
  const bytes = await readFileIfThere(fileSystem, path.join(directory, METADATA_FILE))
  if (bytes === undefined) return undefined
  const content = parseTopicStore(bytes)
  if ('damage' in content) return undefined
  return content.topics.find(({ name }) => name === topic)?.serializer
}
