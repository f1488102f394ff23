// Runs named tests against copies of the source that each carry one fault: a suite that bites fails there.
import { spawn } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { TYPESCRIPT } from '../support/typescript.ts'

/** One change to one source file, and the test that must notice it. */
export interface Mutant {
  readonly name: string
  /** The file that is changed, from the repository's root. */
  readonly file: string
  /** Text that stands exactly once in the file. */
  readonly search: string
  readonly replace: string
  /** The test file and the full name of the test that must fail. */
  readonly killedBy: { readonly file: string; readonly test: string }
}

export type MutantResult = 'killed' | 'survived'

export interface Outcome {
  readonly mutant: Mutant
  readonly result: MutantResult
  readonly seconds: number
  /** Why a survivor counts as one. */
  readonly reason: string
}

interface TestRun {
  readonly failed: ReadonlySet<string>
  readonly passed: ReadonlySet<string>
  readonly output: string
}

/** What a test run needs of the repository; node_modules is linked. */
const COPIED = ['src', 'test', 'scripts', 'package.json', 'tsconfig.json']
/** So many tests run at a time. */
const COPIES = 2
const TEST_TIMEOUT_MS = 120_000
/** A run of one test file that has not ended by then is ended. */
const RUN_TIMEOUT_MS = 150_000
const REPORTER = path.join(import.meta.dirname, '../../scripts/lib/result-reporter.mjs')

/** A copy of the repository in which files may be changed. */
export function copyRepository(root: string): string {
  const copy = mkdtempSync(path.join(tmpdir(), 'brokerless-mutant-'))
  for (const name of COPIED) {
    const from = path.join(root, name)
    if (existsSync(from)) cpSync(from, path.join(copy, name), { recursive: true })
  }
  const modules = path.join(root, 'node_modules')
  symlinkSync(modules, path.join(copy, 'node_modules'))
  mkdirSync(path.join(copy, '.cache'), { recursive: true })
  return copy
}

/** The file's text with the mutant's change; throws unless the search text stands there exactly once. */
export function mutate(source: string, mutant: Mutant): string {
  const parts = source.split(mutant.search)
  if (parts.length !== 2) {
    throw new Error(
      `mutant "${mutant.name}": its search text stands ${parts.length - 1} times in ${mutant.file}, not once`,
    )
  }
  if (mutant.search === mutant.replace) throw new Error(`mutant "${mutant.name}" changes nothing`)
  return parts.join(mutant.replace)
}

function escapedPattern(name: string): string {
  return `^${name.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')}$`
}

/** Runs one named test of one file in a copy. */
function runTest(copy: string, killedBy: Mutant['killedBy']): Promise<TestRun> {
  const args = ['--import', TYPESCRIPT, '--test', `--test-timeout=${TEST_TIMEOUT_MS}`]
  args.push(
    `--test-name-pattern=${escapedPattern(killedBy.test)}`,
    `--test-reporter=${REPORTER}`,
    killedBy.file,
  )
  // A test run inside a test run would report to the outer one.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const child = spawn(process.execPath, args, { cwd: copy, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const timer = setTimeout(() => child.kill('SIGKILL'), RUN_TIMEOUT_MS)
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk
    })
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', () => {
      clearTimeout(timer)
      const named = (mark: string): Set<string> =>
        new Set(
          [...output.matchAll(new RegExp(`^${mark} (.*)$`, 'gm'))].map(([, name = '']) => name),
        )
      resolve({ failed: named('failed'), passed: named('passed'), output })
    })
  })
}

/** Throws unless every named test passes without a change: else its failing would say nothing. */
export async function checkBaseline(
  copies: readonly string[],
  mutants: readonly Mutant[],
): Promise<void> {
  const tests = new Map(mutants.map(({ killedBy }) => [idOf(killedBy), killedBy]))
  await inEach(copies, tests.values(), async (copy, killedBy) => {
    const run = await runTest(copy, killedBy)
    if (run.passed.has(killedBy.test)) return
    const id = idOf(killedBy)
    throw new Error(`without any change this test does not pass: ${id}\n${run.output}`)
  })
}

const idOf = ({ file, test }: Mutant['killedBy']): string => `${file} › ${test}`

/** Does the work on the items, one at a time in each copy. */
async function inEach<T>(
  copies: readonly string[],
  items: Iterable<T>,
  work: (copy: string, item: T) => Promise<void>,
): Promise<void> {
  const left = [...items]
  await Promise.all(
    copies.map(async (copy) => {
      for (let item = left.shift(); item !== undefined; item = left.shift()) await work(copy, item)
    }),
  )
}

/** Applies one mutant to the copy, runs its test, and takes the change back. */
export async function judge(copy: string, mutant: Mutant): Promise<Outcome> {
  const file = path.join(copy, mutant.file)
  const source = readFileSync(file, 'utf8')
  const startedAt = Date.now()
  writeFileSync(file, mutate(source, mutant))
  try {
    const run = await runTest(copy, mutant.killedBy)
    const { test } = mutant.killedBy
    const killed = run.failed.has(test)
    const reason = run.passed.has(test) ? 'the test passes' : `the test did not run:\n${run.output}`
    return {
      mutant,
      result: killed ? 'killed' : 'survived',
      seconds: (Date.now() - startedAt) / 1000,
      reason: killed ? '' : reason,
    }
  } finally {
    writeFileSync(file, source)
  }
}

/** Judges all mutants of a repository, telling each outcome as it comes. */
export async function judgeAll(
  root: string,
  mutants: readonly Mutant[],
  tell: (outcome: Outcome) => void,
): Promise<Outcome[]> {
  const copies = Array.from({ length: COPIES }, () => copyRepository(root))
  try {
    for (const mutant of mutants) mutate(readFileSync(path.join(root, mutant.file), 'utf8'), mutant)
    await checkBaseline(copies, mutants)
    const outcomes: Outcome[] = []
    await inEach(copies, mutants, async (copy, mutant) => {
      const outcome = await judge(copy, mutant)
      outcomes.push(outcome)
      tell(outcome)
    })
    return outcomes
  } finally {
    for (const copy of copies) rmSync(copy, { recursive: true, force: true })
  }
}
