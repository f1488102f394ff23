import { random32 } from '../../data/records.ts'

/** Orders of about 100 bytes as MessagePack. */
export function orderObjects(): object[] {
  const next = random32()
  return Array.from({ length: 1000 }, (_, index) => ({
    orderId: `o-${1_000_000 + index}`,
    customer: `customer-${next() % 100_000}`,
    cents: next() % 100_000,
    currency: 'EUR',
    items: 1 + (next() % 9),
    paid: next() % 2 === 0,
    placedAt: 1_790_000_000_000 + (next() % 1_000_000_000),
  }))
}
