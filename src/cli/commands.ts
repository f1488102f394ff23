import type { Command } from './command.ts'

/** A command by its name; its module is loaded when it is called, so that the start is quick. */
export interface CommandEntry {
  readonly name: string
  load(): Promise<Command>
}

/** In the order of the help. */
export const COMMANDS: readonly CommandEntry[] = [
  { name: 'topics', load: async () => (await import('./commands/topics.ts')).topics },
  { name: 'describe', load: async () => (await import('./commands/describe.ts')).describe },
  { name: 'cat', load: async () => (await import('./commands/cat.ts')).cat },
  { name: 'produce', load: async () => (await import('./commands/produce.ts')).produce },
  { name: 'groups', load: async () => (await import('./commands/groups.ts')).groups },
  { name: 'offsets', load: async () => (await import('./commands/offsets.ts')).offsets },
  {
    name: 'transactions',
    load: async () => (await import('./commands/transactions.ts')).transactions,
  },
  { name: 'producers', load: async () => (await import('./commands/producers.ts')).producers },
  { name: 'abort', load: async () => (await import('./commands/abort.ts')).abort },
  { name: 'compact', load: async () => (await import('./commands/compact.ts')).compact },
  { name: 'stats', load: async () => (await import('./commands/stats.ts')).stats },
  { name: 'dump', load: async () => (await import('./commands/dump.ts')).dump },
  { name: 'verify', load: async () => (await import('./commands/verify.ts')).verify },
]
