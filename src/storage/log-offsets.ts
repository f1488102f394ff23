import type { Durability } from '../types.ts'

export interface OffsetsAtOpen {
  readonly logEndOffset: number
  readonly syncedOffset: number
}

/** How far one partition has come. */
export class LogOffsets {
  /** The next offset to be written. */
  logEndOffset: number
  /** Everything below is on the disk. */
  syncedOffset: number
  /** Where readers stop. Never moves back. */
  highWatermark = 0

  constructor({ logEndOffset, syncedOffset }: OffsetsAtOpen) {
    this.logEndOffset = logEndOffset
    this.syncedOffset = syncedOffset
  }

  /** Moves the high watermark to where readers of a topic of this durability may see; tells whether it moved. */
  advance(durability: Durability): boolean {
    const visible = durability === 'os' ? this.logEndOffset : this.syncedOffset
    if (visible <= this.highWatermark) return false
    this.highWatermark = visible
    return true
  }
}
