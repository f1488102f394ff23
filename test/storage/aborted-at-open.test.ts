// What an open knows of aborted transactions: from their files, from the batches where a file is damaged, and beside a writer.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { PartitionLog } from '../../src/storage/partition-log.ts'
import { MemoryFileSystem } from '../../src/testing/memory-file-system.ts'
import {
  ABORT,
  COMMIT,
  FIRST_ID,
  IN_TRANSACTION,
  startProducing,
  storedAborted,
} from '../support/producer-calls.ts'
import {
  appendAll,
  directoryContent,
  openLog,
  readFileBytes,
  writeFileBytes,
} from '../support/storage-environment.ts'

const DIRECTORY = '/data/t-0'
const file = (base: number, kind: string): string =>
  `${DIRECTORY}/${String(base).padStart(20, '0')}.${kind}`

async function produce(
  log: PartitionLog,
  by: Parameters<typeof startProducing>[1],
  ...values: string[]
): Promise<void> {
  await startProducing(log, by, values).done
}

function end(log: PartitionLog, producerId: number = FIRST_ID): void {
  log.visible.release(producerId)
}

/** The offsets below the end whose batches, were they of the first producer's transactions, would be of aborted ones. */
function abortedOffsets(log: PartitionLog): number[] {
  const offsets = Array.from({ length: log.logEndOffset }, (_, offset) => offset)
  return offsets.filter((offset) => log.visible.isAborted(FIRST_ID, offset))
}

/**
 * In the first segment: 0 aborted, its marker 1; 2 committed, 3. Over two: 4 aborted, 5 (a plain one, in the second segment), 6. In the third: 7 aborted, 8;
 * 9 undecided.
 */
async function written(): Promise<MemoryFileSystem> {
  const fileSystem = new MemoryFileSystem()
  const log = await openLog(fileSystem)
  await produce(log, ABORT, 'no')
  end(log)
  await produce(log, COMMIT, 'yes')
  end(log)
  await produce(log, IN_TRANSACTION, 'no')
  await log.rollNow()
  await appendAll(log, ['plain'])
  await produce(log, ABORT)
  end(log)
  await log.rollNow()
  await produce(log, ABORT, 'no')
  end(log)
  await produce(log, IN_TRANSACTION, 'not yet')
  await log.close()
  return fileSystem
}

const cut = (bytes: Buffer): Buffer => bytes.subarray(0, -1)
const turned = (bytes: Buffer): Buffer => Buffer.concat([Buffer.of(0x7f), bytes.subarray(1)])
const ABORTED = [0, 1, 4, 5, 6, 7, 8]

suite('an open', () => {
  for (const [name, options] of [
    ['behind a clean close', { isClean: true, recoveryPoint: 10 }],
    ['of a log that was killed', { recoveryPoint: 0 }],
    ['of a log that was killed, most of it synced', { recoveryPoint: 7 }],
    ['beside a writer', { readOnly: true }],
  ] as const) {
    test(`${name} knows what was aborted, and holds what is undecided`, async () => {
      const log = await openLog(await written(), options)
      assert.deepEqual(abortedOffsets(log), ABORTED)
      assert.deepEqual([log.lastStableOffset, log.highWatermark], [9, 10])
      assert.deepEqual(
        log.report.rebuilt.filter((each) => each.endsWith('.txnindex')),
        [],
      )
      await log.close()
    })

    // Behind the clean marker, or below the recovery point, no batch of the segment would be looked at.
    for (const base of [0, 5, 7]) {
      test(`${name} takes it from the batches where the file of segment ${base} is damaged`, async () => {
        for (const damaged of [cut, turned]) {
          const fileSystem = await written()
          const path = file(base, 'txnindex')
          const before = await storedAborted(fileSystem, DIRECTORY)
          await writeFileBytes(fileSystem, path, damaged(await readFileBytes(fileSystem, path)))
          const content = await directoryContent(fileSystem, DIRECTORY)
          const log = await openLog(fileSystem, options)
          assert.deepEqual(abortedOffsets(log), ABORTED)
          assert.equal(log.lastStableOffset, 9)
          const isReader = 'readOnly' in options
          assert.equal(log.report.rebuilt.includes(path), !isReader)
          if (isReader) assert.deepEqual(await directoryContent(fileSystem, DIRECTORY), content)
          else assert.deepEqual(await storedAborted(fileSystem, DIRECTORY), before)
          await log.close()
        }
      })
    }
  }

  test('leaves out what ended below the log start, and forgets what retention passes', async () => {
    const log = await openLog(await written(), {
      isClean: true,
      recoveryPoint: 10,
      logStartOffset: 2,
    })
    assert.deepEqual(abortedOffsets(log), [4, 5, 6, 7, 8])
    log.moveLogStart(6)
    // The transaction at 4 ends here.
    assert.deepEqual(abortedOffsets(log), [4, 5, 6, 7, 8])
    log.moveLogStart(7)
    assert.deepEqual(abortedOffsets(log), [7, 8])
    log.moveLogStart(9)
    assert.equal(log.visible.hasAborted, false)
    await log.close()
  })

  test('counts a transaction that began before the first segment from the first batch that is left, where its file is damaged', async () => {
    const fileSystem = await written()
    for (const name of await fileSystem.readdir(DIRECTORY)) {
      if (name.startsWith('0'.repeat(20))) await fileSystem.unlink(`${DIRECTORY}/${name}`)
    }
    const path = file(7, 'txnindex')
    await writeFileBytes(fileSystem, path, (await readFileBytes(fileSystem, path)).subarray(3))
    const log = await openLog(fileSystem, { isClean: true, recoveryPoint: 10 })
    assert.deepEqual([log.logStartOffset, log.lastStableOffset], [5, 9])
    assert.deepEqual(
      abortedOffsets(log).filter((each) => each >= 7),
      [7, 8],
    )
    await log.close()
  })
})

