import { errorCode } from '../util/error-code.ts'
import { nextTurn } from '../util/turn.ts'

/** A directory stands still between two of so many looks, or something else is wrong with it. */
const MOST_LOOKS = 100

/** Makes a look at a directory that another process changes. One that comes to a name which is gone by then is made again. */
export async function look<T>(once: () => Promise<T>): Promise<T> {
  for (let looks = 1; ; looks += 1) {
    try {
      return await once()
    } catch (error) {
      if (errorCode(error) !== 'ENOENT' || looks === MOST_LOOKS) throw error
      await nextTurn()
    }
  }
}
