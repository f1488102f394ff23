// A log in memory for the command line to look into.

import type { Log, LogOptions } from '../../src/index.ts'
import { ManualClock, MemoryFileSystem } from '../../src/testing/index.ts'
import type { Ran } from './command-line.ts'
import { ran } from './command-line.ts'
import type { Place } from './log-places.ts'
import { memoryPlace, openAt } from './log-places.ts'

export interface LogAndCommands {
  readonly place: Place
  readonly clock: ManualClock
  readonly fileSystem: MemoryFileSystem
  /** Opens the log, does something with it, and closes it. */
  fill(options: LogOptions, work: (log: Log) => Promise<unknown>): Promise<void>
  /** Runs a command on it. */
  run(args: readonly string[], given?: Parameters<typeof ran>[1]): Promise<Ran>
}

export function logAndCommands(): LogAndCommands {
  const clock = new ManualClock()
  const fileSystem = new MemoryFileSystem({ clock })
  const place = memoryPlace(fileSystem)
  return {
    place,
    clock,
    fileSystem,
    fill: async (options, work) => {
      const log = await openAt(place, { clock, ...options })
      try {
        await work(log)
      } finally {
        await log.close()
      }
    },
    run: (args, given) => ran([...args, '--dir', place.directory], { fileSystem, clock, ...given }),
  }
}
