// Four processes race for a dead lock, again and again; some are killed in the middle of it.
import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { test } from 'node:test'
import {
  deadProcess,
  leaveLock,
  lockFileOf,
  makeDirectory,
  tokenIn,
} from '../support/lock-directory.ts'
import type { LockAnswer } from '../support/lock-processes.ts'
import { LockProcess } from '../support/lock-processes.ts'
import { testWithFlock } from '../support/needs-flock.ts'
import { randomInteger, seededRandom } from '../support/random.ts'

const RACERS = 4
const ROUNDS = Number(process.env['BROKERLESS_LOCK_ROUNDS'] ?? 100)
/** A killed process costs a new one, which takes far longer than a round. */
const ROUNDS_A_KILL = 10
/** About as many operations on names as it takes to replace a dead lock and clean up. */
const LAST_STEP = 14

class Race implements AsyncDisposable {
  readonly directory: string
  readonly #racers: LockProcess[]
  #round = 0

  private constructor(directory: string, racers: LockProcess[]) {
    this.directory = directory
    this.#racers = racers
  }

  static async start(directory: string): Promise<Race> {
    const racers = Array.from({ length: RACERS }, () => LockProcess.start())
    return new Race(directory, await Promise.all(racers))
  }

  /** All try at once to take the lock of a dead process; one of them may have to die at a given step. */
  async run(flock: boolean, dieAfter?: number): Promise<readonly LockAnswer[]> {
    this.#round += 1
    const token = this.#round.toString(16).padStart(32, 'd')
    await leaveLock(lockFileOf(this.directory), token, deadProcess())
    const { directory } = this
    return Promise.all(
      this.#racers.map((racer, index) =>
        racer.ask({ do: 'open', directory, flock, dieAfter: index === 0 ? dieAfter : undefined }),
      ),
    )
  }

  async release(): Promise<void> {
    for (const racer of this.#racers) {
      assert.deepEqual(await racer.ask({ do: 'release' }), { done: true })
    }
  }

  async replaceFirst(): Promise<void> {
    await this.#racers[0]?.kill()
    this.#racers[0] = await LockProcess.start()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#racers.map((racer) => racer.kill()))
  }
}

function winnersOf(answers: readonly LockAnswer[]): string[] {
  for (const answer of answers) assert.ok(!('failed' in answer), JSON.stringify(answer))
  return answers.flatMap((answer) => ('token' in answer ? [answer.token] : []))
}

async function checkRounds(rounds: number, flock: boolean): Promise<void> {
  await using made = await makeDirectory()
  await using race = await Race.start(made.directory)
  for (let round = 0; round < rounds; round += 1) {
    const winners = winnersOf(await race.run(flock))
    assert.equal(winners.length, 1, `round ${round}: ${winners.length} winners`)
    assert.equal(await tokenIn(lockFileOf(made.directory)), winners[0])
    await race.release()
  }
  const left = (await readdir(made.directory)).filter((name) => name !== '.lock')
  assert.deepEqual(left, ['brokerless.lock.spare'])
}

test(`in ${ROUNDS} races of ${RACERS} processes for a dead lock, without flock, one wins each`, () =>
  checkRounds(ROUNDS, false))

testWithFlock(`in races of ${RACERS} processes for a dead lock, with flock, one wins each`, () =>
  checkRounds(Math.ceil(ROUNDS / 4), true),
)

test('a racer killed at any step leaves a lock that one other can take', async () => {
  const seed = Number(process.env['BROKERLESS_SEED'] ?? Date.now() % 2 ** 31)
  const random = seededRandom(seed)
  await using made = await makeDirectory()
  await using race = await Race.start(made.directory)
  for (let round = 0; round < ROUNDS; round += ROUNDS_A_KILL) {
    const at = `seed ${seed}, round ${round}`
    const killed = await race.run(false, randomInteger(random, LAST_STEP))
    assert.ok(winnersOf(killed).length <= 1, `${at}: two winners beside a killed process`)
    // Who was spared, as it was refused before that step, must be replaced as well.
    await race.replaceFirst()
    await race.release()
    const winners = winnersOf(await race.run(false))
    assert.equal(winners.length, 1, `${at}: ${winners.length} winners after it`)
    await race.release()
    assert.deepEqual(await readdir(made.directory), ['brokerless.lock.spare'], at)
  }
})
