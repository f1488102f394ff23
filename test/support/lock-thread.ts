// A worker thread that tries to take the lock of a directory.
import { parentPort, workerData } from 'node:worker_threads'
import { lockDirectory } from '../../src/storage/directory-lock.ts'
import { nodeFileSystem } from '../../src/storage/file-system.ts'
import { systemClock } from '../../src/util/clock.ts'
import { asError } from '../../src/util/error-code.ts'

const { directory }: { directory: string } = workerData
const attempt = lockDirectory(nodeFileSystem, directory, { clock: systemClock })
attempt.then(
  async (lock) => {
    await lock.release()
    parentPort?.postMessage('taken')
  },
  (error: unknown) => parentPort?.postMessage(asError(error).message),
)
