/** Kafka's topics of its own, which brokers keep for themselves. */
const INTERNAL_TOPICS: ReadonlySet<string> = new Set(['__consumer_offsets', '__transaction_state'])

/** Nobody produces to it, consumes it or changes it but the log itself. */
export function isInternalTopic(name: string): boolean {
  return INTERNAL_TOPICS.has(name)
}
