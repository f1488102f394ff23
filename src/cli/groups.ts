import type { GroupDescription } from '../index.ts'
import { LogError } from '../index.ts'
import { closestName } from '../util/closest-name.ts'
import { Trouble } from './errors.ts'
import type { RawLog } from './log-directory.ts'

/** What there is to know of a group; where it is not there, the name that comes near is told. */
export async function describedGroup(log: RawLog, group: string): Promise<GroupDescription> {
  try {
    return await log.describeGroup(group)
  } catch (error) {
    if (!(error instanceof LogError && error.code === 'UNKNOWN_GROUP')) throw error
    const names = await log.groups()
    const closest = closestName(group, names)
    const hint =
      closest !== undefined
        ? `; did you mean ${closest}?`
        : names.length === 0
          ? ', and no other'
          : '; `brokerless groups` lists those that are there'
    throw new Trouble(`there is no group '${group}'${hint}`, { cause: error })
  }
}