suite('a reader beside a writer', () => {
  const SMALL = { config: { segmentBytes: 2000, durability: 'os' } } as const

  test('holds a transaction from its first batch on, and releases it at its marker', async () => {
    const fileSystem = new MemoryFileSystem()
    const writer = await openLog(fileSystem, SMALL)
    const reader = await openLog(fileSystem, { ...SMALL, readOnly: true })
    const ends: [number, number][] = []
    const look = async (): Promise<void> => {
      await reader.poll(0)
      ends.push([reader.lastStableOffset, reader.highWatermark])
    }
    await appendAll(writer, ['a'])
    await look()
    await produce(writer, IN_TRANSACTION, 'b')
    await look()
    await produce(writer, { ...IN_TRANSACTION, producerId: FIRST_ID + 1 }, 'c')
    await appendAll(writer, ['d'])
    await look()
    await produce(writer, ABORT)
    await look()
    await produce(writer, { ...COMMIT, producerId: FIRST_ID + 1 })
    await look()
    assert.deepEqual(ends, [
      [1, 1],
      [1, 2],
      [1, 4],
      [2, 5],
      [6, 6],
    ])
    assert.deepEqual(abortedOffsets(reader), [1, 2, 3, 4])
    assert.equal(reader.producers.get(FIRST_ID)?.currentTxnFirstOffset, undefined)
    await reader.close()
    await writer.close()
  })

  test('knows what ended in segments that it never saw, also where they are gone', async () => {
    const fileSystem = new MemoryFileSystem()
    const writer = await openLog(fileSystem, SMALL)
    await produce(writer, IN_TRANSACTION, 'a')
    const reader = await openLog(fileSystem, { ...SMALL, readOnly: true })
    assert.equal(reader.lastStableOffset, 0)
    await produce(writer, ABORT)
    end(writer)
    for (let round = 0; round < 40; round += 1) {
      await produce(writer, round % 3 === 0 ? ABORT : COMMIT, 'x'.repeat(200))
      end(writer)
    }
    await produce(writer, { ...IN_TRANSACTION, producerId: FIRST_ID + 1 }, 'z')
    assert.ok(writer.segments.length > 4)
    const middle = writer.segments[2]?.baseOffset ?? 0
    writer.moveLogStart(middle)
    await writer.deleteSegmentsBelow(middle)
    await reader.poll(middle)
    assert.deepEqual(
      [reader.logStartOffset, reader.lastStableOffset, reader.highWatermark],
      [middle, writer.lastStableOffset, writer.highWatermark],
    )
    const known = abortedOffsets(writer).filter((offset) => offset >= middle)
    assert.deepEqual(
      abortedOffsets(reader).filter((offset) => offset >= middle),
      known,
    )
    assert.ok(known.length > 10)
    await reader.close()
    await writer.close()
  })

  test('follows a writer that was killed, and its successor, which aborts what was undecided', async () => {
    const fileSystem = new MemoryFileSystem()
    const killed = await openLog(fileSystem, SMALL)
    await produce(killed, IN_TRANSACTION, 'a')
    const reader = await openLog(fileSystem, { ...SMALL, readOnly: true })
    // Half a batch at the end, which the next writer cuts off and writes over.
    const bytes = await readFileBytes(fileSystem, file(0, 'log'))
    const handle = fileSystem.openSync(file(0, 'log'), 'write')
    handle.writeSync(bytes, 0, bytes.length - 5, bytes.length)
    handle.closeSync()
    await reader.poll(0)
    assert.deepEqual([reader.lastStableOffset, reader.highWatermark], [0, 1])
    const successor = await openLog(fileSystem, SMALL)
    assert.equal(successor.lastStableOffset, 0)
    await produce(successor, ABORT)
    end(successor)
    await appendAll(successor, ['b'])
    await reader.poll(0)
    assert.deepEqual([reader.lastStableOffset, reader.highWatermark], [3, 3])
    assert.deepEqual(abortedOffsets(reader), [0, 1])
    await reader.close()
    await successor.close()
    await killed.close().catch(() => {})
  })
})
