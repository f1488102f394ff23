/** Kafka's own clients (java/Judge.java) in a process of their own, asked by lines of JSON. */
import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { startJava } from './java.ts'
import type { SeenPartition, SeenRecord, SentRecord } from './records.ts'
import { endWithThisFile, within } from './scratch.ts'

const LONGEST_MS = 90_000

export interface NewTopic {
  readonly name: string
  readonly partitions: number
  readonly config: Readonly<Record<string, string>>
}

/** A record as a consumer is given it. */
export interface ConsumedRecord extends SeenRecord {
  readonly timestampType: 'CreateTime' | 'LogAppendTime'
  /** -1: not known. */
  readonly leaderEpoch: number
}

export interface ConsumedPartition extends SeenPartition {
  readonly records: readonly ConsumedRecord[]
}

export interface JudgedOffset {
  readonly offset: number
  readonly metadata: string
  /** -1: none. */
  readonly leaderEpoch: number
}

/** By group and partition. */
export type JudgedOffsets = Record<string, Record<string, JudgedOffset>>

/** A group as Kafka's Admin describes it. */
export interface JudgedGroup {
  readonly state: string
  readonly assignor: string
  readonly members: readonly {
    readonly memberId: string
    readonly groupInstanceId: string | null
    readonly clientId: string
    readonly host: string
    readonly partitions: readonly string[]
  }[]
}

/** Kafka's own names of producer and consumer settings. */
export type Settings = Readonly<Record<string, string>>

export interface StormResult {
  readonly partition: string
  /** Offset and number of each record that was acknowledged. */
  readonly acknowledged: readonly (readonly [offset: number, number: number])[]
}

/** What an assignor is given. */
export interface JudgedInput {
  readonly members: readonly {
    readonly memberId: string
    readonly groupInstanceId: string | null
    readonly topics: readonly string[]
    readonly owned: readonly string[]
  }[]
  readonly partitionCounts: Readonly<Record<string, number>>
}

/** What a consumer is given of transactions. */
export type Isolation = 'read_committed' | 'read_uncommitted'

/** What can be asked, and what is answered. Partitions are `<topic>-<number>`. */
interface Questions {
  format: [{ clusterId: string; properties: string }, null]
  connect: [{ bootstrap: string }, null]
  disconnect: [object, null]
  createTopics: [{ topics: readonly NewTopic[] }, null]
  alterTopic: [{ name: string; config: Settings }, null]
  deleteRecords: [{ partition: string; before: number }, null]
  consume: [
    { partitions: readonly string[]; isolation: Isolation },
    Record<string, ConsumedPartition>,
  ]
  offsetsForTimes: [
    { times: Readonly<Record<string, readonly number[]>> },
    Record<string, (number | null)[]>,
  ]
  epochEnds: [
    { epochs: Readonly<Record<string, number>> },
    Record<string, [leaderEpoch: number, endOffset: number][]>,
  ]
  latestByMaxTimestamp: [
    { partitions: readonly string[] },
    Record<string, { offset: number; timestamp: number }>,
  ]
  producers: [
    { partitions: readonly string[] },
    Record<string, [producerId: number, producerEpoch: number, lastSequence: number][]>,
  ]
  produce: [
    { partition: string; settings: Settings; records: readonly SentRecord[] },
    [offset: number, timestamp: number][],
  ]
  transaction: [
    {
      partition: string
      settings: Settings
      records: readonly SentRecord[]
      end: 'commit' | 'abort' | 'open'
    },
    [offset: number, timestamp: number][],
  ]
  groupOffsets: [object, JudgedOffsets]
  commit: [{ group: string; offsets: Readonly<Record<string, JudgedOffset>> }, null]
  readAsGroup: [
    { group: string; settings: Settings; topics: readonly string[]; count: number },
    { generation: number; committed: Record<string, number> },
  ]
  describeGroups: [{ groups: readonly string[] }, Record<string, JudgedGroup>]
  startStorm: [
    { writers: readonly { partition: string; settings: Settings }[]; until: number },
    null,
  ]
  stopStorm: [object, StormResult[]]
  assign: [
    { assignor: string; inputs: readonly JudgedInput[] },
    Record<string, readonly string[]>[],
  ]
}

interface Waiting {
  resolve(result: unknown): void
  reject(error: Error): void
}

/** One at a time is enough for a test file; it ends with the file, at the latest. */
export class Judge {
  readonly #process: ChildProcess & { stdin: NodeJS.WritableStream }
  readonly #waiting: Waiting[] = []
  #said = ''

  constructor() {
    const child = startJava('Judge', [], 'warn')
    endWithThisFile(child)
    this.#process = child
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#said += text
    })
    createInterface({ input: child.stdout }).on('line', (line) => this.#answer(line))
    child.on('error', (error) => this.#fail(error))
    child.on('exit', () => this.#fail(new Error(`the judge has ended: ${this.#said.slice(-4000)}`)))
  }

  ask<Q extends keyof Questions>(command: Q, request: Questions[Q][0]): Promise<Questions[Q][1]> {
    const answer = new Promise<unknown>((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
    })
    this.#process.stdin.write(`${JSON.stringify({ command, ...request })}\n`)
    const named = answer.catch((cause: unknown) => {
      throw new Error(`${command}: ${cause instanceof Error ? cause.message : cause}`, { cause })
    })
    return within(LONGEST_MS, `the judge answers ${command}`, named) as Promise<Questions[Q][1]>
  }

  close(): void {
    this.#process.stdin.end()
  }

  #answer(line: string): void {
    const { result, error } = JSON.parse(line) as { result?: unknown; error?: string }
    const waiting = this.#waiting.shift()
    if (error === undefined) waiting?.resolve(result)
    else waiting?.reject(new Error(error))
  }

  #fail(error: Error): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error)
  }
}
