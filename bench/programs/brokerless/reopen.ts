import { existsSync, readdirSync } from 'node:fs'
import { requireBytes, requireEqual } from '../../data/records.ts'
import type { Metrics } from '../../trials/types.ts'
import type { TaskContext } from '../program.ts'
import { openBytes, TOPIC } from './open.ts'

/** Until the last record of the last partition has been read. */
export async function reopen(context: TaskContext): Promise<Metrics> {
  const { parameters, dataset, stopwatch } = context
  const partition = parameters.partitions - 1
  let value: Uint8Array | null | undefined
  let latest = 0
  const opened: { log?: Awaited<ReturnType<typeof openBytes>> } = {}
  await stopwatch.time(async () => {
    const log = await openBytes(context)
    opened.log = log
    latest = (await log.offsets(TOPIC, partition)).latest
    value = (await log.fetch(TOPIC, { partition, offset: latest - 1 })).records[0]?.value
  })
  await opened.log?.close()
  requireEqual('the log end offset', latest, parameters.records / parameters.partitions)
  requireBytes('the last record', value, dataset.record(parameters.records - 1).value)
  return { openMs: stopwatch.milliseconds }
}

/** Opens, appends a record to each partition and reads each back; the open alone is timed, files and memory are of all. */
export async function touchPartitions(context: TaskContext): Promise<Metrics> {
  const { parameters, dataset, stopwatch } = context
  const { partitions } = parameters
  const handlesBefore = fileHandles()
  let handles = 0
  let openMs = 0
  const look = (): void => {
    handles = Math.max(handles, fileHandles() - handlesBefore)
  }
  await stopwatch.time(async () => {
    const began = performance.now()
    const log = await openBytes(context)
    openMs = performance.now() - began
    look()
    for (let partition = 0; partition < partitions; partition += 1) {
      const { offset } = await log.produce(TOPIC, dataset.record(partition), { partition })
      const { records } = await log.fetch(TOPIC, { partition, offset })
      requireBytes(`partition ${partition}`, records[0]?.value, dataset.record(partition).value)
      if (partition % 50 === 0) look()
    }
    look()
    await log.close()
  })
  return { openMs, fileHandles: handles }
}

/** Files that this process has open; not known where there is no /proc. */
function fileHandles(): number {
  const directory = '/proc/self/fd'
  return existsSync(directory) ? readdirSync(directory).length : Number.NaN
}
