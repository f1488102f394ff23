// What all commands have in common: options, help, messages, exit codes.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Writable } from 'node:stream'
import { test } from 'node:test'
import { COMMANDS } from '../../src/cli/commands.ts'
import { Interrupted } from '../../src/cli/errors.ts'
import { ran } from '../support/command-line.ts'
import { fixtureDirectory, removeAfter } from '../support/fixtures.ts'

const ROOT = path.join(import.meta.dirname, '../..')
const PLAIN = fixtureDirectory('plain')

async function temporary(t: Parameters<typeof removeAfter>[0]): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'brokerless-cli-'))
  removeAfter(t, directory)
  return directory
}

test('--help lists the commands, and help and --help tell of one', async () => {
  const all = await ran(['--help'])
  assert.equal(all.exitCode, 0)
  for (const { name } of COMMANDS) {
    assert.match(all.stdout, new RegExp(`^ {2}${name} `, 'm'))
    const one = await ran([name, '--help'])
    assert.equal(one.exitCode, 0)
    assert.match(one.stdout, new RegExp(`^Usage: brokerless ${name} `))
    assert.deepEqual(await ran(['help', name]), one)
    assert.deepEqual(await ran([name, '-h']), one)
  }
  assert.deepEqual(await ran(['help']), all)
})

test('no line of the help is longer than 80 characters', async () => {
  const texts = [await ran(['--help'])]
  for (const { name } of COMMANDS) texts.push(await ran([name, '--help']))
  const lines = texts.flatMap(({ stdout }) => stdout.split('\n'))
  assert.deepEqual(
    lines.filter((line) => line.length > 80),
    [],
  )
})

test('every command has the name that it is called by, and examples that call it', async () => {
  for (const { name, load } of COMMANDS) {
    const command = await load()
    assert.equal(command.name, name)
    assert.ok(command.examples.length > 0)
    for (const example of command.examples)
      assert.match(example.command, new RegExp(`brokerless ${name}\\b`))
    const names = command.options.map((option) => option.name)
    assert.equal(new Set(names).size, names.length)
    for (const { summary } of command.options) assert.doesNotMatch(summary, /\.$/)
  }
})

test('--version prints the version of the package', async () => {
  const { version } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8'))
  assert.deepEqual(await ran(['--version']), { exitCode: 0, stdout: `${version}\n`, stderr: '' })
})

test('without a command the help goes to standard error, and the exit code is 2', async () => {
  const { exitCode, stdout, stderr } = await ran([])
  assert.deepEqual([exitCode, stdout], [2, ''])
  assert.match(stderr, /^Usage: brokerless <command>/)
})

for (const [what, args, message] of [
  ['an unknown command', ['topix'], "there is no command 'topix'; did you mean topics?"],
  [
    'an unknown option',
    ['topics', '--dirr', 'x'],
    'topics: unknown option --dirr; did you mean --dir?',
  ],
  ['an option like no other', ['topics', '-x'], 'topics: unknown option -x; see --help'],
  [
    'an unknown leading option',
    ['--versoin'],
    'without a command: unknown option --versoin; did you mean --version?',
  ],
  ['an option without its value', ['topics', '--dir'], 'topics: --dir needs a value: DIR'],
  [
    'an option whose value looks like the next option',
    ['topics', '--dir', '--json'],
    'topics: --dir needs a value: DIR; one that begins with a dash is written --dir=--json',
  ],
  ['a flag with a value', ['topics', '--json=yes'], 'topics: --json takes no value'],
  ['a missing directory option', ['topics'], 'topics needs --dir DIR'],
  [
    'an argument too many',
    ['topics', 'orders', '--dir', 'x'],
    "topics: 'orders' is one argument too many. Usage: brokerless topics --dir DIR [options]",
  ],
] as const) {
  test(`${what} is told, with exit code 2`, async () => {
    const { exitCode, stdout, stderr } = await ran(args)
    assert.deepEqual([exitCode, stdout, stderr], [2, '', `brokerless: ${message}\n`])
  })
}

test('options may stand before the command, and a value behind an equals sign', async () => {
  const plain = await ran(['topics', '--dir', PLAIN, '--json'])
  assert.equal(plain.exitCode, 0)
  assert.deepEqual(await ran(['--dir', PLAIN, 'topics', '--json']), plain)
  assert.deepEqual(await ran([`--dir=${PLAIN}`, '--json', 'topics']), plain)
  assert.deepEqual(await ran(['topics', '-d', PLAIN, '--json']), plain)
})

test('a directory that is not there, a file, and a directory of something else are told, and nothing is made', async (t) => {
  const directory = await temporary(t)
  const missing = path.join(directory, 'missing')
  await mkdir(path.join(directory, 'other', 'sub-directory'), { recursive: true })
  const other = path.join(directory, 'other')
  for (const [dir, message] of [
    [missing, `there is no directory ${missing}`],
    [path.join(ROOT, 'package.json'), `${path.join(ROOT, 'package.json')} is no directory`],
    [
      other,
      `${other} is no data directory: it has neither brokerless.json nor a directory <topic>-<partition>`,
    ],
  ] as const) {
    const { exitCode, stdout, stderr } = await ran(['topics', '--dir', dir])
    assert.deepEqual([exitCode, stdout, stderr], [1, '', `brokerless: ${message}\n`])
  }
  assert.deepEqual(await readdir(directory), ['other'])
  assert.deepEqual(await readdir(other), ['sub-directory'])
})

test('a stack is shown where DEBUG is set, and only there', async () => {
  const args = ['topics', '--dir', '/does/not/exist']
  assert.doesNotMatch((await ran(args)).stderr, /\n {4}at /)
  assert.match(
    (await ran(args, { isDebugging: true })).stderr,
    /^brokerless: there is.*\n.*\n {4}at /,
  )
})

test('an output that fails is told; one whose reader has gone is not', async () => {
  const failing = (code: string): Writable =>
    new Writable({
      write: (_chunk, _encoding, done) =>
        done(Object.assign(new Error(`${code}: write`), { code })),
    })
  for (const args of [['topics', '--dir', PLAIN], ['cat', 'orders', '--dir', PLAIN], ['--help']]) {
    assert.deepEqual(await ran(args, { output: failing('ENOSPC') }), {
      exitCode: 1,
      stdout: '',
      stderr: 'brokerless: ENOSPC: write\n',
    })
    const gone = await ran(args, { output: failing('EPIPE') })
    assert.deepEqual(gone, { exitCode: 141, stdout: '', stderr: '' })
  }
})

test('a command that is interrupted ends at once, with the exit code that shells give', async () => {
  for (const [signal, exitCode] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    const aborted = AbortSignal.abort(new Interrupted(signal))
    const result = await ran(['topics', '--dir', PLAIN], { signal: aborted })
    assert.deepEqual(result, { exitCode, stdout: '', stderr: '' })
  }
})
