// Every example runs, in a directory of its own, and ends with the words its last comment promises.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'

const ROOT = path.join(import.meta.dirname, '..')
const EXAMPLES = path.join(ROOT, 'examples')
const TSX = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href
const MAX_LINES = 70
/** The last line of an example: what it prints last. */
const PROMISE = /^\/\/ prints last: (.+)$/

const examples = readdirSync(EXAMPLES).filter((name) => name.endsWith('.ts'))

test('there are examples, numbered in reading order', () => {
  assert.ok(examples.length > 0)
  for (const name of examples) assert.match(name, /^\d\d-[a-z-]+\.ts$/)
})

for (const name of examples) {
  test(`examples/${name} runs and prints what it promises`, (t) => {
    const file = path.join(EXAMPLES, name)
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
    const promised = PROMISE.exec(lines.at(-1) ?? '')?.[1]
    assert.ok(promised, 'its last line is a comment "// prints last: …"')
    assert.ok(lines.length <= MAX_LINES, `${lines.length} lines`)

    const cwd = mkdtempSync(path.join(tmpdir(), 'brokerless-example-'))
    t.after(() => rmSync(cwd, { recursive: true, force: true }))
    const { NODE_TEST_CONTEXT: _, ...env } = process.env
    const run = spawnSync(process.execPath, ['--import', TSX, file], {
      cwd,
      env: { ...env, TSX_TSCONFIG_PATH: path.join(ROOT, 'tsconfig.json') },
      encoding: 'utf8',
      timeout: 60_000,
    })
    assert.equal(run.status, 0, run.stderr)
    assert.equal(run.stdout.trimEnd().split('\n').at(-1), promised)
  })
}
