// What verify says of producers, markers and states of transactions: a sound directory, one thing wrong, and just that found.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Finding } from '../../src/inspect/finding.ts'
import { encodeSnapshot } from '../../src/storage/producer-snapshot.ts'
import type { Inspected } from '../support/inspected.ts'
import { WrittenPartition, writtenDirectory } from '../support/transaction-files.ts'

const A = { producerId: 1000 }
const B = { producerId: 2000, producerEpoch: 3 }
const LOG = 'orders-0/00000000000000000000.log'
const STATES = '__transaction_state-0/00000000000000000000.log'

async function found(
  partitions: Parameters<typeof writtenDirectory>[0],
  change?: (log: Inspected) => Promise<unknown>,
): Promise<string[]> {
  const log = await writtenDirectory(partitions)
  await change?.(log)
  const { findings } = await log.verify()
  return findings.filter(isOfInterest).map(shown)
}

/** A directory written byte by byte has no indexes, and was not closed. */
function isOfInterest({ kind, file }: Finding): boolean {
  return kind !== 'not-closed' && kind !== 'index-missing' && !file.endsWith('.timeindex')
}

function shown({ severity, kind, file, firstOffset }: Finding): string {
  return `${severity} ${kind} ${file} ${firstOffset ?? ''}`.trim()
}

const closed = (log: Inspected): Promise<void> =>
  log.write('.kafka_cleanshutdown', '{"version":0,"brokerEpoch":-1}')

const orders = (): WrittenPartition => new WrittenPartition()

// --------------------------------------------------------------------------- batches and markers

const CASES: readonly {
  readonly promise: string
  readonly written: WrittenPartition
  readonly finds: readonly string[]
}[] = [
  {
    promise: 'nothing where producers and transactions are as they must be',
    written: orders()
      .plain(2)
      .idempotent(A, 3)
      .transactional(B, 2)
      .idempotent(A, 4)
      .commit(B, 1)
      .transactional(B, 1)
      .commit(B, 1)
      .transactional({ ...B, producerEpoch: 4 }, 2)
      .commit({ ...B, producerEpoch: 4 }, 2),
    finds: [],
  },
  {
    promise: 'data of a lower epoch than before',
    written: orders()
      .idempotent({ ...A, producerEpoch: 2 })
      .idempotent({ ...A, producerEpoch: 1 }),
    finds: [`damage producer-epoch ${LOG} 1`],
  },
  {
    promise: 'a marker of a lower epoch than one before it',
    written: orders()
      .transactional(B)
      .commit({ ...B, producerEpoch: 2 })
      .commit(B),
    finds: [`damage producer-epoch ${LOG} 1`, `information marker-alone ${LOG} 2`],
  },
  {
    promise: 'a marker whose coordinator epoch goes back',
    written: orders().transactional(A).commit(A, 5).transactional(A).commit(A, 4),
    finds: [`damage coordinator-epoch ${LOG} 3`],
  },
  {
    promise: 'a batch outside of the transaction that its producer has open',
    written: orders().transactional(A).idempotent(A).commit(A),
    finds: [`damage transaction-mixed ${LOG} 1`],
  },
  {
    promise: 'a marker of a transaction without records',
    written: orders().transactional(A).commit(A).commit(A).plain().commit(B),
    finds: [`information marker-alone ${LOG} 2`, `information marker-alone ${LOG} 4`],
  },
  {
    promise: 'a gap in the sequences of a producer',
    written: orders().idempotent(A, 3).idempotent(A, 1, 4),
    finds: [`warning sequence ${LOG} 3`],
  },
  {
    promise: 'a batch that stands there twice',
    written: orders().idempotent(A, 3).plain().idempotent(A, 3, 0),
    finds: [`warning sequence ${LOG} 4`],
  },
  {
    promise: 'a new epoch that does not begin at 0',
    written: orders()
      .idempotent(A, 3)
      .idempotent({ ...A, producerEpoch: 1 }, 1, 3),
    finds: [`warning sequence ${LOG} 3`],
  },
  {
    promise: 'nothing where sequences begin again after the last there is',
    written: orders()
      .idempotent(A, 1, 2 ** 31 - 1)
      .idempotent(A, 2, 0),
    finds: [],
  },
  {
    promise: 'nothing where a producer that is not known begins anywhere',
    written: orders().idempotent(A, 1, 77).idempotent(A, 1),
    finds: [],
  },
  {
    promise: 'nothing where a marker raises the epoch, and sequences begin again',
    written: orders()
      .transactional(A, 3)
      .commit({ ...A, producerEpoch: 1 })
      .transactional({ ...A, producerEpoch: 1 }, 2)
      .commit({ ...A, producerEpoch: 2 }),
    finds: [],
  },
]

