// One contract for the file system on disk, the one in memory and the one that fails on purpose.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { nodeFileSystem } from '../../src/storage/file-system.ts'
import { MemoryFileSystem } from '../../src/testing/memory-file-system.ts'
import type { FileSystem } from '../../src/types.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import type { FileSystemUnderTest } from '../support/file-system-contract.ts'
import { fileSystemContract, lockContract } from '../support/file-system-contract.ts'

async function onDisk(): Promise<FileSystemUnderTest> {
  const directory = await mkdtemp(path.join(tmpdir(), 'brokerless-'))
  const remove = () => rm(directory, { recursive: true })
  return { fs: nodeFileSystem, directory, [Symbol.asyncDispose]: remove }
}

function inMemory(make: () => FileSystem): () => Promise<FileSystemUnderTest> {
  return async () => {
    const fs = make()
    await fs.mkdir('/tmp/test')
    return { fs, directory: '/tmp/test', [Symbol.asyncDispose]: async () => {} }
  }
}

const memory = inMemory(() => new MemoryFileSystem())
const fault = inMemory(() => new FaultFileSystem())

fileSystemContract('on disk', onDisk)
fileSystemContract('in memory', memory)
fileSystemContract('with faults', fault)
lockContract('in memory', memory)
lockContract('with faults', fault)
