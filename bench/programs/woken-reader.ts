// W8 for a store that does not wake its readers: the writer does, once the store has the record.
import type { Delivered, Delivery } from './pacing.ts'

export interface WrittenAndRead {
  readonly append: (index: number) => unknown
  readonly read: (index: number) => Uint8Array | undefined | Promise<Uint8Array | undefined>
}

export function wokenReader({ append, read }: WrittenAndRead): (index: number) => Delivery {
  return (index) => {
    let wake = (): void => {}
    const woken = new Promise<void>((resolve) => {
      wake = resolve
    })
    const delivered = woken.then(async (): Promise<Delivered> => {
      const value = await read(index)
      const atMs = performance.now()
      if (value === undefined) throw new Error('no record came')
      return { atMs, value }
    })
    return {
      delivered,
      append: async () => {
        await append(index)
        wake()
      },
    }
  }
}
