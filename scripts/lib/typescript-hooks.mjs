// The hook of typescript.mjs: each version of a file is compiled once, and kept below .cache.
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const require = createRequire(import.meta.url)
const CACHE = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../.cache/typescript')
const { version: VERSION } = require('esbuild/package.json')
const OPTIONS = { loader: 'ts', format: 'esm', target: 'node20', sourcemap: 'inline' }

export async function load(url, context, nextLoad) {
  const { protocol, pathname } = new URL(url)
  if (protocol !== 'file:' || !pathname.endsWith('.ts')) return nextLoad(url, context)
  return { format: 'module', source: compiled(fileURLToPath(url)), shortCircuit: true }
}

function compiled(file) {
  const source = readFileSync(file, 'utf8')
  const name = path.basename(file)
  const key = createHash('sha256').update(`${VERSION}\n${name}\n${source}`).digest('hex')
  const kept = path.join(CACHE, `${key}.mjs`)
  try {
    return readFileSync(kept, 'utf8')
  } catch {
    // It takes longer to come up than all the rest.
    const { code } = require('esbuild').transformSync(source, { ...OPTIONS, sourcefile: name })
    mkdirSync(CACHE, { recursive: true })
    // Others compile it at the same time.
    const own = `${kept}.${process.pid}.${Math.random()}`
    writeFileSync(own, code)
    renameSync(own, kept)
    return code
  }
}
