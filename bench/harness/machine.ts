import { statfsSync } from 'node:fs'
import { availableParallelism, cpus, totalmem } from 'node:os'
import path from 'node:path'

export interface Machine {
  readonly node: string
  readonly platform: string
  readonly cpu: string
  readonly cpus: number
  readonly memoryGiB: number
  /** As the system numbers it; undefined where it does not tell. */
  readonly fileSystemType: string | undefined
  readonly summary: string
}

/** Where the measurements are taken. */
export function machineOf(directory: string): Machine {
  const node = process.version
  const platform = `${process.platform} ${process.arch}`
  const cpu = cpus()[0]?.model.trim() ?? 'unknown'
  const count = availableParallelism()
  const memoryGiB = Math.round(totalmem() / 2 ** 30)
  const fileSystemType = fileSystemTypeOf(directory)
  const on = fileSystemType === undefined ? '' : `, ${fileSystemType}`
  return {
    node,
    platform,
    cpu,
    cpus: count,
    memoryGiB,
    fileSystemType,
    summary: `Node ${node}, ${platform}, ${count} x ${cpu}, ${memoryGiB} GiB${on}`,
  }
}

/** By the numbers of Linux's statfs. */
const LINUX_TYPES: Readonly<Record<number, string>> = {
  61267: 'ext4',
  1481003842: 'xfs',
  2435016766: 'btrfs',
  16914836: 'tmpfs',
  2035054128: 'overlayfs',
}

/** Of the nearest directory that is there. */
function fileSystemTypeOf(directory: string): string | undefined {
  if (process.platform !== 'linux') return undefined
  try {
    const { type } = statfsSync(directory)
    return LINUX_TYPES[type] ?? `file system 0x${type.toString(16)}`
  } catch {
    const parent = path.dirname(directory)
    return parent === directory ? undefined : fileSystemTypeOf(parent)
  }
}
