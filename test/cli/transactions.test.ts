// brokerless transactions, producers and abort: what they print, and how they end.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../src/testing/index.ts'
import { ranAsProcess } from '../support/cli-process.ts'
import type { Ran } from '../support/command-line.ts'
import { ran } from '../support/command-line.ts'
import { logAndCommands } from '../support/command-line-log.ts'
import { fixtureDirectory } from '../support/fixtures.ts'
import type { Inspected } from '../support/inspected.ts'
import { openAt } from '../support/log-places.ts'
import { WrittenPartition, writtenDirectory } from '../support/transaction-files.ts'

const NOW_MS = Date.UTC(2026, 0, 1)
const PAYMENTS = { producerId: 2 ** 40, timestamp: NOW_MS - 5000 }
const STRANGER = { producerId: 7, producerEpoch: 2, timestamp: NOW_MS - 3_600_000 }
const AUDITED = { producerId: 2 ** 40 + 1, timestamp: NOW_MS - 1000 }

async function written(): Promise<{ log: Inspected; run: (...args: string[]) => Promise<Ran> }> {
  const clock = new ManualClock(NOW_MS)
  const log = await writtenDirectory(
    {
      'orders-0': new WrittenPartition().plain(2).transactional(PAYMENTS, 3),
      'orders-1': new WrittenPartition()
        .transactional(PAYMENTS, 2)
        .transactional(STRANGER)
        .idempotent({ producerId: 9, timestamp: NOW_MS - 10 }, 4),
      'audit-0': new WrittenPartition().transactional(AUDITED),
      '__transaction_state-0': new WrittenPartition()
        .state({
          transactionalId: 'payments',
          status: 'Ongoing',
          ...PAYMENTS,
          partitions: [['orders', 0, 1]],
          startTimestamp: NOW_MS - 6000,
        })
        .state({
          transactionalId: 'audit',
          status: 'PrepareCommit',
          ...AUDITED,
          partitions: [['audit', 0]],
          startTimestamp: NOW_MS - 1500,
        })
        .state({ transactionalId: 'new', status: 'Empty', producerId: 5, timestamp: NOW_MS }),
    },
    clock,
  )
  const { fileSystem, directory } = log
  const run = (...args: string[]) => ran([...args, '--dir', directory], { fileSystem, clock })
  return { log, run }
}

// ---------------------------------------------------------------------------------- transactions

test('transactions lists every transactional id, and what hangs', async () => {
  const { run } = await written()
  const { exitCode, stdout, stderr } = await run('transactions')
  assert.deepEqual([exitCode, stderr], [0, ''])
  assert.deepEqual(stdout.split('\n'), [
    'TRANSACTIONAL ID  STATE               PRODUCER  EPOCH  BEGUN  UPDATED  TIME-OUT  PARTITIONS',
    'audit             PrepareCommit  1099511627777      0    1 s      1 s     1 min  audit:0',
    'new               Empty                      5      0      -     0 ms     1 min',
    'payments          Ongoing        1099511627776      0    6 s      5 s     1 min  orders:0,1',
    '',
    'Hanging:',
    'TOPIC   PARTITION  PRODUCER  EPOCH  OPEN FROM  LAST WRITE  TRANSACTIONAL ID',
    'orders          1         7      2          2         1 h  -',
    '',
  ])
})

test('transactions --hanging is what hangs alone, --open what is waiting for markers', async () => {
  const { run } = await written()
  const hanging = (await run('transactions', '--hanging')).stdout.split('\n')
  assert.deepEqual([hanging.length, hanging[0]], [4, 'Hanging:'])
  const { stdout } = await run('transactions', '--open')
  assert.doesNotMatch(stdout, /^new /m)
  assert.match(stdout, /^Open:\nTOPIC .*\naudit .*\norders +0 .*\norders +1 /m)
})

