// A process that owns a log and does with it what its parent says.
import type { AnyTopics, LogOptions } from '../../src/index.ts'
import { Log } from '../../src/index.ts'
import type { WriterAnswer, WriterCommand } from './writer-process.ts'

const [directory = '', options = '{}'] = process.argv.slice(2)
const log = await Log.open<AnyTopics>(directory, JSON.parse(options) as LogOptions)

type Method = (...args: readonly unknown[]) => Promise<unknown>

async function obey({ method, args }: WriterCommand): Promise<WriterAnswer> {
  try {
    const call = (log as unknown as Record<string, Method>)[method]
    return { result: await call?.apply(log, args as unknown[]) }
  } catch (error) {
    return { failed: String(error) }
  }
}

process.on('message', async (command: WriterCommand) => {
  process.send?.(await obey(command))
  if (command.method === 'close') process.disconnect?.()
})
process.send?.({ result: 'open' } satisfies WriterAnswer)
