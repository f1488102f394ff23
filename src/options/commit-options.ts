import type { Durability } from '../types.ts'
import { checkChoice, checkNames, checkObject } from '../util/check.ts'
import { DURABILITIES } from './shared.ts'

export interface CommitOptions {
  /** Level of the acknowledgement. Default `'os'`, the level of `__consumer_offsets`. */
  readonly durability?: Durability
}

export interface ResolvedCommitOptions {
  readonly durability: Durability | undefined
}

const COMMIT_OPTIONS: ReadonlySet<string> = new Set<keyof CommitOptions>(['durability'])
const DEFAULT_COMMIT: ResolvedCommitOptions = Object.freeze({ durability: undefined })

/** Checks the options of `commitOffset`. */
export function resolveCommitOptions(given?: CommitOptions): ResolvedCommitOptions {
  if (given === undefined) return DEFAULT_COMMIT
  checkObject('the options of commitOffset', given)
  checkNames('commitOffset', given, COMMIT_OPTIONS)
  const { durability } = given
  return { durability: checkChoice('durability', durability, undefined, DURABILITIES) }
}
