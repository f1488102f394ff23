/** Whole data directories, of brokers and of this library, with changed files. */
import { FIXTURE_SETS } from '../../support/fixtures.ts'
import type { Files } from '../corpus.ts'
import { filesOf } from '../corpus.ts'
import { checkDirectory, viewOfFiles } from '../directory-check.ts'
import type { BaseDirectory } from '../directory-input.ts'
import { decodeInput, encodeInput, generateInput, simplerInputs } from '../directory-input.ts'
import type { LogView } from '../directory-view.ts'
import { ownDirectories } from '../own-directories.ts'
import type { FuzzTarget } from '../target.ts'

/** Larger ones would make slow inputs. */
const MAX_BASE_BYTES = 96 * 1024

/** Each partition of each set by itself, with the files beside it. */
function brokersDirectories(): BaseDirectory[] {
  return FIXTURE_SETS.flatMap((set) => {
    const files = filesOf(set)
    const partitions = new Set([...files.keys()].map((name) => /^(.*-\d+)\//.exec(name)?.[1]))
    return [...partitions].flatMap((partition) => {
      if (partition === undefined) return []
      const own = [...files].filter(
        ([name]) => name.startsWith(`${partition}/`) || !name.includes('/'),
      )
      return [{ name: `${set}/${partition}`, files: new Map(own) }]
    })
  }).filter(({ files }) => sizeOf(files) <= MAX_BASE_BYTES)
}

function sizeOf(files: Files): number {
  return [...files.values()].reduce((sum, { length }) => sum + length, 0)
}

let bases: readonly BaseDirectory[] = []
const views = new Map<string, LogView>()

/** What the inputs change. */
export async function baseDirectories(): Promise<readonly BaseDirectory[]> {
  if (bases.length === 0) {
    // Ours more often than each of the brokers', of which there are many.
    const own = await ownDirectories()
    bases = [...brokersDirectories(), ...own, ...own, ...own]
  }
  return bases
}

async function run(bytes: Buffer): Promise<void> {
  const input = decodeInput(bytes)
  const base = bases.find(({ name }) => name === input.base)
  if (base === undefined) throw new RangeError(`there is no directory ${input.base}`)
  let before = views.get(base.name)
  if (before === undefined) {
    before = await viewOfFiles(base.files)
    views.set(base.name, before)
  }
  await checkDirectory(input, base.files, before)
}

function directoryTarget(name: string, chosen: (file: string) => boolean): FuzzTarget {
  return {
    name,
    weight: 8,
    memoryBytes: 256 * 1024 * 1024,
    prepare: async () => void (await baseDirectories()),
    generate: (random) => encodeInput(generateInput(random, bases, chosen)),
    run,
    shrink: simplerInputs,
  }
}

export const DIRECTORY_TARGETS: readonly FuzzTarget[] = [
  directoryTarget('directory', () => true),
  directoryTarget('directory-logs', (file) => file.endsWith('.log')),
  // All that the data can give back: not one answer may differ.
  directoryTarget('directory-indexes', (file) =>
    /\.(index|timeindex|txnindex|snapshot)$/.test(file),
  ),
]
