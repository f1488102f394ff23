/** The `code` of a Node system error; undefined for anything else. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/** What was thrown, as an `Error`. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown))
}

/** EDQUOT on Linux and macOS: libuv has no name for it, so Node gives its number alone. */
const EDQUOT_NUMBERS: readonly unknown[] = [-122, -69]

/** There is no room: what was refused may succeed once there is. */
export function isDiskFull(error: unknown): boolean {
  const code = errorCode(error)
  if (code === 'ENOSPC' || code === 'EDQUOT') return true
  const number = typeof error === 'object' && error !== null && 'errno' in error ? error.errno : 0
  return code?.startsWith('Unknown system error') === true && EDQUOT_NUMBERS.includes(number)
}
