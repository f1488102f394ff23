// The faults that the suite must notice, each with the test that does.
import type { Mutant } from './engine.ts'

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'the lock is always granted',
    file: 'src/storage/directory-lock.ts',
    search: 'const right = current && (await this.#rightTo(lockPath, current))',
    replace: "const right: Right | undefined = current && 'own'",
    killedBy: {
      file: 'test/storage/directory-lock.test.ts',
      test: 'a second open in the same process is refused with the holder and the way out',
    },
  },
]
