// Durable jobs: whoever adds one is told when it is on the disk, and the worker commits what it has done.
import { Log } from 'brokerless'

interface Job {
  readonly to: string
  readonly attempt: number
}

const GROUP = 'mailer'
const log = await Log.open<{ emails: Job }>('./data', { topics: { emails: { value: 'json' } } })
const sent: string[] = []

/** Fails on its first attempt with one address, to show that jobs are tried again. */
function send({ to, attempt }: Job): void {
  if (to === 'bob@example.org' && attempt === 1) throw new Error('the mail server is busy')
  sent.push(to)
}

/** Waits for jobs and does them one after another, from where the last worker left off. */
async function work(): Promise<void> {
  const [committed] = await log.committedOffsets(GROUP)
  const jobs = log.read('emails', { partition: 0, from: committed?.offset ?? 0 })
  for await (const { value: job, offset } of jobs) {
    if (job === null) continue
    try {
      send(job)
    } catch {
      await log.produce('emails', { value: { ...job, attempt: job.attempt + 1 } })
    }
    await log.commitOffset(GROUP, { topic: 'emails', partition: 0, offset: offset + 1 })
    if (sent.length === 3) return
  }
}

try {
  const worker = work()
  for (const to of ['ada@example.org', 'bob@example.org', 'eve@example.org']) {
    await log.produce('emails', { value: { to, attempt: 1 } })
  }
  await worker
  const { lagRecords } = await log.lag(GROUP)
  console.log(`sent to ${sent.join(', ')}; ${lagRecords} jobs left`)
} finally {
  await log.close()
}
// prints last: sent to ada@example.org, eve@example.org, bob@example.org; 0 jobs left
