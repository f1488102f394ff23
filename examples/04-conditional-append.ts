// An event store: decisions are made on the events so far, and appended only if there are no others by then.
import { Log, OffsetConflictError } from 'brokerless'

interface AccountEvent {
  readonly account: string
  /** Positive: paid in. Negative: paid out. */
  readonly cents: number
}

const log = await Log.open<{ accounts: AccountEvent }>('./data', {
  topics: { accounts: { value: 'json' } },
})
const PARTITION = 0

/** An account's balance, and the log end offset that it stands for. */
async function balanceOf(account: string): Promise<{ cents: number; end: number }> {
  let cents = 0
  const { latest: end } = await log.offsets('accounts', PARTITION)
  if (end === 0) return { cents, end }
  for await (const { value } of log.read('accounts', { partition: PARTITION, until: 'end' })) {
    if (value?.account === account) cents += value.cents
  }
  return { cents, end }
}

/** Takes money out of an account that has it, however many do so at the same time. */
async function payOut(account: string, cents: number): Promise<boolean> {
  for (;;) {
    const balance = await balanceOf(account)
    if (balance.cents < cents) return false
    try {
      const event = { key: account, value: { account, cents: -cents } }
      await log.produce('accounts', event, { partition: PARTITION, expectedOffset: balance.end })
      return true
    } catch (error) {
      if (!(error instanceof OffsetConflictError)) throw error
      console.log(`somebody was faster (offset ${error.expected} is now ${error.actual}): again`)
    }
  }
}

try {
  const value = { account: 'ada', cents: 100 }
  await log.produce('accounts', { key: 'ada', value }, { partition: PARTITION })
  const outcomes = await Promise.all([payOut('ada', 60), payOut('ada', 60)])
  const { cents } = await balanceOf('ada')
  console.log(`paid out ${outcomes.filter(Boolean).length} of 2, left are ${cents} cents`)
} finally {
  await log.close()
}
// prints last: paid out 1 of 2, left are 40 cents
