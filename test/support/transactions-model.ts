/** What readers at both isolation levels have to see of a log with transactions, and of the offsets of its groups. */
import assert from 'node:assert/strict'
import type { Log, LogRecord } from '../../src/index.ts'

export interface Place {
  readonly topic: 'orders' | 'clicks' | 'accounts'
  readonly partition: number
}

export const PLACES: readonly Place[] = [
  { topic: 'orders', partition: 0 },
  { topic: 'orders', partition: 1 },
  { topic: 'clicks', partition: 0 },
  { topic: 'accounts', partition: 0 },
]
/** Its records go when a later one with their key stands. */
const COMPACTED = 'accounts'

export interface CommittedOffset extends Place {
  readonly group: string
  readonly offset: number
}

/** A transaction, or one call of another producer. */
export interface Owner {
  readonly id: number
  readonly isTransaction: boolean
  /** `unknown`: until it is looked at. */
  fate: 'open' | 'committed' | 'aborted' | 'unknown'
  readonly offsets: CommittedOffset[]
  /** Of its records, by place. */
  readonly values: Map<Place, string[]>
}

interface Sent {
  readonly place: Place
  readonly key: string
  readonly owner: Owner
  /** Where it was last seen. */
  offset: number | undefined
}

type Found = LogRecord<string, unknown>

/** A partition as it is now. */
interface View {
  readonly place: Place
  readonly start: number
  readonly stable: number
  readonly uncommitted: readonly Found[]
  readonly committed: readonly Found[]
}

export class TransactionsModel {
  readonly #sent = new Map<string, Sent>()
  /** Which offsets may be found, by group and partition. */
  readonly #offsets = new Map<string, { readonly owner: Owner; readonly offset: number }[]>()
  readonly #groups = new Set<string>()
  readonly #owners: Owner[] = []

  begin(isTransaction: boolean): Owner {
    const id = this.#owners.length
    const owner: Owner = { id, isTransaction, fate: 'open', offsets: [], values: new Map() }
    this.#owners.push(owner)
    return owner
  }

  /** A value that nobody else sends. */
  send(owner: Owner, place: Place, key: string, bytes: number): string {
    const value = `${this.#sent.size} ${'x'.repeat(bytes)}`
    this.#sent.set(value, { place, key, owner, offset: undefined })
    const of = owner.values.get(place)
    if (of === undefined) owner.values.set(place, [value])
    else of.push(value)
    return value
  }

  /** It was acknowledged: where the first and the last of its records are. */
  told(owner: Owner, place: Place, first: number, last: number): void {
    const values = owner.values.get(place) ?? []
    this.#toldOne(values[0], first)
    this.#toldOne(values.at(-1), last)
  }

