import type { Command } from './command.ts'

/** A command by its name; its module is loaded when it is called, so that the start is quick. */
export interface CommandEntry {
  readonly name: string
  load(): Promise<Command>
}

/** In the order of the help. */
export const COMMANDS: readonly CommandEntry[] = [
  { name: 'topics', load: async () => (await import('./commands/topics.ts')).topics },
  { name: 'cat', load: async () => (await import('./commands/cat.ts')).cat },
  { name: 'verify', load: async () => (await import('./commands/verify.ts')).verify },
]
