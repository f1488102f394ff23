import { LogError } from '../errors.ts'
import type { ProduceOptions } from '../options.ts'
import { resolveProduceOptions } from '../options.ts'
import { checkTopicName } from '../storage/file-names.ts'
import type { PreparedProduce } from '../topics/produce.ts'
import { prepareProduce, produceMany, produceOne, unknownTopic } from '../topics/produce.ts'
import { StickyPartitioner } from '../topics/sticky-partitioner.ts'
import { newTopic } from '../topics/stored-topic.ts'
import type { Topic } from '../topics/topic.ts'
import { resolveDeclaration } from '../topics/topic-definition.ts'
import type { Acknowledgement, BatchAcknowledgement, ProduceRecord } from '../types.ts'
import type { LogCore } from './log-core.ts'
import { codecOf } from './topic-registry.ts'

type Produced = Acknowledgement | BatchAcknowledgement[]
type OneRecord = ProduceRecord<unknown, unknown>

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
        throw new LogError('READ_ONLY', 'the log was opened with readOnly')
      }
      const topic = this.#core.topics.find(name)
      if (topic === undefined) return this.#toUnknown(name, records, given)
      const { codec, sticky, partitions } = topic
      const options = resolveProduceOptions(given)
      const isMany = Array.isArray(records)
      const list = isMany ? (records as readonly OneRecord[]) : [records as OneRecord]
      return append(topic, prepareProduce(codec, partitions.length, sticky, list, options), isMany)
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
    const declaration = resolveDeclaration(name)
    const codec = codecOf(newTopic(declaration, ''), undefined)
    const isMany = Array.isArray(records)
    const list = isMany ? (records as readonly OneRecord[]) : [records as OneRecord]
    const sticky = new StickyPartitioner(Math.random)
    const prepared = prepareProduce(codec, 1, sticky, list, resolveProduceOptions(given))
    await this.#core.topics.create(declaration)
    return append(this.#core.topics.get(name), prepared, isMany)
  }
}

function append(topic: Topic, prepared: PreparedProduce, isMany: boolean): Promise<Produced> {
  return isMany ? produceMany(topic, prepared) : produceOne(topic, prepared)
}
