/** Gives partitions that another program wrote to a broker's log directory, as who moves to a cluster does. */
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import type { Broker } from './broker.ts'
import type { Judge, NewTopic } from './judge.ts'
import { brokerConfigOf, DECLARATIONS } from './kinds.ts'

export const CLEAN_MARKER = '.kafka_cleanshutdown'
const RECOVERY_POINTS = 'recovery-point-offset-checkpoint'
const LOG_STARTS = 'log-start-offset-checkpoint'
const HIGH_WATERMARKS = 'replication-offset-checkpoint'
/** The topic's id, which the cluster knows: with another one a broker sets the directory aside. */
const KEPT = 'partition.metadata'

/**
 * `trusting`: indexes, snapshots and epochs come along, and the broker uses them as they are. `recovering`: the broker is given the
 * data alone; it checks every batch and builds the rest.
 */
export type Trust = 'trusting' | 'recovering'

export interface AdoptedTopic extends NewTopic {
  /** The log directory that its partitions are in. */
  readonly from: string
}

/** The topics of a log of all kinds. */
export const adoptedTopics = (from: string): AdoptedTopic[] =>
  Object.entries(DECLARATIONS).map(([name, { partitions = 1 }]) => {
    return { name, partitions, config: brokerConfigOf(name), from }
  })

/** A group's partition depends on how many there are: the broker's `offsets.topic.num.partitions` must say the same. */
export const offsetsTopic = (from: string, partitions: number): AdoptedTopic => {
  return { name: '__consumer_offsets', partitions, config: { 'cleanup.policy': 'compact' }, from }
}

type Line = readonly [name: string, line: string]

/** Lines of a text checkpoint by `<topic>-<partition>`; a file may be missing or empty. */
function linesOf(file: string): Line[] {
  if (!existsSync(file)) return []
  const lines = readFileSync(file, 'utf8').split('\n').slice(2)
  return lines
    .filter((line) => line !== '')
    .map((line): Line => {
      const [topic, partition] = line.split(' ')
      return [`${topic}-${partition}`, line]
    })
}

/** Some partitions' lines are those of another checkpoint; without one, they go. */
function takeLines(file: string, names: ReadonlySet<string>, from?: string): void {
  const lines = [
    ...linesOf(file).filter(([name]) => !names.has(name)),
    ...(from === undefined ? [] : linesOf(from).filter(([name]) => names.has(name))),
  ].map(([, line]) => `${line}\n`)
  writeFileSync(file, `0\n${lines.length}\n${lines.join('')}`)
}

async function exchangeFiles(own: string, from: string, trust: Trust): Promise<void> {
  for (const name of await readdir(own)) {
    if (name !== KEPT) rmSync(path.join(own, name), { recursive: true })
  }
  for (const name of await readdir(from)) {
    const isTaken = name !== KEPT && (trust === 'trusting' || name.endsWith('.log'))
    if (isTaken) cpSync(path.join(from, name), path.join(own, name))
  }
}

const namesOf = ({ name, partitions }: NewTopic): string[] =>
  Array.from({ length: partitions }, (_, partition) => `${name}-${partition}`)

/**
 * A broker that was never started creates the topics, is stopped, is given the files, and is started on them.
 * Retention is off, and compaction is up to the topics' settings.
 */
export async function adopt(
  broker: Broker,
  judge: Judge,
  topics: readonly AdoptedTopic[],
  trust: Trust,
): Promise<void> {
  await broker.start()
  const created = topics.map(({ name, partitions, config }) => ({
    name,
    partitions,
    config: { 'retention.ms': '-1', ...config },
  }))
  await judge.ask('createTopics', { topics: created })
  await broker.stop()
  const inData = (name: string): string => path.join(broker.data, name)
  takeLines(inData(HIGH_WATERMARKS), new Set(topics.flatMap(namesOf)))
  for (const topic of topics) {
    const names = namesOf(topic)
    for (const name of names) await exchangeFiles(inData(name), path.join(topic.from, name), trust)
    takeLines(inData(LOG_STARTS), new Set(names), path.join(topic.from, LOG_STARTS))
    const recoveryPoints = trust === 'trusting' ? path.join(topic.from, RECOVERY_POINTS) : undefined
    takeLines(inData(RECOVERY_POINTS), new Set(names), recoveryPoints)
  }
  if (trust === 'recovering') rmSync(inData(CLEAN_MARKER))
  await broker.start()
}
