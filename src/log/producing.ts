import type { ProduceOptions, ResolvedProduceOptions } from '../options.ts'
import { resolveProduceOptions } from '../options.ts'
import { checkTopicName } from '../storage/file-names.ts'
import {
  keepProduce,
  keepRecord,
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

  /** Creates the topic first where that is wanted; the records are serialized now, as a topic without declaration would. */
  async #toUnknown(
    name: string,
    records: OneRecord | readonly OneRecord[],
    given: ProduceOptions | undefined,
  ): Promise<Produced> {
    if (!this.#autoCreate) throw unknownTopic(name)
    checkTopicName(name)
    const { topics, environment } = this.#core
    const declaration = resolveDeclaration(name, topics.isRaw ? RAW_TOPIC : undefined)
    const codec = topics.codecOf(newTopic(declaration, ''), undefined)
    const sticky = new StickyPartitioner(Math.random)
    const options = resolveCall(given)
    requireCodec(environment.codecs, options, topics.defaults)
    if (Array.isArray(records)) {
      const prepared = keepProduce(prepareProduce(codec, 1, sticky, records, options))
      await topics.create(declaration)
      return produceMany(topics.get(name), prepared)
    }
    const prepared = keepRecord(prepareRecord(codec, 1, sticky, records as OneRecord, options))
    await topics.create(declaration)
    return produceOne(topics.get(name), prepared)
  }
}

/** A call that was aborted before it was made changes nothing. */
function resolveCall(given: ProduceOptions | undefined): ResolvedProduceOptions {
  const options = resolveProduceOptions(given)
  options.signal?.throwIfAborted()
  return options
}
