/** What all random data comes from: `npm run test:kafka -- --seed N` repeats it. */
export const SEED = Number(process.env['BROKERLESS_SEED'] ?? Date.now() % 1_000_000)
