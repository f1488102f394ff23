export { ManualClock } from './manual-clock.ts'
export { MemoryFileSystem, type MemoryFileSystemOptions } from './memory-file-system.ts'
export { openMemoryLog } from './open-memory-log.ts'
