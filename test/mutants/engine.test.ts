// The mutant engine itself, tried on a tiny repository.
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import type { Mutant } from './engine.ts'
import { judgeAll, mutate } from './engine.ts'

const repository = mkdtempSync(path.join(tmpdir(), 'brokerless-engine-'))
after(() => rmSync(repository, { recursive: true, force: true }))

mkdirSync(path.join(repository, 'src'))
mkdirSync(path.join(repository, 'test'))
symlinkSync(
  path.join(import.meta.dirname, '../../node_modules'),
  path.join(repository, 'node_modules'),
)
writeFileSync(path.join(repository, 'package.json'), '{ "type": "module" }')
writeFileSync(
  path.join(repository, 'src/sum.ts'),
  'export const sum = (a: number, b: number): number => a + b\nexport const unused = 1\n',
)
writeFileSync(
  path.join(repository, 'test/sum.test.ts'),
  `import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sum } from '../src/sum.ts'
test('1 + 2 (is) 3', () => assert.equal(sum(1, 2), 3))
test('nothing', () => {})
`,
)

const mutant = (change: Partial<Mutant>): Mutant => ({
  name: 'subtracts',
  file: 'src/sum.ts',
  search: 'a + b',
  replace: 'a - b',
  killedBy: { file: 'test/sum.test.ts', test: '1 + 2 (is) 3' },
  ...change,
})
const resultOf = async (change: Partial<Mutant>): Promise<string | undefined> => {
  const [outcome] = await judgeAll(repository, [mutant(change)], () => {})
  return outcome?.result
}

test('a change that its test notices is killed', async () => {
  assert.equal(await resultOf({}), 'killed')
})

test('a change that its test does not notice survives', async () => {
  assert.equal(await resultOf({ search: 'unused = 1', replace: 'unused = 2' }), 'survived')
})

test('a change after which the source does not even load survives, as no test has noticed it', async () => {
  assert.equal(await resultOf({ replace: 'a +' }), 'survived')
})

test('a test that fails without any change judges nothing', async () => {
  await assert.rejects(
    resultOf({ killedBy: { file: 'test/sum.test.ts', test: 'no such test' } }),
    /without any change this test does not pass: test\/sum.test.ts › no such test/,
  )
})

test('a search text that is not there, or there twice, is an error', () => {
  assert.throws(() => mutate('a - b', mutant({})), /stands 0 times in src\/sum.ts, not once/)
  assert.throws(() => mutate('a + b; a + b', mutant({})), /stands 2 times/)
  assert.throws(() => mutate('a + b', mutant({ replace: 'a + b' })), /changes nothing/)
})