test('transactions describes one transactional id', async () => {
  const { run } = await written()
  const { stdout } = await run('transactions', 'payments')
  assert.deepEqual(stdout.split('\n').slice(0, 10), [
    'TRANSACTIONAL ID  payments',
    'STATE             Ongoing',
    'PRODUCER          1099511627776',
    'EPOCH             0',
    'BEGUN             2025-12-31T23:59:54.000Z, 6 s ago',
    'UPDATED           2025-12-31T23:59:55.000Z, 5 s ago',
    'TIME-OUT          1 min',
    'PARTITIONS        orders:0,1',
    'STORED            __transaction_state-0, offset 0',
    '',
  ])
  assert.match(stdout, /^Open:\nTOPIC .*\norders +0 .*\norders +1 .*payments$/m)
  assert.doesNotMatch(stdout, /Hanging/)
  assert.deepEqual(await run('transactions', 'payment'), {
    exitCode: 1,
    stdout: '',
    stderr: "brokerless: there is no transactional id 'payment'; did you mean payments?\n",
  })
})

test('transactions --json has all of it', async () => {
  const { run } = await written()
  const { state, transactions, open } = JSON.parse((await run('transactions', '--json')).stdout)
  assert.equal(state, 'crashed')
  assert.deepEqual(transactions[2], {
    transactionalId: 'payments',
    state: 'Ongoing',
    producerId: 2 ** 40,
    producerEpoch: 0,
    transactionTimeoutMs: 60_000,
    startTimestamp: NOW_MS - 6000,
    lastUpdateTimestamp: NOW_MS - 5000,
    ageMs: 6000,
    sinceUpdateMs: 5000,
    partitions: [
      { topic: 'orders', partition: 0 },
      { topic: 'orders', partition: 1 },
    ],
  })
  assert.equal(transactions[1].ageMs, null)
  assert.equal(open.length, 4)
  assert.deepEqual(open.at(-1), {
    topic: 'orders',
    partition: 1,
    producerId: 7,
    producerEpoch: 2,
    firstOffset: 2,
    lastTimestamp: NOW_MS - 3_600_000,
    transactionalId: null,
    ageMs: 3_600_000,
    hanging: true,
  })
})

test('a state that cannot be read is told, beside those that can', async () => {
  const state = { transactionalId: 'payments', status: 'Empty', ...PAYMENTS } as const
  const { fileSystem, directory } = await writtenDirectory({
    '__transaction_state-0': new WrittenPartition().plain().state(state),
  })
  const { exitCode, stdout, stderr } = await ran(['transactions', '-d', directory], { fileSystem })
  assert.equal(exitCode, 1)
  assert.match(stdout, /^payments +Empty /m)
  assert.equal(
    stderr,
    'brokerless: 1 record of __transaction_state cannot be read; `brokerless verify` tells where\n',
  )
})

// ------------------------------------------------------------------------------------- producers

test('producers lists what each partition knows of its producers', async () => {
  const { run } = await written()
  const { exitCode, stdout } = await run('producers', 'orders')
  assert.equal(exitCode, 0)
  assert.deepEqual(stdout.split('\n'), [
    'TOPIC   PARTITION       PRODUCER  EPOCH  SEQUENCE  OFFSET  LAST TIME                 OPEN FROM  TRANSACTIONAL ID',
    'orders          0  1099511627776      0         2       4  2025-12-31T23:59:55.000Z          2  payments',
    'orders          1              7      2         0       2  2025-12-31T23:00:00.000Z          2  -',
    'orders          1              9      0         3       6  2025-12-31T23:59:59.990Z          -  -',
    'orders          1  1099511627776      0         1       1  2025-12-31T23:59:55.000Z          0  payments',
    '',
  ])
})

