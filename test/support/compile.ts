// Makes plain JavaScript of a program in TypeScript, for children that are started too often to be compiled each time.
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { build } from 'esbuild'

const ROOT = path.resolve(import.meta.dirname, '../..')

export interface Compiled extends AsyncDisposable {
  /** The program, ready to be started by node. */
  readonly script: string
}

/**
 * Compiles a program, and all that it imports but packages, into one file of a temporary directory, which goes with the
 * answer: a process takes half the time to load that. Types are not checked.
 */
export async function compile(program: string): Promise<Compiled> {
  const directory = await mkdtemp(path.join(tmpdir(), 'brokerless-compiled-'))
  await writeFile(path.join(directory, 'package.json'), '{ "type": "module" }')
  await symlink(path.join(ROOT, 'node_modules'), path.join(directory, 'node_modules'))
  // In the place that it has in the repository: programs look for files beside theirs.
  const script = path.join(directory, path.relative(ROOT, program).replace(/\.ts$/, '.js'))
  await build({
    entryPoints: [program],
    outfile: script,
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'es2023',
  })
  return { script, [Symbol.asyncDispose]: () => rm(directory, { recursive: true }) }
}
