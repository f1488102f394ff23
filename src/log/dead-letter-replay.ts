import { checkGroup } from '../groups/commit-checks.ts'
import { originOf } from '../groups/consumer/run/dead-letters.ts'
import type { Codecs } from '../storage/environment.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import { readRecords } from '../topics/partition-reader.ts'
import { appendRaw, rawTopic } from '../topics/raw-records.ts'
import type { Topic } from '../topics/topic.ts'
import type { LogRecord } from '../types.ts'
import { checkNames, checkObject, checkSignal } from '../util/check.ts'
import { Mutex } from '../util/mutex.ts'
import { nextTurn, turnIsLong } from '../util/turn.ts'
import type { GroupOffsets } from './group-offsets.ts'
import { refuseInternal } from './group-offsets.ts'
import type { TopicRegistry } from './topic-registry.ts'

export interface ReplayOptions {
  /** Remembers what was replayed. Default: `<topic>.replay`. */
  readonly group?: string
  /** Ends it between two pages: what was replayed by then is committed. */
  readonly signal?: AbortSignal | undefined
}

/** What a replay came to, in records of the dead-letter topic. */
export interface DeadLetterReplay {
  readonly replayed: number
  /** Without the headers of a dead letter: left where they are. */
  readonly passed: number
}

const OPTIONS: ReadonlySet<string> = new Set<keyof ReplayOptions>(['group', 'signal'])
const PAGE_BYTES = 1024 * 1024

/**
 * Brings dead letters back to where they come from. Those of a page are appended, and when all are acknowledged they are committed, at `'disk'`: a kill between
 * the two, or an append that fails, replays that page again, and nothing else is replayed twice.
 */
export class DeadLetterReplays {
  readonly #topics: TopicRegistry
  readonly #offsets: GroupOffsets
  readonly #codecs: Codecs
  /** Two of one group at once would replay the same. */
  readonly #turns = new Mutex()

  constructor(topics: TopicRegistry, offsets: GroupOffsets, codecs: Codecs) {
    this.#topics = topics
    this.#offsets = offsets
    this.#codecs = codecs
  }

  async replay(name: string, given: ReplayOptions = {}): Promise<DeadLetterReplay> {
    checkObject('the options of replayDeadLetters', given)
    checkNames('replayDeadLetters', given, OPTIONS)
    const { group = `${name}.replay` } = given
    checkGroup(group)
    const signal = checkSignal('signal', given.signal)
    refuseInternal(name, 'replayed')
    const topic = this.#topics.get(name)
    return await this.#turns.run(async () => {
      const sum = { replayed: 0, passed: 0 }
      for (const log of [...topic.partitions]) {
        await this.#replayPartition(topic, log, group, signal, sum)
      }
      return sum
    })
  }

  /** Up to what is its end as this begins. */
  async #replayPartition(
    topic: Topic,
    log: PartitionLog,
    group: string,
    signal: AbortSignal | undefined,
    sum: { replayed: number; passed: number },
  ): Promise<void> {
    const at = { topic: topic.name, partition: log.partition }
    const end = log.lastStableOffset
    const committed = (await this.#offsets.committed(group)).find(
      (each) => each.topic === at.topic && each.partition === at.partition,
    )
    let offset = committed?.offset ?? 0
    for (;;) {
      signal?.throwIfAborted()
      offset = Math.max(offset, log.logStartOffset)
      if (offset >= end) return
      const request = {
        offset,
        end,
        maxBytes: PAGE_BYTES,
        maxRecords: 500,
        onCorrupt: 'throw',
      } as const
      const page = await readRecords(rawTopic(topic), log, request)
      const letters = page.records as unknown as readonly LogRecord<Buffer, Buffer>[]
      const { replayed, passed, refused } = await this.#append(letters)
      sum.replayed += replayed
      sum.passed += passed
      offset = refused?.offset ?? page.nextOffset
      await this.#offsets.commit(group, [{ ...at, offset }], 'disk')
      if (refused !== undefined) throw refused.error
      if (turnIsLong()) await nextTurn()
    }
  }

  /** Up to one that cannot go back to where it comes from. */
  async #append(letters: readonly LogRecord<Buffer, Buffer>[]): Promise<Appended> {
    const appends: Promise<void>[] = []
    let passed = 0
    let refused: Appended['refused']
    for (const { offset, key, value, headers } of letters) {
      const origin = originOf(headers)
      if (origin === undefined) {
        passed += 1
        continue
      }
      try {
        const topic = this.#topics.get(origin.topic)
        const { partition } = topic.partition(origin.partition)
        const record = { key, value, headers: origin.headers, timestamp: origin.timestamp }
        appends.push(appendRaw(topic, this.#codecs, partition, record))
      } catch (error) {
        refused = { offset, error }
        break
      }
    }
    // All are waited for: what fails must not leave others under way.
    for (const each of await Promise.allSettled(appends)) {
      if (each.status === 'rejected') throw each.reason
    }
    return { replayed: appends.length, passed, refused }
  }
}

interface Appended {
  readonly replayed: number
  readonly passed: number
  readonly refused: { readonly offset: number; readonly error: unknown } | undefined
}
