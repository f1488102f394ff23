import { random32 } from '../../data/records.ts'

/** Orders of about 100 bytes as MessagePack. */
export function orderObjects(): object[] {
  const next = random32()
  return Array.from({ length: 1000 }, (_, index) => ({
    orderId: `order-${1_000_000 + index}`,
    customer: `customer-${10_000_000 + (next() % 10_000_000)}`,
    cents: next() % 100_000,
    note: 'to be left at the door',
  }))
}
