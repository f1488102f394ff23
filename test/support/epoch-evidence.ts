// What one partition's terms have written, seen over crashes: no epoch and offset may have two contents.
import assert from 'node:assert/strict'
import { checkBatch, readBatchHeader } from '../../src/codec/batch.ts'
import type { FileSystem, Log } from '../../src/index.ts'
import { readFileBytes } from './storage-environment.ts'

export interface WrittenBatch {
  readonly epoch: number
  readonly baseOffset: number
  readonly lastOffset: number
  /** From behind the CRC on. */
  readonly content: string
}

/** The whole batches in the files of a partition's directory, past whatever is none. */
export async function batchesIn(
  fileSystem: FileSystem,
  directory: string,
): Promise<WrittenBatch[]> {
  if ((await fileSystem.stat(directory)) === undefined) return []
  const batches: WrittenBatch[] = []
  const names = (await fileSystem.readdir(directory)).filter((name) => name.endsWith('.log'))
  for (const name of names.sort()) {
    const bytes = await readFileBytes(fileSystem, `${directory}/${name}`)
    for (let at = 0; at < bytes.length; ) {
      if (checkBatch(bytes, at, bytes.length - at) !== undefined) {
        at += 1
        continue
      }
      const header = readBatchHeader(bytes, at)
      const { partitionLeaderEpoch: epoch, baseOffset, lastOffset, sizeBytes } = header
      const content = bytes.toString('latin1', at + 21, at + sizeBytes)
      batches.push({ epoch, baseOffset, lastOffset, content })
      at += sizeBytes
    }
  }
  return batches
}

export class EpochEvidence {
  /** By epoch and offset. */
  readonly #contents = new Map<string, string>()
  #greatest = -1

  /** What is in the files, acknowledged or not. */
  wrote(where: string, batches: readonly WrittenBatch[]): void {
    for (const { epoch, baseOffset, content } of batches) {
      const place = `${where}: epoch ${epoch}, offset ${baseOffset}`
      const before = this.#contents.get(place)
      assert.ok(before === undefined || before === content, `${place} has two contents`)
      this.#contents.set(place, content)
      this.#greatest = Math.max(this.#greatest, epoch)
    }
  }

  /** The answers of a log that was just opened, against its batches; after a crash its epoch is one that no batch has ever had. */
  async check(log: Log, topic: string, batches: readonly WrittenBatch[]): Promise<void> {
    const description = (await log.describeTopic(topic)).partitions[0]
    assert.ok(description !== undefined)
    const { leaderEpoch, logEndOffset, logStartOffset } = description
    const known = batches.filter(({ lastOffset }) => lastOffset >= logStartOffset)
    const isNew = this.#greatest < leaderEpoch
    assert.ok(log.recovery.clean || isNew, `${topic} goes on with epoch ${leaderEpoch}`)
    assert.ok(this.#greatest <= leaderEpoch, `${topic} goes back to epoch ${leaderEpoch}`)
    for (const [index, { epoch, lastOffset }] of known.entries()) {
      const found = await log.endOffsetForEpoch(topic, { partition: 0, leaderEpoch: epoch })
      const where = `${topic}: epoch ${epoch} ends at ${found?.endOffset}`
      assert.equal(found?.leaderEpoch, epoch, where)
      const next = known[index + 1]
      // Behind a batch that is damaged the next one may be of a later epoch, which began before it.
      const isWithin =
        next === undefined || next.epoch === epoch || found.endOffset <= next.baseOffset
      assert.ok(found.endOffset > lastOffset && found.endOffset <= logEndOffset && isWithin, where)
      if (epoch === leaderEpoch) assert.equal(found.endOffset, logEndOffset, where)
    }
  }
}
