import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  backoffMs,
  resolveFailurePolicy,
} from '../../../../src/groups/consumer/run/failure-policy.ts'
import type { RunOptions } from '../../../../src/groups/consumer/run/run-options.ts'
import { resolveRunOptions } from '../../../../src/groups/consumer/run/run-options.ts'

const eachRecord = (): void => {}
const refused = (options: object, error: ErrorConstructor, message: RegExp): void => {
  assert.throws(
    () => resolveRunOptions(options as RunOptions),
    (thrown) => {
      assert.ok(thrown instanceof error, String(thrown))
      assert.match(thrown.message, message)
      return true
    },
  )
}

test('what is left out has its default', () => {
  const { by, max, policy } = resolveRunOptions({ eachRecord })
  assert.deepEqual([by, max, policy.retries, policy.giveUp], ['partition', 1, 3, 'stop'])
  assert.deepEqual(policy.backoff, {
    type: 'exponential',
    initialMs: 100,
    maxMs: 30_000,
    factor: 2,
    jitter: 0.2,
  })
  const given = resolveRunOptions({ eachRecord, concurrency: 7 })
  assert.deepEqual([given.by, given.max], ['partition', 7])
})

test('what cannot be is refused, and named', () => {
  refused({}, TypeError, /neither eachRecord nor eachBatch/)
  refused({ eachRecord, eachBatch: eachRecord }, TypeError, /both given/)
  refused({ eachRecord: 1 }, TypeError, /eachRecord is 1; it must be a function/)
  refused({ eachRecrod: eachRecord }, TypeError, /did you mean eachRecord/)
  refused({ eachRecord, concurrency: 0 }, RangeError, /concurrency is 0/)
  refused({ eachRecord, concurrency: 'key' }, TypeError, /concurrency is 'key'/)
  refused({ eachRecord, concurrency: { by: 'topic', max: 1 } }, RangeError, /'partition' or 'key'/)
  refused({ eachRecord, concurrency: { by: 'key' } }, TypeError, /concurrency.max is undefined/)
  refused(
    { eachBatch: eachRecord, concurrency: { by: 'key', max: 2 } },
    TypeError,
    /needs eachRecord/,
  )
  const policies: [object, ErrorConstructor, RegExp][] = [
    [{ retries: -1 }, RangeError, /failurePolicy.retries is -1/],
    [{ retires: 1 }, TypeError, /did you mean retries/],
    [{ backoff: { jitter: 2 } }, RangeError, /backoff.jitter is 2; .* from 0 to 1/],
    [{ backoff: { factor: 0.5 } }, RangeError, /backoff.factor is 0.5/],
    [{ backoff: { type: 'linear' } }, RangeError, /backoff.type is 'linear'/],
    [{ backoff: { initialMs: -1 } }, RangeError, /backoff.initialMs is -1/],
    [{ backoff: { maxMs: 'x' } }, TypeError, /backoff.maxMs is 'x'/],
    [{ giveUp: 'ignore' }, RangeError, /failurePolicy.giveUp is 'ignore'/],
    [{ giveUp: {} }, TypeError, /failurePolicy.giveUp is an object/],
    [{ giveUp: { deadLetterTopic: 1 } }, TypeError, /deadLetterTopic is 1/],
    [{ shouldRetry: true }, TypeError, /shouldRetry is true/],
  ]
  for (const [failurePolicy, error, message] of policies) {
    refused({ eachRecord, failurePolicy }, error, message)
  }
})

test('a wait is never longer than its bound, and jitter takes at most its part of it', () => {
  fc.assert(
    fc.property(
      fc.record({
        type: fc.constantFrom('fixed' as const, 'exponential' as const),
        initialMs: fc.nat(100_000),
        maxMs: fc.nat(100_000),
        factor: fc.double({ min: 1, max: 1000, noNaN: true }),
        jitter: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
      fc.integer({ min: 1, max: 10_000 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (given, retry, random) => {
        const { backoff } = resolveFailurePolicy({ backoff: given })
        const wholeMs = backoffMs(backoff, retry, 0)
        const most = given.type === 'fixed' ? given.initialMs : given.maxMs
        assert.ok(wholeMs <= Math.max(most, 0) && Number.isSafeInteger(wholeMs))
        assert.ok(given.type === 'fixed' || wholeMs >= Math.min(given.initialMs, given.maxMs))
        const ms = backoffMs(backoff, retry, random)
        assert.ok(ms <= wholeMs && ms >= Math.floor(wholeMs * (1 - given.jitter)))
      },
    ),
  )
})
