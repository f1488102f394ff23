import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { storedBatches } from '../../bench/data/stored-batches.ts'
import { Log } from '../../src/index.ts'

for (const compression of ['none', 'gzip'] as const) {
  test(`the batches of a closed log are found, ${compression}`, async (t) => {
    const directory = mkdtempSync(path.join(tmpdir(), 'brokerless-stored-'))
    t.after(() => rmSync(directory, { recursive: true }))
    const log = await Log.open(directory, { topics: { t: { value: 'string', compression } } })
    for (const count of [1, 30]) {
      await log.produce(
        't',
        Array.from({ length: count }, () => ({ value: 'a'.repeat(100) })),
      )
    }
    await log.close()

    const found = []
    for await (const batch of storedBatches(path.join(directory, 't-0'))) found.push(batch)
    assert.deepEqual(
      found.map(({ recordCount }) => recordCount),
      [1, 30],
    )
    assert.ok(found.every(({ plain, recordCount }) => plain.length > 100 * recordCount))
    const stored = found.reduce((sum, { bytes }) => sum + bytes, 0)
    assert.equal(stored, statSync(path.join(directory, 't-0/00000000000000000000.log')).size)
  })
}
