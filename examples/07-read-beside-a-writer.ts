// A second process reads along while the first one writes. Here the child process is the writer, which this file becomes
// when it is started with a directory.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { Log } from 'brokerless'

const topics = { ticks: { value: 'json' } } as const
const [directory] = process.argv.slice(2)
if (directory === undefined) await readAlong('./data')
else await write(directory)

async function write(dataDirectory: string): Promise<void> {
  const log = await Log.open(dataDirectory, { topics })
  for (let tick = 1; tick <= 5; tick += 1) {
    await log.produce('ticks', { value: { tick } })
    if (tick === 1) process.send?.('the topic is there')
  }
  // Keeps the log open until the reader has seen everything.
  await once(process, 'message')
  await log.close()
  process.disconnect?.()
}

async function readAlong(dataDirectory: string): Promise<void> {
  const writer = fork(import.meta.filename, [dataDirectory])
  await once(writer, 'message')
  // Takes no lock and changes nothing; looks for growth every 20 ms.
  const log = await Log.open(dataDirectory, { readOnly: true, readOnlyPollMs: 20, topics })
  try {
    let seen = 0
    for await (const { value } of log.read('ticks')) {
      console.log(value)
      seen += 1
      if (seen === 5) break
    }
    writer.send('done')
    await once(writer, 'exit')
    console.log(`saw ${seen} ticks of a log that another process holds`)
  } finally {
    await log.close()
  }
}
// prints last: saw 5 ticks of a log that another process holds
