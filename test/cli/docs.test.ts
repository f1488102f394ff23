// Holds docs/command-line.md to the help of the commands. With UPDATE_DOCS=1 in the environment it writes the help into it.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { COMMANDS } from '../../src/cli/commands.ts'
import { DAMAGE, INFORMATION, WARNINGS } from '../../src/inspect/finding.ts'
import { ran } from '../support/command-line.ts'

const FILE = path.join(import.meta.dirname, '../../docs/command-line.md')
/** `<!-- help: cat -->`, then a block with what `brokerless help cat` prints. */
const BLOCK = /^<!-- help: ?(.*?) -->\n```\n([\s\S]*?)^```$/gm

async function helpOf(name: string): Promise<string> {
  return (await ran(name === '' ? ['help'] : ['help', name])).stdout
}

/** `<!-- findings: damage -->`, then a table of the kinds. */
const TABLE = /^<!-- findings: (\w+) -->\n(?:\n\|[\s\S]*?\n(?=\n))?/gm
const FINDINGS: Readonly<Record<string, object>> = {
  damage: DAMAGE,
  warning: WARNINGS,
  information: INFORMATION,
}

function tableOf(severity = ''): string {
  const rows = Object.entries(FINDINGS[severity] ?? {}).map(
    ([kind, meaning]) => `| \`${kind}\` | ${meaning} |\n`,
  )
  return `<!-- findings: ${severity} -->\n\n| kind | meaning |\n| --- | --- |\n${rows.join('')}`
}

async function update(): Promise<void> {
  let content = readFileSync(FILE, 'utf8')
  for (const [block, name = ''] of content.matchAll(BLOCK)) {
    content = content.replace(block, () =>
      block.replace(/\n```\n[\s\S]*/, `\n\`\`\`\n${help.get(name)}\`\`\``),
    )
  }
  content = content.replace(TABLE, (_, severity) => tableOf(severity))
  writeFileSync(FILE, content)
}

const help = new Map<string, string>()
for (const name of ['', ...COMMANDS.map((entry) => entry.name)]) help.set(name, await helpOf(name))
if (process.env['UPDATE_DOCS'] === '1') await update()

const documented = new Map(
  [...readFileSync(FILE, 'utf8').matchAll(BLOCK)].map(([, name = '', text]) => [name, text]),
)

test('docs/command-line.md has every command, in the order of the help, and no other', () => {
  assert.deepEqual([...documented.keys()], [...help.keys()])
})

for (const [name, text] of help) {
  test(`docs/command-line.md has what brokerless ${name} --help prints`, () => {
    assert.equal(documented.get(name), text)
  })
}

test('docs/command-line.md has every kind of finding of verify, with what it means', () => {
  const content = readFileSync(FILE, 'utf8')
  const severities = [...content.matchAll(TABLE)].map(([table, severity]) => {
    assert.equal(table, tableOf(severity))
    return severity
  })
  assert.deepEqual(severities, Object.keys(FINDINGS))
})
