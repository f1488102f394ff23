// npm run test:kafka says plainly what it needs and does not find.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'

const SCRIPT = path.join(import.meta.dirname, '../scripts/test-kafka.mjs')

/** Runs it where only these programs are found: what each prints. */
function runWith(t: { after(done: () => void): void }, programs: Record<string, string>) {
  const directory = mkdtempSync(path.join(tmpdir(), 'brokerless-'))
  t.after(() => rmSync(directory, { recursive: true }))
  for (const [name, text] of Object.entries(programs)) {
    writeFileSync(path.join(directory, name), `#!/bin/sh\necho '${text}'\n`, { mode: 0o755 })
  }
  const { status, stdout, stderr } = spawnSync(process.execPath, [SCRIPT], {
    encoding: 'utf8',
    env: { PATH: directory },
  })
  return { status, stdout, stderr }
}

const JDK = 'a JDK (java and javac) of version 17 or newer'
const told = (what: string) => ({
  status: 1,
  stdout: '',
  stderr: `npm run test:kafka needs what is not installed here: ${what}\n`,
})

test('without Java and Maven it ends with one line that names both, before it does anything', (t) => {
  assert.deepEqual(runWith(t, {}), told(`${JDK} (found: none), Maven (mvn)`))
})

test('a JDK that is too old is named with its version', (t) => {
  const programs = { javac: 'javac 11.0.2', mvn: 'Apache Maven' }
  assert.deepEqual(runWith(t, programs), told(`${JDK} (found: 11)`))
})

test('a missing Maven is named alone', (t) => {
  assert.deepEqual(runWith(t, { javac: 'javac 21.0.1' }), told('Maven (mvn)'))
})
