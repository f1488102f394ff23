/** How commands come to the log in a directory. */
import path from 'node:path'
import { Log } from '../index.ts'
import { directoryKind, METADATA_FILE } from '../storage/file-names.ts'
import type { FileSystem } from '../types.ts'
import type { CommandContext } from './command.ts'
import { Trouble } from './errors.ts'

type Needs = Pick<CommandContext, 'options' | 'fileSystem' | 'clock'>

/** What `--dir` names, which has to be a data directory: nothing is made where it is none. */
export async function dataDirectory({ options, fileSystem }: Needs): Promise<string> {
  const directory = options.needed('dir', 'DIR')
  const names = await namesIn(fileSystem, directory)
  if (names.includes(METADATA_FILE)) return directory
  for (const name of names) {
    if (directoryKind(name) === 'partition' && (await isDirectory(fileSystem, directory, name))) {
      return directory
    }
  }
  throw new Trouble(
    `${directory} is no data directory: it has neither ${METADATA_FILE} nor a directory <topic>-<partition>`,
  )
}

async function namesIn(fileSystem: FileSystem, directory: string): Promise<readonly string[]> {
  const stat = await fileSystem.stat(directory)
  if (stat === undefined) throw new Trouble(`there is no directory ${directory}`)
  if (!stat.isDirectory) throw new Trouble(`${directory} is no directory`)
  return fileSystem.readdir(directory)
}

async function isDirectory(
  fileSystem: FileSystem,
  directory: string,
  name: string,
): Promise<boolean> {
  return (await fileSystem.stat(path.join(directory, name)))?.isDirectory === true
}

/** Opens the log beside whoever writes it; nothing is changed. */
export async function openToRead(context: Needs): Promise<Log> {
  const { fileSystem, clock } = context
  return Log.open(await dataDirectory(context), { fileSystem, clock, readOnly: true })
}
