// npm run check:exports: packs the package and lets publint and "are the types wrong" judge the tarball,
// then loads it as a user would, by import and by require.
import { spawnSync } from 'node:child_process'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { ROOT } from './lib/run-tests.mjs'

const BIN = path.join(ROOT, 'node_modules/.bin')

function run(command, args, cwd = ROOT) {
  console.log(`> ${path.basename(command)} ${args.join(' ')}`)
  const { status, error } = spawnSync(command, args, {
    cwd,
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  if (error) throw error
  if (status !== 0) throw new Error(`${path.basename(command)} found fault with the package`)
}

/** Lays the tarball out as an installed package; its dependencies are this repository's. */
function install(tarball, directory) {
  const modules = path.join(directory, 'node_modules')
  run('tar', ['-xzf', tarball, '-C', directory])
  mkdirSync(modules)
  cpSync(path.join(directory, 'package'), path.join(modules, 'brokerless'), { recursive: true })
  const { dependencies } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8'))
  for (const name of Object.keys(dependencies)) {
    symlinkSync(path.join(ROOT, 'node_modules', name), path.join(modules, name))
  }
}

function load(directory) {
  const checks = [
    "import { Log } from 'brokerless'; if (typeof Log !== 'function') throw new Error('no Log')",
    "import { openMemoryLog } from 'brokerless/testing'; await (await openMemoryLog()).close()",
  ]
  for (const code of checks) run(process.execPath, ['--input-type=module', '-e', code], directory)
  const required = "if (typeof require('brokerless').Log !== 'function') throw new Error('no Log')"
  run(process.execPath, ['-e', required], directory)
  const { bin } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8'))
  const program = path.join('node_modules/brokerless', bin.brokerless)
  for (const option of ['--version', '--help']) run(process.execPath, [program, option], directory)
}

const directory = mkdtempSync(path.join(tmpdir(), 'brokerless-pack-'))
try {
  run('npm', ['pack', '--silent', '--pack-destination', directory])
  const [name] = readdirSync(directory).filter((each) => each.endsWith('.tgz'))
  const tarball = path.join(directory, name)
  run(path.join(BIN, 'publint'), ['run', tarball, '--strict'])
  run(path.join(BIN, 'attw'), [tarball, '--profile', 'esm-only', '--no-emoji'])
  install(tarball, directory)
  load(directory)
} finally {
  rmSync(directory, { recursive: true, force: true })
}
