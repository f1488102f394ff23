/** What inputs are made from: the files that real brokers wrote. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import type { FixtureSet } from '../support/fixtures.ts'
import { FIXTURE_SETS, fixtureDirectory } from '../support/fixtures.ts'
import { batchesIn } from './kafka-bytes.ts'

/** Larger ones would make slow inputs, or are indexes of zeros. */
const MAX_FILE_BYTES = 64 * 1024

/** The files of a directory and those below it, by their path from there. */
export type Files = ReadonlyMap<string, Buffer>

const known = new Map<string, Files>()

/** The files of a set's log directory. */
export function filesOf(set: FixtureSet): Files {
  const directory = fixtureDirectory(set)
  let files = known.get(directory)
  if (files === undefined) {
    files = readFiles(directory)
    known.set(directory, files)
  }
  return files
}

function readFiles(directory: string): Files {
  const files = new Map<string, Buffer>()
  for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    const file = path.join(directory, name)
    if (statSync(file).isFile()) files.set(name, readFileSync(file))
  }
  return files
}

/** All files of all sets whose name ends so, equal ones once; none is empty or large. */
export function filesEndingWith(...endings: readonly string[]): Buffer[] {
  const found = new Map<string, Buffer>()
  for (const set of FIXTURE_SETS) {
    for (const [name, bytes] of filesOf(set)) {
      if (!endings.some((ending) => name.endsWith(ending))) continue
      if (bytes.length === 0 || bytes.length > MAX_FILE_BYTES) continue
      found.set(bytes.toString('latin1'), bytes)
    }
  }
  return [...found.values()]
}

/** All batches of all sets, in their order. */
export function allBatches(): Buffer[] {
  return filesEndingWith('.log').flatMap((log) =>
    batchesIn(log).map(({ at, size }) => log.subarray(at, at + size)),
  )
}

/** All batches of one set's topics whose name fits. */
export function batchesOf(set: FixtureSet, directory: RegExp): Buffer[] {
  const logs = [...filesOf(set)].filter(([name]) => directory.test(name) && name.endsWith('.log'))
  return logs.flatMap(([, log]) =>
    batchesIn(log).map(({ at, size }) => log.subarray(at, at + size)),
  )
}