  #toldOne(value: string | undefined, offset: number): void {
    const sent = this.#sent.get(value ?? '')
    assert.ok(sent, `nothing was sent that is at ${offset}`)
    sent.offset = offset
  }

  aborted(owner: Owner): void {
    owner.fate = 'aborted'
  }

  /** Those that are decided side by side may have been in any order. */
  committed(...owners: readonly Owner[]): void {
    const offsets = new Map<string, { owner: Owner; offset: number }[]>()
    for (const owner of owners) {
      owner.fate = 'committed'
      const own = owner.offsets.map((each) => [placeKey(each), each.offset] as const)
      // Of one transaction's the last counts.
      for (const [key, offset] of new Map(own)) {
        offsets.set(key, [...(offsets.get(key) ?? []), { owner, offset }])
      }
    }
    for (const [key, possible] of offsets) this.#offsets.set(key, possible)
  }

  noteOffset(owner: Owner, committed: CommittedOffset): void {
    owner.offsets.push(committed)
    this.#groups.add(committed.group)
  }

  // ------------------------------------------------------------------------------------ checks

  async checkAll(log: Log): Promise<void> {
    const views: View[] = []
    for (const place of PLACES) views.push(await viewOf(log, place))
    await this.#decide(log, views)
    const hidden = this.#hiddenOwners(views)
    for (const view of views) this.#checkView(view, hidden)
    for (const group of this.#groups) await this.#checkOffsets(log, group)
  }

  /** What a live reader of a partition has to be handed from an offset on. */
  async committedFrom(log: Log, place: Place, offset: number): Promise<readonly Found[]> {
    const { committed } = await viewOf(log, place)
    return committed.filter((record) => record.offset >= offset)
  }

  /** What nobody has acknowledged is what it looks like; that it is whole is looked at then. */
  async #decide(log: Log, views: readonly View[]): Promise<void> {
    const seen = new Set(views.flatMap(({ committed }) => committed.map(valueIn)))
    const committed: Owner[] = []
    for (const owner of this.#owners.filter(({ fate }) => fate === 'unknown')) {
      const values = [...owner.values.values()].flat()
      const isThere = values.some((value) => seen.has(value)) || (await hasOffset(log, owner))
      if (isThere) committed.push(owner)
      else owner.fate = 'aborted'
    }
    this.committed(...committed)
  }

  /** The open ones, and all that lie behind a hidden one in any partition, as nobody is to see a half of them. */
  #hiddenOwners(views: readonly View[]): ReadonlySet<Owner> {
    const hidden = new Set(this.#owners.filter(({ fate }) => fate === 'open'))
    for (let before = -1; before < hidden.size; ) {
      before = hidden.size
      for (const { uncommitted } of views) {
        const owners = uncommitted.map((record) => this.#ownerOf(record))
        const first = owners.findIndex((owner) => hidden.has(owner))
        const behind = first === -1 ? [] : owners.slice(first)
        for (const owner of behind)
          if (owner.isTransaction && owner.fate === 'committed') hidden.add(owner)
      }
    }
    return hidden
  }

  #checkView(
    { place, start, stable, uncommitted, committed }: View,
    hidden: ReadonlySet<Owner>,
  ): void {
    const where = `${place.topic}-${place.partition}`
    const found = new Map<string, number>()
    for (const record of uncommitted) {
      const value = valueIn(record)
      const sent = this.#sent.get(value)
      const at = `${where}, offset ${record.offset}, ${value.slice(0, 20)}`
      assert.ok(sent?.place === place && sent.key === record.key, `${at}: not what was sent`)
      assert.ok(!found.has(value), `${at}: it is there twice`)
      assert.equal(sent.offset ?? record.offset, record.offset, `${at}: it was elsewhere`)
      sent.offset = record.offset
      found.set(value, record.offset)
    }
    this.#checkStable(where, stable, uncommitted, hidden)
    const visible = uncommitted.filter(
      (record) => record.offset < stable && this.#ownerOf(record).fate === 'committed',
    )
    assert.deepEqual(committed.map(brief), visible.map(brief), `${where}: read_committed`)
    this.#checkNoneMissing(where, place, start, found, committed)
  }

  /** It is where the first hidden record is, or at the end. */
  #checkStable(
    where: string,
    stable: number,
    uncommitted: readonly Found[],
    hidden: ReadonlySet<Owner>,
  ): void {
    const first = uncommitted.find((record) => hidden.has(this.#ownerOf(record)))
    if (first !== undefined) assert.equal(stable, first.offset, `${where}: the last stable offset`)
    else {
      const last = uncommitted.at(-1)?.offset ?? -1
      assert.ok(stable > last, `${where}: the last stable offset is ${stable}, behind none`)
    }
  }

  #checkNoneMissing(
    where: string,
    place: Place,
    start: number,
    found: ReadonlyMap<string, number>,
    committed: readonly Found[],
  ): void {
    const lastOfKeys = new Map(committed.map(({ key, offset }) => [key, offset]))
    const mayBeGone = ({ offset = -1, key }: Sent): boolean => {
      if (offset >= 0 && offset < start) return true
      return place.topic === COMPACTED && (lastOfKeys.get(key) ?? -1) > offset
    }
    for (const { fate, values } of this.#owners) {
      let previous = -1
      for (const value of fate === 'committed' ? (values.get(place) ?? []) : []) {
        const at = `${where}: ${value.slice(0, 20)}`
        const sent = this.#sent.get(value)
        const offset = found.get(value)
        assert.ok(offset !== undefined || (sent && mayBeGone(sent)), `${at} is missing`)
        assert.ok((offset ?? previous + 1) > previous, `${at} is out of its order`)
        previous = offset ?? previous
      }
    }
  }

  async #checkOffsets(log: Log, group: string): Promise<void> {
    const found = await log.committedOffsets(group)
    for (const { topic, partition, offset, metadata } of found) {
      const key = placeKey({ group, topic, partition })
      const possible = this.#offsets.get(key) ?? []
      const it = possible.find(({ owner }) => String(owner.id) === metadata)
      assert.ok(
        it,
        `${key}: committed by ${metadata}, not ${possible.map(({ owner }) => owner.id)}`,
      )
      assert.equal(offset, it.offset, key)
      this.#offsets.set(key, [it])
    }
    const keys = [...this.#offsets.keys()].filter((key) => key.startsWith(`${group} `))
    assert.equal(found.length, keys.length, `${group} has committed for ${keys}`)
  }

  #ownerOf(record: Found): Owner {
    const sent = this.#sent.get(valueIn(record))
    assert.ok(sent)
    return sent.owner
  }
}

/** By its metadata, which is the owner's number. */
async function hasOffset(log: Log, { id, offsets }: Owner): Promise<boolean> {
  for (const { group } of offsets) {
    const found = await log.committedOffsets(group)
    if (found.some(({ metadata }) => metadata === String(id))) return true
  }
  return false
}

async function viewOf(log: Log, place: Place): Promise<View> {
  const { topic, partition } = place
  const { earliest, latest } = await log.offsets(topic, partition)
  const stable = stableOffsetOf(log, place)
  assert.ok(stable <= latest, `${stable} is above ${latest}`)
  return {
    place,
    start: earliest,
    stable,
    uncommitted: await readAll(log, place, 'read_uncommitted', earliest),
    committed: await readAll(log, place, 'read_committed', earliest),
  }
}

export function stableOffsetOf(log: Log, { topic, partition }: Place): number {
  const found = log.stableOffsets([topic]).find((each) => each.partition === partition)
  assert.ok(found)
  return found.lastStableOffset
}

export type IsolationLevel = 'read_committed' | 'read_uncommitted'

async function readAll(
  log: Log,
  { topic, partition }: Place,
  isolationLevel: IsolationLevel,
  from: number,
): Promise<Found[]> {
  const records: Found[] = []
  for (let offset = from; ; ) {
    const page = await log.fetch(topic, { partition, offset, isolationLevel })
    records.push(...page.records)
    assert.ok(page.nextOffset >= offset)
    if (page.nextOffset === offset) return records
    offset = page.nextOffset
  }
}

function placeKey({
  group,
  topic,
  partition,
}: {
  readonly group: string
  readonly topic: string
  readonly partition: number
}): string {
  return `${group} ${topic}-${partition}`
}

const valueIn = ({ value }: Found): string => String(value)

const brief = (record: Found): string => `${record.offset} ${valueIn(record).split(' ')[0]}`
