// Tests that need fs-ext run where it is installed; elsewhere one line names them.
import { createRequire } from 'node:module'
import { test } from 'node:test'

function loads(name: string): boolean {
  try {
    createRequire(import.meta.url)(name)
    return true
  } catch {
    return false
  }
}

export const flockAvailable: boolean = loads('fs-ext')
const left: string[] = []

/** Registers a test that needs fs-ext. */
export function testWithFlock(name: string, check: () => void | Promise<void>): void {
  if (flockAvailable) {
    test(name, check)
    return
  }
  if (left.length === 0) {
    process.once('exit', () => process.stdout.write(`needs fs-ext: ${left.join('; ')}\n`))
  }
  left.push(name)
}
