import { randomUUID } from 'node:crypto'
import path from 'node:path'
import {
  formatPartitionMetadata,
  parsePartitionMetadata,
  readFileIfThere,
  replaceFile,
} from '../storage/checkpoint.ts'
import {
  deletingDirectoryName,
  directoryKind,
  PARTITION_METADATA,
  parsePartitionDirectoryName,
  partitionDirectoryName,
} from '../storage/file-names.ts'
import type { FileSystem } from '../types.ts'

/** Partition directories: found, made, and removed. */
export class TopicFiles {
  readonly #fileSystem: FileSystem
  readonly #root: string

  constructor(fileSystem: FileSystem, root: string) {
    this.#fileSystem = fileSystem
    this.#root = root
  }

  pathOf(topic: string, partition: number): string {
    return path.join(this.#root, partitionDirectoryName(topic, partition))
  }

  /** The partitions of which there is a directory, by topic, and the directories that are being deleted. */
  async list(): Promise<{ topics: Map<string, number[]>; deleting: string[] }> {
    const topics = new Map<string, number[]>()
    const deleting: string[] = []
    for (const name of await this.#fileSystem.readdir(this.#root)) {
      const kind = directoryKind(name)
      if (kind === 'deleting') deleting.push(name)
      if (kind !== 'partition') continue
      const parsed = parsePartitionDirectoryName(name)
      if (parsed === undefined || !(await this.#isDirectory(name))) continue
      const partitions = topics.get(parsed.topic)
      if (partitions === undefined) topics.set(parsed.topic, [parsed.partition])
      else partitions.push(parsed.partition)
    }
    return { topics, deleting }
  }

  /** The topic id in the directory of a partition; undefined where there is none that can be read. */
  async topicIdOf(topic: string, partition: number): Promise<string | undefined> {
    const file = path.join(this.pathOf(topic, partition), PARTITION_METADATA)
    const bytes = await readFileIfThere(this.#fileSystem, file)
    if (bytes === undefined) return undefined
    try {
      return parsePartitionMetadata(bytes, file)
    } catch {
      return undefined
    }
  }

  has(topic: string, partition: number): Promise<boolean> {
    return this.#isDirectory(partitionDirectoryName(topic, partition))
  }

  /**
   * Makes the directories of partitions, with their `partition.metadata`; those that are there stay as they are. Where it rejects, those
   * that it made are gone again, as far as can be: names that a failed sync has lost are not written by the next one.
   */
  async make(topic: string, partitions: readonly number[], topicId: string): Promise<void> {
    const made: string[] = []
    try {
      for (const partition of partitions) {
        const name = partitionDirectoryName(topic, partition)
        if (!(await this.#isDirectory(name))) made.push(name)
        await this.#makeOne(path.join(this.#root, name), topicId)
      }
      await this.#fileSystem.syncDirectory(this.#root)
    } catch (error) {
      await Promise.allSettled(made.map((name) => this.unlink(name)))
      throw error
    }
  }

  async #makeOne(directory: string, topicId: string): Promise<void> {
    await this.#fileSystem.mkdir(directory)
    const file = path.join(directory, PARTITION_METADATA)
    if ((await this.#fileSystem.stat(file)) !== undefined) return
    await replaceFile(this.#fileSystem, file, formatPartitionMetadata(topicId))
  }

  /** Renames the directories of partitions, so that no open takes them for a topic; answers with their new names. */
  async markDeleting(topic: string, partitions: readonly number[]): Promise<string[]> {
    const names: string[] = []
    for (const partition of partitions) {
      const name = deletingDirectoryName(topic, partition, randomUUID())
      await this.#fileSystem.rename(this.pathOf(topic, partition), path.join(this.#root, name))
      names.push(name)
    }
    await this.#fileSystem.syncDirectory(this.#root)
    return names
  }

  /** Unlinks what is in a directory that is being deleted, then the directory. */
  async unlink(name: string): Promise<void> {
    const directory = path.join(this.#root, name)
    for (const file of await this.#fileSystem.readdir(directory)) {
      await this.#fileSystem.unlink(path.join(directory, file))
    }
    await this.#fileSystem.rmdir(directory)
  }

  async #isDirectory(name: string): Promise<boolean> {
    const stat = await this.#fileSystem.stat(path.join(this.#root, name))
    return stat?.isDirectory === true
  }
}
