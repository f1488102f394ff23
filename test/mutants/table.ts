// The faults that the suite must notice, each with the test that does.
import type { Mutant } from './engine.ts'

export const MUTANTS: readonly Mutant[] = []
