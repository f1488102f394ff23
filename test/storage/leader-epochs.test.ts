// The rules of Kafka's LeaderEpochFileCache, one by one and against a log that knows the epoch of each of its records.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { areRising, areSame, LeaderEpochs, MAX_EPOCH } from '../../src/storage/leader-epochs.ts'

type Pairs = readonly (readonly [epoch: number, startOffset: number])[]

const SEED = Number(process.env['BROKERLESS_SEED'] ?? Date.now() % 2 ** 31)

function epochsOf(pairs: Pairs): LeaderEpochs {
  return new LeaderEpochs(pairs.map(([epoch, startOffset]) => ({ epoch, startOffset })))
}

function pairsOf(epochs: LeaderEpochs): Pairs {
  return epochs.entries.map(({ epoch, startOffset }) => [epoch, startOffset])
}

const KNOWN: Pairs = [
  [2, 6],
  [3, 8],
  [6, 11],
]

suite('an epoch that is assigned', () => {
  // biome-ignore format: one case a line
  const cases: readonly [what: string, before: Pairs, assigned: [number, number], after: Pairs][] =
    [
      ['is the first', [], [0, 0], [[0, 0]]],
      ['goes behind the last', KNOWN, [7, 20], [...KNOWN, [7, 20]]],
      ['begins once', KNOWN, [6, 20], KNOWN],
      ['takes an earlier start', KNOWN, [6, 10], [...KNOWN.slice(0, 2), [6, 10]]],
      ['replaces one that wrote nothing', KNOWN, [7, 11], [...KNOWN.slice(0, 2), [7, 11]]],
      ['takes the place of all that begin behind it', KNOWN, [9, 8], [[2, 6], [9, 8]]],
      ['takes the place of later ones', KNOWN, [3, 30], [[2, 6], [3, 30]]],
      ['takes the place of all', KNOWN, [1, 1], [[1, 1]]],
    ]
  for (const [what, before, [epoch, startOffset], after] of cases) {
    test(what, () => {
      const epochs = epochsOf(before)
      assert.equal(epochs.assign(epoch, startOffset), after !== before)
      assert.deepEqual(pairsOf(epochs), after)
    })
  }
})

suite('a log that is cut', () => {
  const ends: readonly [end: number, after: Pairs][] = [
    [12, KNOWN],
    [11, KNOWN.slice(0, 2)],
    [9, KNOWN.slice(0, 2)],
    [8, KNOWN.slice(0, 1)],
    [6, []],
    [0, []],
  ]
  for (const [end, after] of ends) {
    test(`at its end, ${end}, has no epoch that begins there or behind`, () => {
      const epochs = epochsOf(KNOWN)
      assert.equal(epochs.truncateFromEnd(end), after !== KNOWN)
      assert.deepEqual(pairsOf(epochs), after)
    })
  }

  const starts: readonly [start: number, after: Pairs][] = [
    [0, KNOWN],
    [6, KNOWN],
    [7, [[2, 7], ...KNOWN.slice(1)]],
    [8, KNOWN.slice(1)],
    [10, [[3, 10], ...KNOWN.slice(2)]],
    [11, KNOWN.slice(2)],
    [40, [[6, 40]]],
  ]
  for (const [start, after] of starts) {
    test(`at its start, ${start}, begins with the epoch of that offset, which begins there`, () => {
      const epochs = epochsOf(KNOWN)
      assert.equal(epochs.truncateFromStart(start), after !== KNOWN)
      assert.deepEqual(pairsOf(epochs), after)
    })
  }

  test('has nothing to cut where no epoch is known', () => {
    const epochs = new LeaderEpochs()
    assert.equal(epochs.truncateFromStart(5), false)
    assert.equal(epochs.truncateFromEnd(5), false)
    assert.deepEqual(pairsOf(epochs), [])
  })
})

suite('the end of an epoch', () => {
  const answers: readonly [asked: number, answer: [number, number] | undefined][] = [
    [-1, undefined],
    [0, [0, 6]],
    [1, [1, 6]],
    [2, [2, 8]],
    [3, [3, 11]],
    [4, [3, 11]],
    [5, [3, 11]],
    [6, [6, 15]],
    [7, undefined],
  ]
  for (const [asked, answer] of answers) {
    test(`${asked} is what Kafka answers`, () => {
      const found = epochsOf(KNOWN).endOffsetFor(asked, 15)
      assert.deepEqual(found && [found.leaderEpoch, found.endOffset], answer)
    })
  }

  test('is not known where no epoch is', () => {
    assert.equal(new LeaderEpochs().endOffsetFor(0, 15), undefined)
  })

  test('is that of the log for the last one that begins within what is seen of it', () => {
    const seen = epochsOf(KNOWN).upTo(10)
    assert.deepEqual(seen.endOffsetFor(3, 10), { leaderEpoch: 3, endOffset: 10 })
    assert.equal(seen.endOffsetFor(6, 10), undefined)
    assert.deepEqual(pairsOf(epochsOf(KNOWN).upTo(11)), KNOWN)
  })
})

