import type { Durability, IsolationLevel } from '../types.ts'
import { checkInteger, MAX_INT32 } from '../util/check.ts'

/** Levels of durability. */
export const DURABILITIES: readonly Durability[] = ['disk', 'os']

/** What a reader does at damage: be told, or go on behind it. */
export type OnCorrupt = 'throw' | 'skip'
export const ON_CORRUPT: readonly OnCorrupt[] = ['throw', 'skip']

/** Whether readers are given what transactions have written that are not decided, or aborted. */
export const ISOLATION_LEVELS: readonly IsolationLevel[] = ['read_committed', 'read_uncommitted']
export const ISOLATION_DEFAULT: IsolationLevel = 'read_committed'

/** A partition's number, which must be given. */
export function partitionNumber(value: unknown): number {
  return checkInteger('partition', value, 0, MAX_INT32)
}
