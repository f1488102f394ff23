// Starts node:test over TypeScript files, with the reporter beside this file.
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..')
const REPORTER = new URL('reporter.mjs', import.meta.url).href
const TYPESCRIPT = new URL('typescript.mjs', import.meta.url).href
/** The longest that one test file may take: the crash rounds are the slowest. */
const FILE_TIMEOUT_MS = 15 * 60 * 1000

/** All test files in a file or folder, relative to the repository's root and in order. */
export function testFilesIn(target, exclude = []) {
  const absolute = path.resolve(ROOT, target)
  if (!existsSync(absolute)) throw new Error(`no such file or folder: ${target}`)
  if (statSync(absolute).isFile()) return [path.relative(ROOT, absolute)]
  return readdirSync(absolute, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => path.relative(ROOT, path.join(absolute, name)))
    .filter((name) => !exclude.some((folder) => name.startsWith(folder)))
    .sort()
}

/**
 * Runs the files, by default two at a time, and answers with the exit code.
 * `options` are further options of node; `timeoutMs` bounds one file; `env` is added to this process's.
 */
export async function runTests(
  files,
  { options = [], env = {}, timeoutMs = FILE_TIMEOUT_MS, concurrency = 2 } = {},
) {
  if (files.length === 0) throw new Error('no test file matches')
  const args = ['--import', TYPESCRIPT, '--test', `--test-concurrency=${concurrency}`]
  args.push(`--test-timeout=${timeoutMs}`)
  args.push(
    `--test-reporter=${REPORTER}`,
    '--test-reporter-destination=stdout',
    ...options,
    ...files,
  )
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', (code) => resolve(code ?? 1))
  })
}
