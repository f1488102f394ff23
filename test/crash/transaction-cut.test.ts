// A transaction over three partitions and a commit of offsets, ended at each of its file-system operations.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Log } from '../../src/index.ts'
import { at } from '../support/failure-place.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import type { Place } from '../support/log-places.ts'
import { openAt, removeLock } from '../support/log-places.ts'
import { seededRandom } from '../support/random.ts'

const SEED = Number(process.env['BROKERLESS_SEED'] ?? Date.now() % 2 ** 31)
/** Of each cut. */
const OUTCOMES = Number(process.env['BROKERLESS_ROUNDS'] ?? 2)
const PARTITIONS = [0, 1, 2]
const OPTIONS = { topics: { orders: { value: 'string', partitions: 3 } } }

const placeOf = (fileSystem: FaultFileSystem): Place => ({
  directory: '/data',
  fileSystem,
  killed: () => assert.fail('not here'),
})

interface Cut {
  readonly fileSystem: FaultFileSystem
  /** Operations before the transaction, and after it. */
  readonly first: number
  readonly last: number
  readonly isTold: boolean
}

/** One transaction before it, as in a log that is in use. */
async function play(cutAt: number): Promise<Cut> {
  const fileSystem = new FaultFileSystem()
  const log = await openAt(placeOf(fileSystem), OPTIONS)
  await transact(log, 'before', 1)
  const first = fileSystem.operations.length
  fileSystem.cutAt(first + cutAt)
  let isTold = false
  try {
    await transact(log, 'after', 2)
    isTold = true
    await log.close()
  } catch (error) {
    if (!fileSystem.hasEnded) throw error
  }
  return { fileSystem, first, last: fileSystem.operations.length, isTold }
}

async function transact(log: Log, value: string, offset: number): Promise<void> {
  await log.transaction(async (tx) => {
    for (const partition of PARTITIONS) await tx.produce('orders', { value }, { partition })
    await tx.commitOffset('billing', { topic: 'orders', partition: 0, offset })
  })
}

/** How many partitions show the transaction, and what the group has committed. */
async function lookAt(log: Log): Promise<unknown[]> {
  const seen: unknown[] = []
  for (const partition of PARTITIONS) {
    const { records } = await log.fetch('orders', { partition, offset: 0 })
    seen.push(records.map(({ value }) => value).join())
  }
  const [committed] = await log.committedOffsets('billing')
  return [...seen, committed?.offset]
}

test(`it is there in all its partitions and for the group, or nowhere (seed ${SEED})`, async () => {
  const whole = await play(Number.POSITIVE_INFINITY)
  for (let cutAt = 0; cutAt < whole.last - whole.first; cutAt += 1) {
    const random = seededRandom(SEED + cutAt)
    const { fileSystem, isTold } = await play(cutAt)
    for (let outcome = 0; outcome < OUTCOMES; outcome += 1) {
      const found = outcome === 0 ? fileSystem.processKill() : fileSystem.powerCut({ random })
      await at(`operation ${cutAt}, outcome ${outcome}`, SEED, async () => {
        await removeLock(found, '/data')
        await using log = await openAt(placeOf(found), OPTIONS)
        const seen = await lookAt(log)
        const isThere = isTold || seen[0] !== 'before'
        const value = isThere ? 'before,after' : 'before'
        assert.deepEqual(seen, [value, value, value, isThere ? 2 : 1])
      })
    }
  }
})
