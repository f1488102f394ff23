/** Times that no record has, at which a broker looks all the same. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { readBatches } from '../support/kafka-files.ts'

const MAX_TIMESTAMP_AT = 35

/**
 * A broker looks for a time in the first segment that is as late, and nowhere else. Of a batch that compaction has left without records the
 * time still counts in an index that the broker builds; a segment in which no batch has records is as late as its file. Up to the
 * answered times a broker may say that there is none, though there is one behind them.
 */
export function nobodysTimes(partition: string): { readonly timestamp: number }[] {
  const times: number[] = []
  const files = readdirSync(partition).filter((name) => name.endsWith('.log'))
  const newest = files.sort().at(-1)
  for (const name of files) {
    const file = path.join(partition, name)
    const batches = readBatches(readFileSync(file))
    const empty = batches.filter(({ count }) => count === 0)
    for (const { bytes } of empty) times.push(Number(bytes.readBigInt64BE(MAX_TIMESTAMP_AT)))
    if (name !== newest && empty.length === batches.length) times.push(statSync(file).mtimeMs)
  }
  return times.map((timestamp) => ({ timestamp }))
}
