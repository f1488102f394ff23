// Groups of consumers that this library stored: Kafka's tools show their members, a broker that adopts them knows them, and goes on.
import assert from 'node:assert/strict'
import { cpSync } from 'node:fs'
import path from 'node:path'
import { after, test } from 'node:test'
import type { GroupDescription } from '../../src/index.ts'
import { Log } from '../../src/index.ts'
import { adopt, offsetsTopic } from './adoption.ts'
import { Broker } from './broker.ts'
import { Judge } from './judge.ts'
import { dumpOffsets } from './kafka-tools.ts'
import { scratchDirectory } from './scratch.ts'

const PARTITIONS = 3
const OFFSETS = '__consumer_offsets-0'
const TOPICS = { orders: { partitions: PARTITIONS, value: 'string' } } as const

const judge = new Judge()
after(() => judge.close())

type OurLog = Awaited<ReturnType<typeof openLog>>

const openLog = (directory: string) => Log.open(directory, { topics: TOPICS })

/** A member that has a record in hand. */
async function join(
  log: OurLog,
  group: string,
  clientId: string,
  instanceId?: string,
): Promise<AsyncIterableIterator<unknown>> {
  const isStatic = instanceId === undefined ? {} : { instanceId }
  const consumer = log.consumer({ group, topics: ['orders'], clientId, ...isStatic })
  const records = consumer[Symbol.asyncIterator]()
  await records.next()
  return records
}

/** A group whose member has left, and one with two members; answers with a copy of the directory in which these are killed, and with what they were. */
async function writeGroups(
  log: OurLog,
  directory: string,
): Promise<{ killed: string; described: GroupDescription }> {
  for (let n = 0; n < 10 * PARTITIONS; n += 1) {
    await log.produce('orders', { value: `${n}`, partition: n % PARTITIONS })
  }
  const records = await join(log, 'left', 'shop')
  await records.next()
  await records.return?.()
  const first = await join(log, 'killed', 'first')
  const joining = join(log, 'killed', 'second', 'till-2')
  // It hands back what it has in hand.
  const next = first.next()
  await joining
  await next
  const described = await log.describeGroup('killed')
  await untilStored(directory, described.generation)
  const killed = scratchDirectory('killed-members')
  cpSync(directory, killed, { recursive: true })
  return { killed, described }
}

/** Nobody waits for a group to be stored. */
async function untilStored(directory: string, generation: number): Promise<void> {
  for (;;) {
    await using beside = await Log.open(directory, { readOnly: true })
    const isKnown = (await beside.groups()).includes('killed')
    if (isKnown && (await beside.describeGroup('killed')).generation === generation) return
  }
}

/** Of each group what was stored of it last, by Kafka's names for it. */
async function storedGroups(directory: string): Promise<Record<string, unknown>> {
  const groups: Record<string, unknown> = {}
  for (const { key, payload } of await dumpOffsets([path.join(directory, OFFSETS)])) {
    if (key.type === '2' && payload !== null) groups[`${key.data['group']}`] = payload.data
  }
  return groups
}

function asKafkaStores(
  { members, generation, protocol, leader }: GroupDescription,
  currentStateTimestamp: number,
): unknown {
  return {
    protocolType: 'consumer',
    generation,
    protocol,
    leader,
    currentStateTimestamp,
    members: members.map(({ rebalanceTimeoutMs, sessionTimeoutMs, ...member }) => {
      const { subscription, assignment, ...known } = member
      return {
        ...known,
        rebalanceTimeout: rebalanceTimeoutMs,
        sessionTimeout: sessionTimeoutMs,
        topics: subscription?.topics,
        assigned: assignment?.partitions,
      }
    }),
  }
}

interface Stored {
  readonly currentStateTimestamp: number
  readonly members: readonly {
    readonly subscription: { readonly topics: unknown }
    readonly assignment: { readonly assignedPartitions: unknown }
  }[]
}

/** Of subscription and assignment what the members of a description have, too. */
function comparable({ members, ...stored }: Stored): unknown {
  return {
    ...stored,
    members: members.map(({ subscription, assignment, ...known }) => {
      return { ...known, topics: subscription.topics, assigned: assignment.assignedPartitions }
    }),
  }
}

test('Kafka shows our members, knows our groups when it adopts them and goes on with their generations, and we with its', async (t) => {
  const directory = scratchDirectory('groups')
  const log = await openLog(directory)
  const { killed, described } = await writeGroups(log, directory)
  const offsets = await log.committedOffsets('left')
  assert.equal(offsets.length, 1)
  await log.close()

  const stored = (await storedGroups(killed)) as Record<string, Stored>
  const { left, killed: members } = stored
  assert.ok(left !== undefined && members !== undefined)
  assert.deepEqual(comparable(members), asKafkaStores(described, members.currentStateTimestamp))
  const { currentStateTimestamp: _, ...rest } = left
  const none = { protocol: null, leader: null, members: [] }
  assert.deepEqual(rest, { protocolType: 'consumer', generation: 2, ...none })

  const broker = await Broker.create(judge)
  t.after(() => broker.stop())
  const orders = { name: 'orders', partitions: PARTITIONS, config: {}, from: killed }
  await adopt(broker, judge, [orders, offsetsTopic(killed, 1)], 'recovering')
  assert.deepEqual(await judge.ask('describeGroups', { groups: ['left', 'killed'] }), {
    left: { state: 'Empty', assignor: '', members: [] },
    killed: {
      state: 'Stable',
      assignor: 'cooperative-sticky',
      members: described.members.map(({ memberId, groupInstanceId, clientId, assignment }) => ({
        memberId,
        groupInstanceId,
        clientId,
        host: '/127.0.0.1',
        partitions: assignment?.partitions.flatMap(({ topic, partitions }) =>
          partitions.map((partition) => `${topic}-${partition}`),
        ),
      })),
    },
  })
  const group = { group: 'left', settings: {}, topics: ['orders'] }
  const read = await judge.ask('readAsGroup', { ...group, count: 10 * PARTITIONS - 1 })
  assert.equal(read.generation, 3)
  await broker.stop()
  assert.deepEqual(broker.complaints, [])

  const ours = await openLog(broker.data)
  const { generation, offsets: after } = await ours.describeGroup('left')
  assert.equal(generation, 4)
  const committed = after.map(({ topic, partition, offset }) => [`${topic}-${partition}`, offset])
  assert.deepEqual(Object.fromEntries(committed), read.committed)
  await ours.produce('orders', { value: 'more', partition: 0 })
  await join(ours, 'left', 'shop')
  assert.equal((await ours.describeGroup('left')).generation, 5)
  await join(ours, 'killed', 'third', 'till-2')
  const [member] = (await ours.describeGroup('killed')).members
  assert.equal(member?.groupInstanceId, 'till-2')
  await ours.close()
})
