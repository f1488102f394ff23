// What tests of consumers share: a filled topic, records taken by hand, and what was committed.
import type { Log } from '../../src/index.ts'
import type { Place } from './on-disk-and-in-memory.ts'

export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** True where the call has not settled after some turns of the event loop. */
export async function isWaiting(call: Promise<unknown>, turns = 20): Promise<boolean> {
  let settled = false
  const done = (): void => {
    settled = true
  }
  call.then(done, done)
  for (let turn = 0; turn < turns; turn += 1) await nextTurn()
  return !settled
}

/** A log with the topic t: in each partition records 0 to count - 1, a batch each, with their number as value and 1000 + 10 times it as timestamp. */
export async function filled(place: Place, partitions: number, count: number): Promise<Log> {
  const log = (await place.open({ topics: { t: { partitions } } })) as unknown as Log
  await fill(log, 't', partitions, count)
  return log
}

export async function fill(
  log: Log,
  topic: string,
  partitions: number,
  count: number,
  first = 0,
): Promise<void> {
  for (let n = first; n < first + count; n += 1) {
    for (let partition = 0; partition < partitions; partition += 1) {
      await log.produce(topic, { value: n, partition, timestamp: 1000 + 10 * n })
    }
  }
}

/** The next `count` of an iterator. */
export async function take<R>(iterator: AsyncIterator<R>, count: number): Promise<R[]> {
  const taken: R[] = []
  while (taken.length < count) {
    const { value, done } = await iterator.next()
    if (done === true) break
    taken.push(value)
  }
  return taken
}

/** What a group has committed: the next offset by `<topic>-<partition>`. */
export async function committedBy(log: Log, group: string): Promise<Record<string, number>> {
  const offsets = await log.committedOffsets(group)
  return Object.fromEntries(
    offsets.map(({ topic, partition, offset }) => [`${topic}-${partition}`, offset]),
  )
}