for (const { promise, written, finds } of CASES) {
  test(`verify finds ${promise}`, async () => {
    const all = await found({ 'orders-0': written })
    assert.deepEqual(
      all.filter((each) => !each.includes('aborted-missing')),
      finds,
    )
  })
}

/** The log without one of its batches, as compaction would have left it. */
const without =
  (index: number) =>
  (log: Inspected): Promise<void> =>
    log.edit(LOG, (bytes) => {
      const starts = [...log.batches(LOG), bytes.length]
      const [from, to] = starts.slice(index, index + 2)
      return Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)])
    })

test('where batches are missing, sequences across that are not judged, and those behind it are', async () => {
  const written = orders().idempotent(A, 2).plain(3).idempotent(A, 2, 7).idempotent(A, 1, 20)
  const all = await found({ 'orders-0': written }, without(1))
  assert.deepEqual(all, [`warning sequence ${LOG} 7`, `information gap ${LOG} 2`])
})

test('a marker behind missing batches does not say with which sequence its producer goes on', async () => {
  const written = () => orders().plain().transactional(A, 7).commit(A)
  const goesOn = written().transactional(A, 2).commit(A)
  assert.deepEqual(await found({ 'orders-0': goesOn }), [])
  assert.deepEqual(await found({ 'orders-0': goesOn }, without(1)), [`information gap ${LOG} 1`])
  const jumps = written().transactional(A, 2, 9).commit(A)
  assert.deepEqual(await found({ 'orders-0': jumps }), [`warning sequence ${LOG} 9`])
  const behind = orders().plain(2).transactional(A, 7).commit(A).transactional(A, 2, 9).commit(A)
  const finds = [`warning sequence ${LOG} 10`, `information gap ${LOG} 0`]
  assert.deepEqual(await found({ 'orders-0': behind }, without(0)), finds)
})

/** The log in two segments, the second one from the batch on; with the batch before it, or without. */
const split =
  (index: number, isBeforeThere: boolean) =>
  async (log: Inspected): Promise<void> => {
    const bytes = log.read(LOG)
    const [before, at] = log.batches(LOG).slice(index - 1, index + 1)
    const name = `${bytes.readBigInt64BE(at)}`.padStart(20, '0')
    await log.write(`orders-0/${name}.log`, bytes.subarray(at))
    await log.write(LOG, bytes.subarray(0, isBeforeThere ? at : before))
  }

test('what is missing at the end of a segment is a gap as any other', async () => {
  const written = orders().idempotent(A, 2).idempotent(A, 3).idempotent(A, 1)
  assert.deepEqual(await found({ 'orders-0': written }, split(2, true)), [])
  assert.deepEqual(await found({ 'orders-0': written }, split(2, false)), [
    `information gap ${LOG} 2`,
  ])
  const swapped = await found({ 'orders-0': written }, async (log) => {
    await split(2, false)(log)
    await log.rename(LOG, `${LOG}.swap`)
  })
  assert.deepEqual(swapped, [`information half-done ${LOG}.swap`])
  const jumps = orders().idempotent(A, 2).idempotent(A, 3).idempotent(A, 1, 9)
  assert.deepEqual(await found({ 'orders-0': jumps }, split(2, true)), [
    'warning sequence orders-0/00000000000000000005.log 5',
  ])
})

