// The library as it is published: compiled by tsc, not run from its TypeScript source.
import { execFileSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

type Library = typeof import('brokerless')
export type BenchLog = Awaited<ReturnType<typeof openLog>>

const ROOT = path.join(import.meta.dirname, '../..')
const BUILD = path.join(ROOT, '.cache/bench-build')
export const TOPIC = 'bench'

export function buildLibrary(): void {
  rmSync(BUILD, { recursive: true, force: true })
  const compiler = path.join(ROOT, 'node_modules/.bin/tsc')
  const options = ['--outDir', BUILD, '--declaration', 'false', '--declarationMap', 'false']
  const project = ['-p', path.join(ROOT, 'src/tsconfig.json'), '--isolatedDeclarations', 'false']
  execFileSync(compiler, [...project, ...options], { stdio: 'inherit' })
}

/** A log with one topic of one partition, bytes in and bytes out, acknowledged at `'os'`. */
export async function openLog(directory: string) {
  const { Log } = (await import(pathToFileURL(path.join(BUILD, 'index.js')).href)) as Library
  return Log.open(directory, {
    topics: { [TOPIC]: { key: 'bytes', value: 'bytes', durability: 'os' } },
  })
}

/** The topic's first segment. */
export function dataFile(directory: string): string {
  return path.join(directory, `${TOPIC}-0`, '00000000000000000000.log')
}
