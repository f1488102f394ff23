// Does one thing with a log, and never closes it: whether the process ends, and when, is what the test looks at.
import { Log } from '../../src/index.ts'
import { MemoryFileSystem } from '../../src/testing/index.ts'

const [what = '', directory = ''] = process.argv.slice(2)

const tell = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

const log = await Log.open(directory, {
  topics: { t: what === 'compact' ? { cleanupPolicy: 'compact' } : {} },
  // So a compaction of a few records takes about a second.
  compactionBytesPerSecond: 300,
  ...(directory === 'memory' ? { fileSystem: new MemoryFileSystem() } : {}),
})
tell('opened')

const at = { partition: 0, offset: 0 }
if (what === 'fetch') {
  const { records } = await log.fetch('t', { ...at, maxWaitMs: 300 })
  tell(`answered ${records.length}`)
} else if (what === 'read') {
  const signal = AbortSignal.timeout(300)
  try {
    for await (const _ of log.read('t', { signal })) tell('unexpected')
  } catch (error) {
    if (!signal.aborted) throw error
  }
  tell('ended')
} else if (what === 'answered') {
  const waiting = log.fetch('t', { ...at, maxWaitMs: 600_000 })
  await log.produce('t', { value: 1 })
  tell(`answered ${(await waiting).records.length}`)
} else if (what === 'left') {
  const reading = log.read('t')[Symbol.asyncIterator]()
  const first = reading.next()
  await log.produce('t', { value: 1 })
  await first
  await reading.return?.()
  tell('left')
} else if (what === 'compact') {
  for (const value of [1, 2]) await log.produce('t', { key: 'a', value })
  const [done] = await log.compact('t')
  tell(`compacted ${done?.recordsAfter}`)
}
