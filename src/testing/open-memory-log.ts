import type { AnyTopics, LogOptions, TopicDeclarations, TopicsOf } from '../index.ts'
import { Log } from '../index.ts'
import { ManualClock } from './manual-clock.ts'
import { MemoryFileSystem } from './memory-file-system.ts'

/** Where a memory log lies in its file system. */
const DIRECTORY = 'log'

/**
 * A log in memory for a unit test: no file is touched, and where no clock is given time stands still until the test
 * moves it (give a `ManualClock` of your own to do so). Takes all options of `Log.open`; a `fileSystem` that is given
 * can be opened again.
 */
export function openMemoryLog<const D extends TopicDeclarations, _Inferred extends true>(
  options: LogOptions<D> & { readonly topics: D },
): Promise<Log<TopicsOf<D>>>
export function openMemoryLog<T extends object = AnyTopics>(
  options?: LogOptions<{ readonly [N in keyof T]?: TopicDeclarations[string] }>,
): Promise<Log<T>>
export function openMemoryLog(options: LogOptions = {}): Promise<unknown> {
  const clock = options.clock ?? new ManualClock()
  const fileSystem = options.fileSystem ?? new MemoryFileSystem({ clock })
  return Log.open(DIRECTORY, { ...options, clock, fileSystem } as LogOptions<TopicDeclarations>)
}
