// The index of aborted transactions: Kafka's bytes, and a file that a crash may leave short but never mixed.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { CorruptLogError } from '../../src/errors.ts'
import type { AbortedTransaction } from '../../src/storage/aborted-index.ts'
import {
  AbortedIndex,
  decodeAbortedTransactions,
  encodeAbortedTransactions,
} from '../../src/storage/aborted-index.ts'
import { MemoryFileSystem } from '../../src/testing/memory-file-system.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'

const PATH = '/00000000000000000000.txnindex'

const transactions = fc
  .array(
    fc.record(
      {
        producerId: fc.nat(),
        step: fc.integer({ min: 1, max: 1e6 }),
        back: fc.nat(),
        stable: fc.nat(),
      },
      { noNullPrototype: true },
    ),
  )
  .map((list) => {
    let lastOffset = 0
    return list.map(({ producerId, step, back, stable }): AbortedTransaction => {
      lastOffset += step
      return {
        producerId,
        firstOffset: back % lastOffset,
        lastOffset,
        lastStableOffset: stable % (lastOffset + 2),
      }
    })
  })

const first = { producerId: 7, firstOffset: 3, lastOffset: 9, lastStableOffset: 10 }
const second = { producerId: 8, firstOffset: 1, lastOffset: 12, lastStableOffset: 5 }

suite('aborted transactions, as bytes', () => {
  test('what was encoded is decoded again', () => {
    fc.assert(
      fc.property(transactions, (list) => {
        const bytes = encodeAbortedTransactions(list)
        assert.equal(bytes.length, list.length * 34)
        assert.deepEqual(decodeAbortedTransactions(bytes, ''), list)
      }),
    )
  })

  test('the fields stand where Kafka has them', () => {
    const bytes = encodeAbortedTransactions([first])
    assert.equal(bytes.readInt16BE(0), 0)
    const fields = [2, 10, 18, 26].map((at) => Number(bytes.readBigInt64BE(at)))
    assert.deepEqual(fields, [7, 3, 9, 10])
  })

  test('an entry that is cut, of another version or without sense is a CorruptLogError with its position', () => {
    const whole = encodeAbortedTransactions([first, second])
    const version = Buffer.from(whole)
    version.writeInt16BE(1, 34)
    const refused: [Buffer, number][] = [
      [whole.subarray(0, 67), 34],
      [whole.subarray(0, 35), 34],
      [version, 34],
      [Buffer.concat([whole, Buffer.alloc(34)]), 68],
      [encodeAbortedTransactions([second, first]), 34],
      [encodeAbortedTransactions([{ ...first, firstOffset: 9 }]), 0],
      [encodeAbortedTransactions([{ ...first, producerId: -1 }]), 0],
      [encodeAbortedTransactions([{ ...first, lastStableOffset: 11 }]), 0],
    ]
    for (const [bytes, position] of refused) {
      assert.throws(
        () => decodeAbortedTransactions(bytes, PATH),
        (error) =>
          error instanceof CorruptLogError && error.file === PATH && error.position === position,
      )
    }
  })
})

suite('aborted index', () => {
  test('there is no file before the first entry', async () => {
    const fileSystem = new MemoryFileSystem()
    const index = new AbortedIndex(fileSystem, PATH)
    assert.deepEqual(await index.read(), [])
    await index.sync()
    await index.replace([])
    assert.deepEqual(await fileSystem.readdir('/'), [])
    index.appendSync(first)
    index.appendSync(second)
    assert.deepEqual(await index.read(), [first, second])
  })

  test('a half-written entry is written over by the next', async () => {
    const fileSystem = new FaultFileSystem()
    const index = new AbortedIndex(fileSystem, PATH)
    index.appendSync(first)
    const torn = { code: 'ENOSPC', writtenBytes: 20 }
    const heal = fileSystem.failWhen(({ name }) => (name === 'write' ? torn : undefined))
    assert.throws(() => index.appendSync(second), { code: 'ENOSPC' })
    await assert.rejects(index.read(), { code: 'CORRUPT_LOG', position: 34 })
    heal()
    index.appendSync(second)
    assert.deepEqual(await index.read(), [first, second])
  })

  test('synced entries survive a power cut', async () => {
    const fileSystem = new FaultFileSystem()
    const index = new AbortedIndex(fileSystem, PATH)
    index.appendSync(first)
    await index.sync()
    await fileSystem.syncDirectory('/')
    index.appendSync(second)
    const after = fileSystem.powerCut({ mode: 'lose-all' })
    assert.deepEqual(await new AbortedIndex(after, PATH).read(), [first])
  })

  test('a rebuild replaces what is there, and removes a file that has no entries any more', async () => {
    const fileSystem = new FaultFileSystem()
    const index = new AbortedIndex(fileSystem, PATH)
    index.appendSync(first)
    await index.replace([second])
    assert.deepEqual(await index.read(), [second])
    await index.replace([])
    const after = fileSystem.powerCut({ mode: 'lose-all' })
    assert.deepEqual(await after.readdir('/'), [])
  })

  test('a renamed index is read under its new name', async () => {
    const fileSystem = new MemoryFileSystem()
    const index = new AbortedIndex(fileSystem, PATH)
    index.appendSync(first)
    await fileSystem.rename(PATH, `${PATH}.deleted`)
    assert.deepEqual(await index.read(), [])
    index.renamed(`${PATH}.deleted`)
    assert.equal(index.path, `${PATH}.deleted`)
    assert.deepEqual(await index.read(), [first])
  })
})
