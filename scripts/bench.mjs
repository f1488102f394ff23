// npm run bench [-- …]: the benchmark of bench/, as plain JavaScript. Installs the peers first, where they are missing.
// Arguments are those of bench/cli.ts; --help lists them.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, statSync, symlinkSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..')
const BENCH = path.join(ROOT, 'bench')
const BUILD = path.join(ROOT, '.cache/bench-build')

/** Ends the process where the command fails: it has said why. */
function run(command, args, options) {
  const { status, error } = spawnSync(command, args, { stdio: 'inherit', ...options })
  if (error !== undefined) throw error
  if (status !== 0) process.exit(status ?? 1)
}

function installPeers() {
  const installed = path.join(BENCH, 'node_modules/.package-lock.json')
  const lock = path.join(BENCH, 'package-lock.json')
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return
  console.error('installing the peers; what has no binary for this system is compiled')
  run('npm', ['ci', '--no-audit', '--no-fund'], {
    cwd: BENCH,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  })
}

/** The harness, its programs and the library, compiled together by the compiler that makes the published files. */
function build() {
  rmSync(BUILD, { recursive: true, force: true })
  const compiler = path.join(ROOT, 'node_modules/typescript/bin/tsc')
  run(process.execPath, [compiler, '-p', path.join(BENCH, 'tsconfig.json')])
  mkdirSync(path.join(BUILD, 'bench'), { recursive: true })
  symlinkSync(path.join(BENCH, 'node_modules'), path.join(BUILD, 'bench/node_modules'), 'junction')
}

installPeers()
build()
run(process.execPath, [path.join(BUILD, 'bench/main.js'), ...process.argv.slice(2)])