test('producers can be chosen by partition, id, and whether a transaction is open', async () => {
  const { run } = await written()
  const chosen = async (...args: string[]): Promise<unknown[]> => {
    const found = JSON.parse((await run('producers', '--json', ...args)).stdout)
    return found.map((each: Record<string, unknown>) => [
      each['topic'],
      each['partition'],
      each['producerId'],
    ])
  }
  assert.equal((await chosen()).length, 5)
  assert.deepEqual(await chosen('-p', '0', 'orders'), [['orders', 0, 2 ** 40]])
  assert.deepEqual(await chosen('--producer-id', '9'), [['orders', 1, 9]])
  assert.equal((await chosen('--open')).length, 4)
  const { stdout } = await run('producers', '--json', '--producer-id', '9')
  assert.deepEqual(JSON.parse(stdout), [
    {
      topic: 'orders',
      partition: 1,
      producerId: 9,
      producerEpoch: 0,
      coordinatorEpoch: null,
      lastSequence: 3,
      lastOffset: 6,
      lastTimestamp: NOW_MS - 10,
      openFirstOffset: null,
      transactionalId: null,
    },
  ])
  const missing = await run('producers', 'orders', '-p', '2')
  assert.deepEqual(
    [missing.exitCode, missing.stderr],
    [1, 'brokerless: orders has no partition 2; it has 2\n'],
  )
  assert.equal((await run('producers', '--producer-id', 'x')).exitCode, 2)
})

// ----------------------------------------------------------------------------------------- abort

test('abort --dry-run tells what there is to abort, and changes nothing', async () => {
  const { log, run } = await written()
  const before = await log.names('orders-0')
  const { exitCode, stdout } = await run('abort', '--all', '--dry-run')
  assert.equal(exitCode, 0)
  assert.deepEqual(stdout.split('\n'), [
    'TOPIC   PARTITION       PRODUCER  EPOCH  FROM  MARKER  OUTCOME        TRANSACTIONAL ID',
    'orders          0  1099511627776      0     2       -  to be aborted  payments',
    'orders          1  1099511627776      0     0       -  to be aborted  payments',
    'orders          1              7      2     2       -  to be aborted  -',
    '',
  ])
  assert.deepEqual(await log.names('orders-0'), before)
  assert.deepEqual(await log.names(), ['__transaction_state-0', 'audit-0', 'orders-0', 'orders-1'])
})

test('abort refuses what is decided, what is not open, and what is not named', async () => {
  const { run } = await written()
  for (const [args, exit, message] of [
    [['audit'], 1, "the transaction of 'audit' is decided: it commits, and the next open"],
    [['new'], 1, "'new' has no open transaction there; `brokerless transactions` tells more"],
    [['payment'], 1, "there is no transactional id 'payment'; did you mean payments?"],
    [['--producer-id', '9'], 1, 'producer 9 has no open transaction there'],
    [['--producer-id', '7', '-t', 'orders', '-p', '0'], 1, 'producer 7 has no open transaction'],
    [['--all', '-t', 'order'], 1, "there is no topic 'order'; did you mean orders?"],
    [[], 2, 'abort needs one of TRANSACTIONAL-ID, --producer-id ID and --all'],
    [['payments', '--all'], 2, 'abort needs one of'],
  ] as const) {
    const { exitCode, stdout, stderr } = await run('abort', ...args)
    assert.deepEqual([exitCode, stdout], [exit, ''], stderr)
    assert.ok(stderr.startsWith(`brokerless: ${message}`), stderr)
  }
})

/** Those that are left open in the files. */
async function openAfter(run: (...args: string[]) => Promise<Ran>): Promise<unknown[]> {
  const { open } = JSON.parse((await run('transactions', '--json')).stdout)
  return open.map(({ topic, partition }: Record<string, unknown>) => [topic, partition])
}

