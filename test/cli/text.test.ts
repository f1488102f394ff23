import assert from 'node:assert/strict'
import { test } from 'node:test'
import { displayWidth, formatFields, formatTable } from '../../src/cli/table.ts'
import {
  counted,
  durationText,
  isIntegerText,
  printable,
  sizeText,
  timeText,
} from '../../src/cli/text.ts'

const COLUMNS = [{ title: 'NAME' }, { title: 'COUNT', align: 'right' as const }, { title: 'NOTE' }]

test('a table has its columns below each other, numbers at the right, and no blanks at the ends of lines', () => {
  const table = formatTable(COLUMNS, [
    ['a', 1, 'first'],
    ['much longer', 12345678, ''],
  ])
  assert.equal(
    table,
    [
      'NAME            COUNT  NOTE',
      'a                   1  first',
      'much longer  12345678',
      '',
    ].join('\n'),
  )
})

test('a table without rows is its titles', () => {
  assert.equal(formatTable(COLUMNS, [], 5), 'NAME  COUNT  NOTE\n')
})

test('on a terminal that is too narrow each row becomes a block of lines', () => {
  const rows = [
    ['a', 1, 'first'],
    ['b', 2, 'second'],
  ]
  assert.equal(formatTable(COLUMNS, rows, 19), formatTable(COLUMNS, rows))
  assert.equal(
    formatTable(COLUMNS, rows, 18),
    'NAME   a\nCOUNT  1\nNOTE   first\n\nNAME   b\nCOUNT  2\nNOTE   second\n',
  )
})

test('wide characters and accents keep the columns below each other', () => {
  assert.deepEqual(['abc', '日本', 'e\u0301', '🎉', ''].map(displayWidth), [3, 4, 1, 2, 0])
  assert.equal(
    formatTable(
      [{ title: 'A' }, { title: 'B' }],
      [
        ['日本', 1],
        ['e\u0301', 2],
      ],
    ),
    'A     B\n日本  1\ne\u0301     2\n',
  )
})

test('what a name holds cannot move the cursor or break the line', () => {
  assert.equal(printable('a\nb\t\u001b[2J\u0085\u202e'), 'a\\nb\\t\\x1b[2J\\x85\\u202e')
  assert.equal(formatFields([['GROUP', 'a\nb']]), 'GROUP  a\\nb\n')
  assert.equal(formatTable([{ title: 'A' }], [['\u001b']]), 'A\n\\x1b\n')
})

test('sizes, times and durations are written for people', () => {
  const sizes = [0, 999, 1000, 1024, 10_189, 10_240, 1_048_576, 2 ** 40 * 1.5]
  assert.deepEqual(sizes.map(sizeText), [
    '0 B',
    '999 B',
    '1.0 KiB',
    '1.0 KiB',
    '10 KiB',
    '10 KiB',
    '1.0 MiB',
    '1.5 TiB',
  ])
  assert.equal(timeText(0), '1970-01-01T00:00:00.000Z')
  assert.equal(timeText(-1), '1969-12-31T23:59:59.999Z')
  assert.equal(timeText(Number.MAX_SAFE_INTEGER), '9007199254740991')
  const durations = [0, 999, 1000, 61_000, 3_600_000, 90_061_000]
  assert.deepEqual(durations.map(durationText), [
    '0 ms',
    '999 ms',
    '1 s',
    '1 min 1 s',
    '1 h',
    '1 d 1 h',
  ])
  assert.deepEqual([counted(1, 'record'), counted(2, 'record')], ['1 record', '2 records'])
  assert.deepEqual(['1', '-7', '', '1e3', ' 1', '9007199254740993'].map(isIntegerText), [
    true,
    true,
    false,
    false,
    false,
    false,
  ])
})
