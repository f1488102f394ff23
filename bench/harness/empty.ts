// The peak memory of a Node process that does nothing.
import { peakBytes } from './stopwatch.ts'

console.log(peakBytes())