suite('entries', () => {
  // biome-ignore format: one case a line
  const wrong: Record<string, Pairs> = {
    'an epoch twice': [[0, 0], [0, 5]],
    'an epoch that falls': [[1, 0], [0, 5]],
    'an offset twice': [[0, 5], [1, 5]],
    'an offset that falls': [[0, 5], [1, 4]],
    'an epoch below 0': [[-1, 0]],
    'an offset below 0': [[0, -1]],
    'an epoch that no batch can carry': [[MAX_EPOCH + 1, 0]],
  }
  for (const [what, pairs] of Object.entries(wrong)) {
    test(`with ${what} are no entries`, () => assert.ok(!areRising(epochsOf(pairs).entries)))
  }

  test('that rise are, and so are none', () => {
    assert.ok(areRising(epochsOf(KNOWN).entries))
    assert.ok(areRising([]))
    assert.ok(areRising([{ epoch: MAX_EPOCH, startOffset: Number.MAX_SAFE_INTEGER }]))
  })

  test('are the same where all numbers are', () => {
    assert.ok(areSame(epochsOf(KNOWN).entries, epochsOf(KNOWN).entries))
    assert.ok(!areSame(epochsOf(KNOWN).entries, epochsOf(KNOWN.slice(1)).entries))
    assert.ok(!areSame(epochsOf([[0, 1]]).entries, epochsOf([[0, 2]]).entries))
    assert.ok(!areSame(epochsOf([[0, 1]]).entries, epochsOf([[1, 1]]).entries))
  })
})

// ------------------------------------------------------------------------------------- the model

type Step =
  | { readonly does: 'append'; readonly records: number }
  | { readonly does: 'crash'; readonly lost: number; readonly epochs: number }
  | { readonly does: 'delete'; readonly records: number }

/** A log that knows the epoch of each of its records. */
class ModelLog {
  start = 0
  /** By offset less the start. */
  records: number[] = []
  epoch = 0

  get end(): number {
    return this.start + this.records.length
  }

  /** The first offset above an epoch: of a record, or of those to come. */
  startAbove(epoch: number): number {
    const index = this.records.findIndex((each) => each > epoch)
    return index === -1 ? this.end : this.start + index
  }

  endOffsetFor(asked: number): { leaderEpoch: number; endOffset: number } | undefined {
    if (asked < 0 || asked > this.epoch) return undefined
    if (asked === this.epoch) return { leaderEpoch: asked, endOffset: this.end }
    const below = this.records.filter((each) => each <= asked)
    return { leaderEpoch: below.at(-1) ?? asked, endOffset: this.startAbove(asked) }
  }
}

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ does: fc.constant('append' as const), records: fc.nat(5) }),
  fc.record({
    does: fc.constant('crash' as const),
    lost: fc.nat(4),
    epochs: fc.integer({ min: 1, max: 3 }),
  }),
  fc.record({ does: fc.constant('delete' as const), records: fc.nat(6) }),
)

function play(model: ModelLog, epochs: LeaderEpochs, action: Step): void {
  if (action.does === 'append') {
    for (let count = 0; count < action.records; count += 1) model.records.push(model.epoch)
  } else if (action.does === 'crash') {
    model.records.length = Math.max(0, model.records.length - action.lost)
    model.epoch += action.epochs
    epochs.truncateFromEnd(model.end)
    epochs.assign(model.epoch, model.end)
  } else {
    const gone = Math.min(action.records, model.records.length)
    model.records.splice(0, gone)
    model.start += gone
    epochs.truncateFromStart(model.start)
  }
}

test('whatever is appended, lost and deleted, each epoch ends where the next one has its first record', (t) => {
  t.diagnostic(`BROKERLESS_SEED=${SEED}`)
  const property = fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
    const model = new ModelLog()
    const epochs = epochsOf([[0, 0]])
    for (const action of steps) {
      play(model, epochs, action)
      assert.ok(areRising(epochs.entries), `${JSON.stringify(pairsOf(epochs))} rise`)
      assert.ok((epochs.entries[0]?.startOffset ?? -1) >= model.start)
      for (let asked = -1; asked <= model.epoch + 1; asked += 1) {
        assert.deepEqual(epochs.endOffsetFor(asked, model.end), model.endOffsetFor(asked))
      }
      for (const [index, epoch] of model.records.entries()) {
        const offset = model.start + index
        assert.ok(epochs.bearsOut(epoch, offset), `${epoch} at ${offset}`)
        assert.ok(!epochs.bearsOut(epoch + 1, offset) && !epochs.bearsOut(epoch - 1, offset))
      }
    }
  })
  fc.assert(property, { seed: SEED, numRuns: 500 })
})
