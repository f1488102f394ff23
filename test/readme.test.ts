// Holds the README to the code: its examples compile and run, its tables are those of the source.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { ERROR_CODES } from '../src/errors.ts'
import { resolveLogOptions, TOPIC_CONFIG_DEFAULTS } from '../src/options.ts'
import { codeBlocks, namedRows } from './support/readme.ts'

const ROOT = path.join(import.meta.dirname, '..')
const README = readFileSync(path.join(ROOT, 'README.md'), 'utf8')
const TSX = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href
const TSC = path.join(ROOT, 'node_modules/.bin/tsc')

const project = mkdtempSync(path.join(tmpdir(), 'brokerless-readme-'))
after(() => rmSync(project, { recursive: true, force: true }))

const examples = codeBlocks(README).map((block) => ({
  ...block,
  file: `line-${block.line}.${block.language === 'js' ? 'mjs' : 'ts'}`,
}))

/** A user's project, in which the package is this repository's source. */
function layOut(): void {
  const modules = path.join(project, 'node_modules')
  const installed = path.join(modules, 'brokerless')
  mkdirSync(installed, { recursive: true })
  symlinkSync(path.join(ROOT, 'src'), path.join(installed, 'src'))
  symlinkSync(path.join(ROOT, 'node_modules/@types'), path.join(modules, '@types'))
  const exports = { '.': './src/index.ts', './testing': './src/testing/index.ts' }
  const write = (file: string, content: unknown): void =>
    writeFileSync(path.join(project, file), JSON.stringify(content))
  write('node_modules/brokerless/package.json', { name: 'brokerless', type: 'module', exports })
  write('package.json', { type: 'module' })
  const compilerOptions = {
    allowJs: true,
    checkJs: true,
    noImplicitAny: false,
    noUnusedLocals: false,
    rootDir: '/',
    paths: {},
  }
  write('tsconfig.json', {
    extends: path.join(ROOT, 'tsconfig.json'),
    compilerOptions,
    include: ['*.ts', '*.mjs'],
  })
  for (const { file, code } of examples) writeFileSync(path.join(project, file), code)
}

before(layOut)

test('the README has examples', () => {
  assert.ok(examples.length > 0)
})

test('the examples of the README compile', () => {
  const { status, stdout } = spawnSync(TSC, ['-p', project], { encoding: 'utf8' })
  assert.equal(status, 0, stdout)
})

for (const { file, language, line } of examples) {
  test(`the ${language} example in line ${line} of the README runs`, () => {
    const cwd = mkdtempSync(path.join(project, 'run-'))
    if (language === 'js') execFileSync(process.execPath, ['--check', path.join(project, file)])
    const { NODE_TEST_CONTEXT: _, ...env } = process.env
    const run = spawnSync(process.execPath, ['--import', TSX, path.join(project, file)], {
      cwd,
      env,
      encoding: 'utf8',
      timeout: 60_000,
    })
    assert.equal(run.status, 0, run.stderr)
  })
}

test('the README names every error code, and no other', () => {
  const named = [...namedRows(README, /^[A-Z][A-Z_]+$/).keys()]
  assert.deepEqual(named.sort(), Object.keys(ERROR_CODES).sort())
})

/** A default as the README writes it: `1,048,588`, `16 MiB`, `7 days`, `'disk'`, `false`. */
function parsedDefault(cell: string): unknown {
  const text = cell.replace(/`/g, '').trim()
  const quoted = /^'(.*)'$/.exec(text)?.[1]
  if (quoted !== undefined) return quoted
  if (text === 'true' || text === 'false') return text === 'true'
  const [, digits, unit] =
    /^(-?[\d,.]+)(?: (KiB|MiB|GiB|s|minutes?|hours?|days?))?$/.exec(text) ?? []
  if (digits === undefined) return undefined
  return Number(digits.replaceAll(',', '')) * (UNITS[unit?.replace(/s$/, '') || unit || ''] ?? 1)
}

const UNITS: Readonly<Record<string, number>> = {
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  s: 1000,
  minute: 60_000,
  hour: 3_600_000,
  day: 86_400_000,
}

/** Options that have no default of their own. */
const WITHOUT_DEFAULT = ['topics', 'partitions', 'key', 'value', 'schema', 'partitioner']

test('the README gives every option with its default, and no other', () => {
  const { topics: _, ...logOptions } = resolveLogOptions()
  const defaults: Readonly<Record<string, unknown>> = { ...TOPIC_CONFIG_DEFAULTS, ...logOptions }
  const section = /^## Options\n([\s\S]*?)^## /m.exec(README)?.[1] ?? ''
  const rows = namedRows(section, /^[a-z]+(?:[A-Z][a-z]+)*$/)
  const known = new Set([...Object.keys(defaults), ...WITHOUT_DEFAULT])
  const missing = Object.keys(defaults).filter((name) => !rows.has(name))
  assert.deepEqual(missing, [], 'options that the README leaves out')
  assert.deepEqual(
    [...rows.keys()].filter((name) => !known.has(name)),
    [],
    'options that are none',
  )
  for (const [name, value] of Object.entries(defaults)) {
    if (value === undefined) continue
    assert.equal(parsedDefault(rows.get(name)?.[0] ?? ''), value, name)
  }
})