test('abort opens to write, which ends all that is open, and tells what became of what was named', async () => {
  const { log, run } = await written()
  const { exitCode, stdout, stderr } = await run('abort', 'payments')
  assert.deepEqual([exitCode, stderr], [0, ''])
  assert.deepEqual(stdout.split('\n'), [
    'TOPIC   PARTITION       PRODUCER  EPOCH  FROM  MARKER  OUTCOME  TRANSACTIONAL ID',
    'orders          0  1099511627776      0     2       5  aborted  payments',
    'orders          1  1099511627776      0     0       7  aborted  payments',
    '',
  ])
  assert.deepEqual(await openAfter(run), [])
  const { findings } = await log.verify()
  assert.deepEqual(
    findings.filter(({ severity }) => severity !== 'information'),
    [],
  )
  const again = await run('abort', 'payments')
  assert.equal(again.exitCode, 1)
  assert.match(again.stderr, /'payments' has no open transaction there/)
  assert.equal((await run('abort', '--all')).stdout, 'Nothing is open.\n')
})

test('abort by producer, partition and as JSON', async () => {
  const { run } = await written()
  const args = ['--producer-id', '7', '-t', 'orders', '-p', '1', '--json']
  const { exitCode, stdout } = await run('abort', ...args)
  assert.equal(exitCode, 0)
  const [told, ...others] = JSON.parse(stdout)
  const { markerOffset, ...rest } = told
  assert.deepEqual(others, [])
  assert.ok(markerOffset >= 7)
  assert.deepEqual(rest, {
    topic: 'orders',
    partition: 1,
    producerId: 7,
    producerEpoch: 2,
    transactionalId: null,
    firstOffset: 2,
    outcome: 'aborted',
  })
})

// --------------------------------------------------------------------------- beside a live writer

test('beside a live writer its open transaction is shown, hangs not, and is not ours to abort', async () => {
  const { place, clock, run } = logAndCommands()
  const log = await openAt(place, {
    clock,
    maxTransactionBytes: 1,
    topics: { orders: { value: 'string', partitions: 2 } },
  })
  const payments = await log.producer({ transactionalId: 'payments' })
  const tx = await payments.begin()
  await tx.produce('orders', { value: 'early' }, { partition: 1 })
  const { state, transactions, open } = JSON.parse((await run(['transactions', '--json'])).stdout)
  assert.equal(state, 'live')
  assert.deepEqual(
    transactions.map((each: Record<string, unknown>) => [each['transactionalId'], each['state']]),
    [['payments', 'Ongoing']],
  )
  assert.deepEqual(
    open.map((each: Record<string, unknown>) => [
      each['topic'],
      each['partition'],
      each['producerId'],
      each['hanging'],
    ]),
    [['orders', 1, payments.producerId, false]],
  )
  const [producer] = JSON.parse((await run(['producers', '--json', '--open'])).stdout)
  assert.deepEqual([producer.lastSequence, producer.openFirstOffset], [0, 0])
  const refused = await run(['abort', 'payments'])
  assert.equal(refused.exitCode, 1)
  assert.match(refused.stderr, /^brokerless: this command has to write, and \/data is held/)
  const tried = await run(['abort', 'payments', '--dry-run'])
  assert.equal(tried.exitCode, 1)
  assert.match(tried.stderr, /^brokerless: \/data is held by a live writer/)
  await tx.commit()
  assert.match((await run(['transactions', '--open'])).stdout, /^(?!Open)/)
  await log.close()
  const { stdout } = await run(['transactions', 'payments'])
  assert.match(stdout, /^STATE +CompleteCommit$/m)
  assert.equal((await run(['verify'])).exitCode, 0)
})

// ------------------------------------------------------------------------------------ as processes

test('transactions and producers as processes print what they print here', async () => {
  const directory = fixtureDirectory('transactions-v1')
  for (const args of [
    ['producers', '--json', '--dir', directory],
    ['producers', 'ledger', '--dir', directory],
    ['transactions', '--open', '--help'],
  ]) {
    assert.deepEqual(await ranAsProcess(args), await ran(args))
  }
  const { exitCode, stdout } = await ranAsProcess(['transactions', '--hanging', '-d', directory])
  assert.equal(exitCode, 0)
  assert.match(stdout, /^Hanging:\nTOPIC .*\nledger +0 +5 +0 +168 +\S.* +-\n$/)
})
