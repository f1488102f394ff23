/** Whole data directories as inputs: one that is known, and what was changed about its files. */
import type { Files } from './corpus.ts'
import type { FuzzRandom } from './fuzz-random.ts'
import { mutateBatches } from './kafka-bytes.ts'
import { mutate } from './mutate.ts'
import { fewerOf } from './shrink.ts'
import { mutateText } from './text-mutate.ts'

/** A directory that a close or a kill left. */
export interface BaseDirectory {
  readonly name: string
  readonly files: Files
}

export type Edit =
  /** At byte `at`, `remove` bytes give way to those of `insert`, in base64. */
  | {
      readonly do: 'splice'
      readonly file: string
      readonly at: number
      readonly remove: number
      readonly insert: string
    }
  | { readonly do: 'remove'; readonly file: string }
  | { readonly do: 'rename'; readonly file: string; readonly to: string }
  | { readonly do: 'add'; readonly file: string; readonly insert: string }

export interface DirectoryInput {
  readonly base: string
  /** How the first log that opens it ends. */
  readonly ending: 'close' | 'kill'
  /** Applied one after another. */
  readonly edits: readonly Edit[]
}

export function encodeInput(input: DirectoryInput): Buffer {
  return Buffer.from(`${JSON.stringify(input, undefined, 1)}\n`)
}

export function decodeInput(bytes: Buffer): DirectoryInput {
  return JSON.parse(bytes.toString())
}

/** Fewer edits, then smaller ones. */
export function* simplerInputs(bytes: Buffer): Generator<Buffer> {
  const input = decodeInput(bytes)
  for (const edits of fewerOf(input.edits)) yield encodeInput({ ...input, edits })
  for (const [index, edit] of input.edits.entries()) {
    for (const simpler of simplerEdits(edit)) {
      yield encodeInput({ ...input, edits: input.edits.with(index, simpler) })
    }
  }
}

function* simplerEdits(edit: Edit): Generator<Edit> {
  if (edit.do !== 'splice') return
  const insert = Buffer.from(edit.insert, 'base64')
  for (let part = insert.length; part >= 1; part = Math.floor(part / 2)) {
    const shorter = insert.subarray(0, insert.length - part)
    const remove = Math.max(0, edit.remove - part)
    yield { ...edit, insert: shorter.toString('base64'), remove }
    const later = insert.subarray(part)
    yield { ...edit, at: edit.at + part, insert: later.toString('base64'), remove }
  }
  const zeros = Buffer.alloc(insert.length).toString('base64')
  if (zeros !== edit.insert) yield { ...edit, insert: zeros }
}

/** The directory's files after the edits. */
export function editedFiles(files: Files, edits: readonly Edit[]): Map<string, Buffer> {
  const edited = new Map(files)
  for (const edit of edits) {
    const bytes = edited.get(edit.file)
    if (edit.do === 'add') edited.set(edit.file, Buffer.from(edit.insert, 'base64'))
    else if (bytes === undefined) continue
    else if (edit.do === 'splice') edited.set(edit.file, spliced(bytes, edit))
    else edited.delete(edit.file)
    if (edit.do === 'rename' && bytes !== undefined) edited.set(edit.to, bytes)
  }
  return edited
}

function spliced(
  bytes: Buffer,
  { at, remove, insert }: { at: number; remove: number; insert: string },
): Buffer {
  return Buffer.concat([
    bytes.subarray(0, at),
    Buffer.from(insert, 'base64'),
    bytes.subarray(at + remove),
  ])
}

/** What makes `after` of `before`. */
function spliceBetween(file: string, before: Buffer, after: Buffer): Edit {
  const shorter = Math.min(before.length, after.length)
  let at = 0
  while (at < shorter && before[at] === after[at]) at += 1
  let behind = 0
  while (
    behind < shorter - at &&
    before[before.length - 1 - behind] === after[after.length - 1 - behind]
  ) {
    behind += 1
  }
  const insert = after.subarray(at, after.length - behind).toString('base64')
  return { do: 'splice', file, at, remove: before.length - behind - at, insert }
}

// ------------------------------------------------------------------------------------ generation

export function generateInput(
  random: FuzzRandom,
  bases: readonly BaseDirectory[],
  /** Which files may be changed. */
  chosen: (file: string) => boolean,
): DirectoryInput {
  const base = random.pick(bases)
  const edits: Edit[] = []
  if (random.chance(0.4)) edits.push({ do: 'remove', file: '.kafka_cleanshutdown' })
  if (random.chance(0.2)) edits.push({ do: 'remove', file: 'recovery-point-offset-checkpoint' })
  for (let rounds = 1 + random.size(2); rounds > 0; rounds -= 1) {
    const files = editedFiles(base.files, edits)
    const names = [...files.keys()].filter(chosen)
    if (names.length > 0) edits.push(randomEdit(random, files, names))
  }
  return { base: base.name, ending: random.pick(['close', 'kill']), edits }
}

function randomEdit(random: FuzzRandom, files: Files, names: readonly string[]): Edit {
  const logs = names.filter((name) => name.endsWith('.log'))
  const file = random.pick(logs.length > 0 && random.chance(0.4) ? logs : names)
  const bytes = files.get(file) ?? Buffer.alloc(0)
  if (random.chance(0.04)) return { do: 'remove', file }
  if (random.chance(0.06)) return strangeName(random, file)
  const after = isText(file)
    ? mutateText(random, bytes)
    : file.endsWith('.log')
      ? mutateBatches(random, bytes)
      : mutate(random, bytes)
  return spliceBetween(file, bytes, after)
}

const isText = (file: string): boolean => /checkpoint$|metadata$|json$|shutdown$/.test(file)

const SUFFIXES = ['.tmp', '.deleted', '.cleaned', '.swap', '.1.torn', '.0.lost', '.61.lost', '~']

/** A name that an operation under way, or nobody, gives; for the file or for one more. */
function strangeName(random: FuzzRandom, file: string): Edit {
  const to = file + random.pick(SUFFIXES)
  // What a compaction has completed is believed, whatever is in it.
  if (random.chance(0.5) || to.endsWith('.swap')) return { do: 'rename', file, to }
  return { do: 'add', file: to, insert: random.bytes(random.size(200)).toString('base64') }
}
