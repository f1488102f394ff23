import assert from 'node:assert/strict'
import { test } from 'node:test'
import { codeBlocks, namedRows } from './readme.ts'

test('js and ts blocks are found, a continued one is joined, shell is not run', () => {
  const markdown = [
    '```sh',
    'npm ci',
    '```',
    '```js',
    'a()',
    '```',
    'then',
    '',
    '<!-- continues -->',
    '```js',
    'b()',
    '```',
    '```ts',
    'c()',
    '```',
  ].join('\n')
  assert.deepEqual(codeBlocks(markdown), [
    { language: 'js', code: 'a()\n\nb()\n', line: 4 },
    { language: 'ts', code: 'c()\n', line: 13 },
  ])
})

test('table rows are found by the name in their first cell', () => {
  const markdown =
    '| `HEAD` | x |\n| --- | ---: |\n| `CLOSED` | a \\| b |\n| other | y |\n| `size` | z |'
  assert.deepEqual([...namedRows(markdown, /^[A-Z_]+$/)], [['CLOSED', ['a \\| b']]])
})
