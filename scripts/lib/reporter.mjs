// A node:test reporter: one line a file, failures in full, what could not be run here, and node:test's closing lines.
import path from 'node:path'
import { inspect } from 'node:util'

/** What test/support/needs-flock.ts prints: names of tests, joined. */
const NEEDS = /^needs fs-ext: (.+)$/gm
/** How much of a crashed file's output is shown, in characters. */
const OUTPUT_SHOWN = 4000

const relative = (file) => path.relative(process.cwd(), file ?? '')
const indented = (text) => text.replace(/^/gm, '    ')
/** A test file that fails as a whole (it crashed or ran too long) is reported as a test of its own name. */
const isFile = (data) => data.name !== undefined && data.name === data.file
/** A failed parent only repeats what its failed child said. */
const repeatsAChild = (data) => data.details.error?.failureType === 'subtestsFailed'

class Report {
  /** By path: what is known of each test file. */
  #files = new Map()
  #failures = []
  #notRun = new Set()
  #closing = []

  /** A test that a helper registers carries the helper's path: it belongs to the file that is being reported. */
  #reported = ''

  #owner(data) {
    if (this.#files.has(data.file)) this.#reported = data.file
    return this.#file(this.#reported)
  }

  #file(name) {
    let file = this.#files.get(name)
    if (file === undefined) {
      file = { tests: 0, ok: true, running: new Set(), output: [], startedAt: Date.now() }
      this.#files.set(name, file)
    }
    return file
  }

  #note(text) {
    for (const [, names] of text.matchAll(NEEDS)) {
      for (const name of names.split('; ')) this.#notRun.add(name.trim())
    }
  }

  started(data) {
    if (isFile(data)) this.#file(data.file).startedAt = Date.now()
    else this.#files.get(data.file)?.running.add(data.name)
  }

  completed(data) {
    const file = this.#files.get(data.file)
    if (file === undefined) return
    if (isFile(data)) file.seconds = (Date.now() - file.startedAt) / 1000
    else file.running.delete(data.name)
  }

  printed(data) {
    this.#file(data.file).output.push(data.message)
    this.#note(data.message)
  }

  diagnosed(data) {
    if (data.file === undefined) this.#closing.push(`# ${data.message}\n`)
    else this.#note(data.message)
  }

  passed(data) {
    if (!isFile(data) && data.details.type !== 'suite') this.#owner(data).tests += 1
  }

  failed(data) {
    this.passed(data)
    const file = this.#owner(data)
    file.ok = false
    if (repeatsAChild(data)) return
    const error = data.details.error
    const cause = error?.cause ?? error
    let text = `✖ ${relative(data.file)} › ${isFile(data) ? 'the file as a whole' : data.name}\n`
    text += `${indented(cause instanceof Error ? inspect(cause) : String(cause))}\n`
    if (isFile(data)) {
      if (file.running.size > 0) text += `    still running: ${[...file.running].join('; ')}\n`
      text += `${indented(file.output.join('').slice(-OUTPUT_SHOWN))}\n`
    }
    this.#failures.push(text)
  }

  /** Lines of files whose results are all in: they come a file at a time, though files run side by side. */
  *ended(current) {
    if (current !== undefined && !this.#files.has(current)) return
    for (const [name, file] of this.#files) {
      if (file.told || name === current || file.seconds === undefined) continue
      if (file.tests === 0 && current !== undefined) continue
      file.told = true
      const mark = file.ok ? '✔' : '✖'
      yield `${mark} ${relative(name)} (tests: ${file.tests}, ${file.seconds.toFixed(1)} s)\n`
    }
  }

  *closing() {
    yield* this.ended(undefined)
    if (this.#failures.length > 0) yield `\n${this.#failures.join('\n')}`
    if (this.#notRun.size > 0) {
      yield '\nNot run here, as they need fs-ext (flock), which is not installed:\n'
      for (const what of [...this.#notRun].sort()) yield `  - ${what}\n`
    }
    yield `\n${this.#closing.join('')}`
  }
}

const HANDLERS = {
  'test:dequeue': 'started',
  'test:complete': 'completed',
  'test:stdout': 'printed',
  'test:stderr': 'printed',
  'test:diagnostic': 'diagnosed',
  'test:pass': 'passed',
  'test:fail': 'failed',
}

export default async function* report(source) {
  const state = new Report()
  for await (const { type, data } of source) {
    if (type === 'test:pass' || type === 'test:fail') yield* state.ended(data.file)
    const handler = HANDLERS[type]
    if (handler !== undefined) state[handler](data)
  }
  yield* state.closing()
}
