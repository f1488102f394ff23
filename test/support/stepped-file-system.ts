import type { FileHandle } from '../../src/index.ts'
import { ScriptedFileSystem } from './scripted-file-system.ts'

/** Each rename, removal and sync of the writer waits until what is to happen before it has happened. */
export class SteppedFileSystem extends ScriptedFileSystem {
  before: ((what: string) => Promise<void>) | undefined

  override async rename(from: string, to: string): Promise<void> {
    await this.before?.(`rename ${from} ${to}`)
    await super.rename(from, to)
  }

  override async unlink(path: string): Promise<void> {
    await this.before?.(`unlink ${path}`)
    await super.unlink(path)
  }

  override async syncDirectory(path: string): Promise<void> {
    await this.before?.(`sync ${path}`)
    await super.syncDirectory(path)
  }

  override async sync(path: string, handle: FileHandle): Promise<void> {
    await this.before?.(`sync ${path}`)
    await super.sync(path, handle)
  }
}
