import type { Durability } from '../types.ts'
import { checkInteger, MAX_INT32 } from '../util/check.ts'

/** Levels of durability. */
export const DURABILITIES: readonly Durability[] = ['disk', 'os']

/** What a reader does at damage: be told, or go on behind it. */
export type OnCorrupt = 'throw' | 'skip'
export const ON_CORRUPT: readonly OnCorrupt[] = ['throw', 'skip']

/** A partition's number, which must be given. */
export function partitionNumber(value: unknown): number {
  return checkInteger('partition', value, 0, MAX_INT32)
}