test('aborts need their entries, with every field as the batches have it', async () => {
  const written = orders().transactional(A, 2).transactional(B).abort(A).commit(B)
  const warned = (kind: string) => `warning ${kind} orders-0/00000000000000000000.txnindex 0`
  assert.deepEqual(await found({ 'orders-0': written }), [warned('aborted-missing')])
})

test('a snapshot that lacks a producer, and has one that was idle for longer, contradicts the batches', async () => {
  const at = (timestamp: number) => ({ timestamp })
  const written = orders()
    .idempotent({ ...A, ...at(1000) }, 2)
    .idempotent({ ...B, ...at(5000) })
    .plain()
  const entry = {
    coordinatorEpoch: -1,
    currentTxnFirstOffset: undefined,
    offsetDelta: 0,
    lastSequence: 0,
  }
  const [first, second] = [
    { ...entry, producerId: 1000, producerEpoch: 0, lastTimestamp: 1000, lastOffset: 1 },
    { ...entry, producerId: 2000, producerEpoch: 3, lastTimestamp: 5000, lastOffset: 2 },
  ]
  const whole = { ...first, lastSequence: 1, offsetDelta: 1 }
  const snapshot = 'orders-0/00000000000000000003.snapshot'
  for (const [entries, finds] of [
    [[whole, second], []],
    // It was forgotten.
    [[second], []],
    [[], []],
    [[whole], [`damage snapshot-contradicts ${snapshot}`]],
  ] as const) {
    const all = await found({ 'orders-0': written }, (log) =>
      log.write(snapshot, encodeSnapshot(entries)),
    )
    assert.deepEqual(all, finds)
  }
})

// ---------------------------------------------------------------------------------------- states

const stateOf = (
  status: 'Ongoing' | 'Empty' | 'PrepareCommit' | 'CompleteCommit' | 'CompleteAbort',
) => ({
  transactionalId: 'payments',
  status,
  ...A,
  partitions: [['orders', 0] as const],
})

const withState = (status: Parameters<typeof stateOf>[0]) => ({
  'orders-0': orders().transactional(A, 2),
  '__transaction_state-0': orders().state(stateOf(status)),
})

test('a transaction that is open, and decided or on its way by its state, is sound', async () => {
  for (const status of ['Ongoing', 'PrepareCommit'] as const) {
    assert.deepEqual(await found(withState(status)), [])
  }
})

test('one that is complete by its state and open in a partition of a closed log is damage', async () => {
  for (const status of ['CompleteCommit', 'CompleteAbort'] as const) {
    const all = await found(withState(status), closed)
    assert.ok(all.includes('damage transaction-open orders-0 0'), all.join('\n'))
    assert.deepEqual(await found(withState(status)), ['information transaction-hanging orders-0 0'])
  }
})

test('one that no state speaks of is told', async () => {
  assert.deepEqual(await found({ 'orders-0': orders().plain().transactional(A) }), [
    'information transaction-hanging orders-0 1',
  ])
  assert.deepEqual(await found(withState('Empty')), ['information transaction-hanging orders-0 0'])
})

test('a record of states that cannot be read is told, by its offset', async () => {
  const states = orders().state(stateOf('Empty')).plain().state(stateOf('Empty'))
  assert.deepEqual(await found({ '__transaction_state-0': states }), [
    `warning state-record ${STATES} 1`,
  ])
})

test('behind damage nothing is said of what is open', async () => {
  const all = await found({ 'orders-0': orders().transactional(A).plain().plain() }, (log) =>
    log.edit(LOG, (bytes) => {
      const [, plain = 0] = log.batches(LOG)
      bytes.writeUInt8(bytes.readUInt8(plain + 70) ^ 1, plain + 70)
    }),
  )
  assert.deepEqual(all, [`damage batch-crc ${LOG} 1`])
})
