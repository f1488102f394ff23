import { randomBytes } from 'node:crypto'

/**
 * A new topic id: a UUID of version 4 as 22 characters of base64url, as Kafka's `Uuid.randomUuid` makes them. That none begins
 * with a dash is Kafka's rule, so that its tools take an id for no option; its two reserved ids are no version 4.
 */
export function newTopicId(random: (size: number) => Uint8Array = randomBytes): string {
  for (;;) {
    const bytes = Buffer.from(random(16))
    bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40
    bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
    const id = bytes.toString('base64url')
    if (!id.startsWith('-')) return id
  }
}
