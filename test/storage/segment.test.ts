import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryFileSystem } from '../../src/testing/memory-file-system.ts'
import {
  appendAll,
  openLog,
  readFileBytes,
  writeFileBytes,
} from '../support/storage-environment.ts'

const INDEX = '/data/t-0/00000000000000000000.index'

test('from the moment that it is retired a segment writes no index: the name is given to another', async () => {
  const fileSystem = new MemoryFileSystem()
  const log = await openLog(fileSystem, { config: { indexIntervalBytes: 0 } })
  await appendAll(log, ['a', 'b', 'c'])
  await log.rollNow()
  const [segment] = log.segments
  assert.ok(segment)
  // As who finds the index wrong has it: built again, and to be written in the place of the file.
  segment.replaceIndexes([0, 0], [])
  await writeFileBytes(fileSystem, INDEX, Buffer.from('another'))
  const retiring = segment.retire()
  await assert.rejects(segment.saveIndexes(), { code: 'ENOENT' })
  await retiring
  assert.equal((await readFileBytes(fileSystem, INDEX)).toString(), 'another')
  await log.close()
})
