import type {
  IdempotentProduceOptions,
  ProduceOptions,
  ResolvedProduceOptions,
} from '../options.ts'
import { resolveIdempotentOptions, resolveProduceOptions } from '../options.ts'
import type { BatchProducer } from '../storage/append-call.ts'
import { checkTopicName } from '../storage/file-names.ts'
import {
  keepProduce,
  onlyRecordOf,
  prepareProduce,
  prepareRecord,
  produceMany,
  produceOne,
  requireCodec,
  unknownTopic,
} from '../topics/produce.ts'
import { StickyPartitioner } from '../topics/sticky-partitioner.ts'
import { newTopic } from '../topics/stored-topic.ts'
import { resolveDeclaration } from '../topics/topic-definition.ts'
import type { ProducerIdentity } from '../transactions/log-producer.ts'
import type { PreparedCall, PreparedOne } from '../transactions/transaction.ts'
import type { Acknowledgement, BatchAcknowledgement, ProduceRecord } from '../types.ts'
import { refuseInternal } from './group-offsets.ts'
import type { LogCore } from './log-core.ts'
import { readOnlyError } from './refusals.ts'

type Produced = Acknowledgement | BatchAcknowledgement[]
type OneRecord = ProduceRecord<unknown, unknown>

/** What a raw log creates for the first record of a topic: nothing is known of its bytes. */
const RAW_TOPIC = { key: 'bytes', value: 'bytes' }

/** The way from a `produce` call to the partitions. Misuse rejects, before anything is changed. */
export class Producing {
  readonly #core: LogCore
  readonly #autoCreate: boolean

  constructor(core: LogCore) {
    this.#core = core
    this.#autoCreate = core.autoCreateTopics
  }

  produce(
    name: string,
    records: OneRecord | readonly OneRecord[],
    given: ProduceOptions | undefined,
  ): Promise<Produced> {
    try {
      if (this.#core.environment.readOnly) {
        throw readOnlyError()
      }
      refuseInternal(name, 'produced to')
      const topic = this.#core.topics.find(name)
      if (topic === undefined) return this.#toUnknown(name, records, given)
      const { codec, sticky, partitions } = topic
      const options = resolveCall(given)
      requireCodec(this.#core.environment.codecs, options, topic.config)
      const count = partitions.length
      return Array.isArray(records)
        ? produceMany(topic, prepareProduce(codec, count, sticky, records, options))
        : produceOne(topic, prepareRecord(codec, count, sticky, records as OneRecord, options))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** In batches of a producer; without a sequence they get the next ones. */
  produceAs(
    { producerId, producerEpoch }: ProducerIdentity,
    name: string,
    records: OneRecord | readonly OneRecord[],
    given: IdempotentProduceOptions | undefined,
  ): Promise<Produced> {
    try {
      const { options, sequence } = resolveIdempotentOptions(given)
      options.signal?.throwIfAborted()
      const isMany = Array.isArray(records)
      const list: readonly OneRecord[] = isMany ? records : [records as OneRecord]
      const call = this.prepare(name, list, options)
      const baseSequence = sequence ?? -1
      const as: BatchProducer = { producerId, producerEpoch, baseSequence, isTransactional: false }
      const send = ({ topic, prepared }: PreparedCall): Promise<Produced> => {
        if (sequence !== undefined && prepared.sets.size > 1) {
          throw new TypeError(`${name}: sequence needs one partition: give it in the options`)
        }
        if (sequence !== undefined && topic.partitions.length > 1 && isLoose(list, options)) {
          const message = `${name}: sequence needs the partition of records without a key: sent again, they may go to another`
          throw new TypeError(message)
        }
        return isMany
          ? produceMany(topic, prepared, as)
          : produceOne(topic, onlyRecordOf(prepared), as)
      }
      return call instanceof Promise ? call.then(send) : send(call)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** Throws what is wrong with the records. A promise where the topic is created first; they have bytes of their own then. */
  prepare(
    name: string,
    records: readonly OneRecord[],
    options: ResolvedProduceOptions,
  ): PreparedCall | Promise<PreparedCall> {
    refuseInternal(name, 'produced to')
    const topic = this.#core.topics.find(name)
    if (topic === undefined) return this.#prepareForUnknown(name, records, options)
    const { codec, sticky, partitions, config } = topic
    requireCodec(this.#core.environment.codecs, options, config)
    return { topic, prepared: prepareProduce(codec, partitions.length, sticky, records, options) }
  }

  /** The same, of one record; undefined where its topic is not there. */
  prepareOne(
    name: string,
    record: OneRecord,
    options: ResolvedProduceOptions,
  ): PreparedOne | undefined {
    refuseInternal(name, 'produced to')
    const topic = this.#core.topics.find(name)
    if (topic === undefined) return undefined
    const { codec, sticky, partitions, config } = topic
    requireCodec(this.#core.environment.codecs, options, config)
    return { topic, prepared: prepareRecord(codec, partitions.length, sticky, record, options) }
  }

  async #toUnknown(
    name: string,
    records: OneRecord | readonly OneRecord[],
    given: ProduceOptions | undefined,
  ): Promise<Produced> {
    const options = resolveCall(given)
    const isMany = Array.isArray(records)
    const list = isMany ? records : [records as OneRecord]
    const { topic, prepared } = await this.#prepareForUnknown(name, list, options)
    return isMany ? produceMany(topic, prepared) : produceOne(topic, onlyRecordOf(prepared))
  }

  /** Creates the topic first where that is wanted; the records are serialized now, as a topic without declaration would. */
  async #prepareForUnknown(
    name: string,
    records: readonly OneRecord[],
    options: ResolvedProduceOptions,
  ): Promise<PreparedCall> {
    if (!this.#autoCreate) throw unknownTopic(name)
    checkTopicName(name)
    const { topics, environment } = this.#core
    const declaration = resolveDeclaration(name, topics.isRaw ? RAW_TOPIC : undefined)
    const codec = topics.codecOf(newTopic(declaration, ''), undefined)
    const sticky = new StickyPartitioner(Math.random)
    requireCodec(environment.codecs, options, topics.defaults)
    const prepared = keepProduce(prepareProduce(codec, 1, sticky, records, options))
    await topics.create(declaration)
    return { topic: topics.get(name), prepared }
  }
}

/** What says where the records go is not the call itself. */
function isLoose(records: readonly OneRecord[], { partition }: ResolvedProduceOptions): boolean {
  if (partition !== undefined) return false
  return records.some((each) => each.partition === undefined && (each.key ?? null) === null)
}

/** A call that was aborted before it was made changes nothing. */
function resolveCall(given: ProduceOptions | undefined): ResolvedProduceOptions {
  const options = resolveProduceOptions(given)
  options.signal?.throwIfAborted()
  return options
}
