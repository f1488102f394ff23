// W8: from an append to its delivery to a reader that waits for it in the same process, at 'os'.
import { openSync, readSync, writeSync } from 'node:fs'
import path from 'node:path'
import { seededBytes } from './data.ts'
import { openLog, TOPIC } from './library.ts'
import type { Measurement } from './measure.ts'
import { percentile } from './measure.ts'
import { encodeBatch } from './raw-log.ts'

const WARM_UP = 2000
const COUNT = 20_000
const VALUE_BYTES = 100

/** A write, a promise resolved, and a read of what was written. */
export async function deliverRaw(directory: string): Promise<Measurement> {
  const buffer = Buffer.allocUnsafeSlow(1024)
  const record = { key: Buffer.alloc(0), value: seededBytes(VALUE_BYTES) }
  const batch = buffer.subarray(0, encodeBatch(buffer, 0, 0, [record]))
  const target = Buffer.allocUnsafeSlow(1024)
  const descriptor = openSync(path.join(directory, 'raw.log'), 'w+')
  return measure((index) => {
    let wake = (): void => {}
    const delivered = new Promise<void>((resolve) => {
      wake = resolve
    }).then(() => {
      readSync(descriptor, target, 0, batch.length, index * batch.length)
      return performance.now()
    })
    const append = (): void => {
      writeSync(descriptor, batch, 0, batch.length, index * batch.length)
      wake()
    }
    return { append, delivered }
  })
}

/** A long poll: `fetch` with `maxWaitMs`. */
export async function deliverFetch(directory: string): Promise<Measurement> {
  const value = seededBytes(VALUE_BYTES)
  const log = await openLog(directory)
  const result = await measure((offset) => {
    const page = log.fetch(TOPIC, { partition: 0, offset, maxWaitMs: 10_000 })
    const delivered = page.then(({ records }) => {
      const now = performance.now()
      if (records.length !== 1) throw new Error(`${records.length} records came`)
      return now
    })
    return { append: () => log.produce(TOPIC, { value }, { partition: 0 }), delivered }
  })
  await log.close()
  return result
}

/** A live `for await` over `read`, driven by hand. */
export async function deliverRead(directory: string): Promise<Measurement> {
  const value = seededBytes(VALUE_BYTES)
  const log = await openLog(directory)
  const records = log.read(TOPIC, { partition: 0 })[Symbol.asyncIterator]()
  const result = await measure((offset) => {
    const delivered = records.next().then((next) => {
      const now = performance.now()
      if (next.done === true || next.value.offset !== offset) throw new Error('another record came')
      return now
    })
    return { append: () => log.produce(TOPIC, { value }, { partition: 0 }), delivered }
  })
  await log.close()
  return result
}

interface Delivery {
  readonly append: () => unknown
  /** When the reader had the record, by `performance.now()`. */
  readonly delivered: Promise<number>
}

/** Microseconds, with the reader waiting before each append. */
async function measure(prepare: (index: number) => Delivery): Promise<Measurement> {
  const micros = new Float64Array(COUNT)
  for (let index = 0; index < WARM_UP + COUNT; index += 1) {
    const { append, delivered } = prepare(index)
    await new Promise((resolve) => setImmediate(resolve))
    const began = performance.now()
    const acknowledged = append()
    const took = (await delivered) - began
    await acknowledged
    if (index >= WARM_UP) micros[index - WARM_UP] = took * 1000
  }
  micros.sort()
  return { value: percentile(micros, 0.5), p99: percentile(micros, 0.99) }
}
