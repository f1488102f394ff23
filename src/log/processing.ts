import { Consumer } from '../groups/consumer/consumer.ts'
import type { ConsumerCloseOptions } from '../options.ts'
import { resolveDrainMs, resolveProduceOptions } from '../options.ts'
import { prepareProduce, prepareRecord, requireCodec } from '../topics/produce.ts'
import { rawTopic } from '../topics/raw-records.ts'
import type { ProcessHandler, ProcessOptions } from '../transactions/process/process-options.ts'
import { resolveProcessOptions } from '../transactions/process/process-options.ts'
import { Processor } from '../transactions/process/processor.ts'
import type { WriterContext } from '../transactions/process/transaction-writer.ts'
import { OutputWriter } from '../transactions/process/transaction-writer.ts'
import type { TransactionContext } from '../transactions/transaction.ts'
import { deadLetterOf } from './dead-letters.ts'
import { refuseInternal } from './group-offsets.ts'
import type { LogCore } from './log-core.ts'
import type { Session } from './session.ts'

/**
 * What `log.process` answers with: a promise that resolves once it is closed and what was begun is committed, and rejects with what ends it
 * otherwise; it has left the group then.
 */
export interface Processing extends Promise<void>, AsyncDisposable {
  /**
   * Hands out nothing more, waits up to `drainMs` for handlers that are at work, save one that calls it, commits what they come to, and leaves the
   * group. Safe to call again.
   */
  close(options?: ConsumerCloseOptions): Promise<void>
}

/** Outputs of a transaction stay about within one batch of a partition: more take a round of their own. */
const MAX_OUTPUT_BYTES = 768 * 1024
/** So often a sign is given of what is in hand. */
const SIGN_MS = 1000

export function beginProcess(
  session: Session,
  context: TransactionContext,
  options: ProcessOptions,
  handler: ProcessHandler,
): Processing {
  let consumer: Consumer | undefined
  const begin = async (): Promise<void> => {
    session.requireWritable()
    const { core } = session
    const { consumer: own, concurrency, ...resolved } = resolveProcessOptions(options, handler)
    const { to, policy } = resolved
    if (to !== undefined) requireOutput(core, to, own.topics)
    consumer = core.consumers.consumerOf(own)
    const { maxPollIntervalMs, group } = own
    const writing = writerContext(session, context, group, policy.deadLetterTopic)
    await Consumer.runBy(consumer, policy.deadLetterTopic, (source, signals) => {
      return new Processor({
        ...resolved,
        concurrency,
        source,
        writer: new OutputWriter(writing, { ...resolved, group }),
        clock: core.clock,
        signals,
        random: Math.random,
        maxBytes: Math.min(MAX_OUTPUT_BYTES, context.maxTransactionBytes),
        signMs: maxPollIntervalMs === 0 ? SIGN_MS : Math.min(SIGN_MS, maxPollIntervalMs / 4),
      })
    })
  }
  // Its consumer is there when this returns.
  const ended = begin()
  const close = async (given?: ConsumerCloseOptions): Promise<void> => {
    if (consumer === undefined) resolveDrainMs(given)
    else await consumer.close(given)
  }
  const dispose = async (): Promise<void> => {
    await close()
    await ended
  }
  return Object.assign(ended, { close, [Symbol.asyncDispose]: dispose })
}

/** What it writes would come back to it for ever. */
function requireOutput(core: LogCore, to: string, from: readonly (string | RegExp)[]): void {
  refuseInternal(to, 'produced to')
  core.topics.get(to)
  if (!from.some((each) => (typeof each === 'string' ? each === to : each.test(to)))) return
  throw new TypeError(`to is '${to}', which is one of from: what is written would come back`)
}

function writerContext(
  session: Session,
  context: TransactionContext,
  group: string,
  deadLetterTopic: string | undefined,
): WriterContext {
  const { core } = session
  const { topics, environment } = core
  return {
    producers: core.transactions,
    offsets: context.offsets,
    now: () => core.clock.now(),
    track: (work) => session.track(work),
    topic: (name, options) => {
      refuseInternal(name, 'produced to')
      const topic = topics.get(name)
      requireCodec(environment.codecs, options, topic.config)
      return topic
    },
    prepare: ({ codec, partitions, sticky }, records, options) =>
      prepareProduce(codec, partitions.length, sticky, records, options),
    prepareOne: ({ codec, partitions, sticky }, record, options) =>
      prepareRecord(codec, partitions.length, sticky, record, options),
    deadLetter: async (record, error) => {
      const name = deadLetterTopic ?? ''
      const { topic, partition, letter } = await deadLetterOf(topics, group, name, record, error)
      const options = resolveProduceOptions()
      requireCodec(environment.codecs, options, topic.config)
      const { key, value, headers, timestamp } = letter
      const set = { keys: [key], values: [value], headers: [headers], timestamps: [timestamp] }
      return { topic: rawTopic(topic), partition, set, options }
    },
  }
}
