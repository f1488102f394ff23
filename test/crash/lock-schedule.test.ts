// The lock's protocol under thousands of interleavings: each operation on a name is a point where another process may go on, or this one die.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { lockDirectory } from '../../src/storage/directory-lock.ts'
import { encodeRecord } from '../../src/storage/lock-record.ts'
import { MemoryFileSystem } from '../../src/testing/memory-file-system.ts'
import { systemClock } from '../../src/util/clock.ts'
import { factsOf, WithoutFlock } from '../support/lock-directory.ts'
import { LockSchedule } from '../support/lock-schedule.ts'
import { randomInteger, seededRandom } from '../support/random.ts'

const DIRECTORY = '/data'
const LAST = 99

async function deadLock(): Promise<MemoryFileSystem> {
  const fileSystem = new MemoryFileSystem()
  await fileSystem.mkdir(DIRECTORY)
  const record = encodeRecord('d'.repeat(32), 0, LockSchedule.deadProcess())
  const file = fileSystem.openSync(`${DIRECTORY}/brokerless.lock`, 'create')
  file.writeSync(record, 0, record.length, 0)
  file.closeSync()
  return fileSystem
}

const schedule = fc.record({
  seed: fc.nat(),
  contenders: fc.integer({ min: 2, max: 5 }),
  attempts: fc.integer({ min: 1, max: 3 }),
  deathsIn: fc.constantFrom(0, 8, 20, 60),
})

function chooser(seed: number): (limit: number) => number {
  const random = seededRandom(seed)
  return (limit) => randomInteger(random, limit)
}

const runs = { numRuns: Number(process.env['BROKERLESS_LOCK_SCHEDULES'] ?? 1000) }

test('never do two live processes hold the lock, and one can always take it in the end', async () => {
  await fc.assert(
    fc.asyncProperty(schedule, async ({ seed, contenders, attempts, deathsIn }) => {
      const fileSystem = await deadLock()
      const choose = chooser(seed)
      const options = { fileSystem, directory: DIRECTORY, choose, contenders, attempts, deathsIn }
      const race = new LockSchedule(options)
      const outcome = await race.run()
      assert.ok(outcome.mostHolders <= 1, `${outcome.mostHolders} held it at the same time`)
      if (outcome.deaths === 0) assert.ok(outcome.granted >= 1, 'nobody got it')
      const facts = race.factsOf(LAST)
      const locks = new WithoutFlock(fileSystem)
      const last = await lockDirectory(locks, DIRECTORY, { clock: systemClock, facts })
      await last.release()
      assert.deepEqual(await fileSystem.readdir(DIRECTORY), ['brokerless.lock.spare'])
    }),
    runs,
  )
})

test('of those who break a lock whose holder is just releasing it never two get it', async () => {
  await fc.assert(
    fc.asyncProperty(schedule, async ({ seed, contenders, attempts, deathsIn }) => {
      const memory = new MemoryFileSystem()
      await memory.mkdir(DIRECTORY)
      const choose = chooser(seed)
      let turn = async () => {}
      const fileSystem = new WithoutFlock(memory, () => turn())
      const facts = factsOf({ host: 'elsewhere' })
      const lock = await lockDirectory(fileSystem, DIRECTORY, { clock: systemClock, facts })
      const release = async (ownTurn: () => Promise<void>) => {
        turn = ownTurn
        for (let steps = choose(30); steps > 0; steps -= 1) await turn()
        await lock.release()
      }
      const broken = { token: lock.token, release }
      const race = { directory: DIRECTORY, choose, contenders, attempts, deathsIn, broken }
      const outcome = await new LockSchedule({ fileSystem: memory, ...race }).run()
      assert.ok(outcome.mostHolders <= 1, `${outcome.mostHolders} held it at the same time`)
    }),
    {
      ...runs,
      // A claim of the owner's own is broken between its second look at the lock and its removal.
      examples: [[{ seed: 368398242, contenders: 3, attempts: 2, deathsIn: 60 }]],
    },
  )
})
