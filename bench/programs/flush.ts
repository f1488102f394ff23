import { closeSync, fdatasyncSync, openSync, readdirSync, statSync } from 'node:fs'
import path from 'node:path'

/** Syncs every file below a directory: the final flush of a store that does not sync its commits and has no call for it. */
export function flushFiles(directory: string): void {
  for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    const file = path.join(directory, name)
    if (!statSync(file).isFile()) continue
    const descriptor = openSync(file, 'r+')
    fdatasyncSync(descriptor)
    closeSync(descriptor)
  }
}
