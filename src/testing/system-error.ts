import { constants } from 'node:os'
import { getSystemErrorMap } from 'node:util'

/** Node makes a new map at each call. */
const ERRORS: ReadonlyMap<number, readonly [name: string, text: string]> = getSystemErrorMap()

/** What failed, as Node names it in its errors. */
export interface SystemCall {
  readonly syscall: string
  readonly path?: string
  /** The second path of `rename` and `link`. */
  readonly dest?: string
}

/** An error as `node:fs` throws it: `ENOENT: no such file or directory, open '/a'`, with `code`, `errno`, `syscall`, `path` and `dest`. */
export function systemError(code: string, call: SystemCall): NodeJS.ErrnoException {
  const known: Record<string, number> = constants.errno
  const errno = known[code]
  const text = errno === undefined ? undefined : ERRORS.get(-errno)?.[1]
  const from = call.path === undefined ? '' : ` '${call.path}'`
  const to = call.dest === undefined ? '' : ` -> '${call.dest}'`
  const error = new Error(`${code}: ${text ?? 'system error'}, ${call.syscall}${from}${to}`)
  return Object.assign(error, { code, ...(errno === undefined ? {} : { errno: -errno }), ...call })
}
