// Makes plain JavaScript of a program in TypeScript, for children that are started too often to be compiled each time.
import { execFile } from 'node:child_process'
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'

const ROOT = path.resolve(import.meta.dirname, '../..')

export interface Compiled extends AsyncDisposable {
  /** The program, ready to be started by node. */
  readonly script: string
}

/** Compiles a program and all that it imports into a temporary directory, which goes with the answer. Types are not checked. */
export async function compile(program: string): Promise<Compiled> {
  const directory = await mkdtemp(path.join(tmpdir(), 'brokerless-compiled-'))
  const project = path.join(directory, 'tsconfig.json')
  const compilerOptions = {
    noEmit: false,
    noCheck: true,
    rootDir: ROOT,
    outDir: directory,
    typeRoots: [path.join(ROOT, 'node_modules/@types')],
  }
  const configuration = {
    extends: path.join(ROOT, 'tsconfig.json'),
    compilerOptions,
    include: [],
    files: [program],
  }
  await writeFile(project, JSON.stringify(configuration))
  await writeFile(path.join(directory, 'package.json'), '{ "type": "module" }')
  await symlink(path.join(ROOT, 'node_modules'), path.join(directory, 'node_modules'))
  const compiler = path.join(ROOT, 'node_modules/typescript/bin/tsc')
  await promisify(execFile)(process.execPath, [compiler, '-p', project])
  return {
    script: path.join(directory, path.relative(ROOT, program).replace(/\.ts$/, '.js')),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true }),
  }
}
