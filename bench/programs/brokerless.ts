// This library, as its README says to use it.
import { append, appendConcurrent, appendSingle, appendSynced } from './brokerless/append.ts'
import { appendKeyed, compact, fetchBeside, produceBeside } from './brokerless/compaction.ts'
import { consume, runHandler } from './brokerless/consumers.ts'
import { deliver } from './brokerless/deliver.ts'
import { idleConsumers, rebalance } from './brokerless/members.ts'
import { processRecords } from './brokerless/processing.ts'
import { readRandom, scan } from './brokerless/read.ts'
import { reopen, touchPartitions } from './brokerless/reopen.ts'
import { transact } from './brokerless/transactions.ts'
import type { Program } from './program.ts'

export const program: Program = {
  tasks: {
    append,
    appendSynced,
    appendConcurrent,
    appendSingle,
    scan,
    readRandom,
    deliver,
    reopen,
    touchPartitions,
    appendKeyed,
    compact,
    produceBeside,
    fetchBeside,
    consume,
    runHandler,
    rebalance,
    idleConsumers,
    transact,
    processRecords,
  },
}
