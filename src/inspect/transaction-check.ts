/** Holds the states in `__transaction_state` against what the partitions have open. */
import path from 'node:path'
import type { PartitionName } from '../storage/file-names.ts'
import { partitionDirectoryName } from '../storage/file-names.ts'
import { TRANSACTIONS_TOPIC } from '../transactions/state-log.ts'
import type { StoredTransaction } from './transaction-states.ts'
import { storedTransactions } from './transaction-states.ts'
import type { FoundPart } from './transaction-survey.ts'
import { ownersOf, willBeDecided } from './transaction-survey.ts'
import type { VerifyContext } from './verify-context.ts'

/**
 * @param partitions those of the directory.
 * @param chosen those that were looked at.
 * @param open what was found open in these.
 */
export async function checkTransactions(
  context: VerifyContext,
  partitions: readonly PartitionName[],
  chosen: readonly PartitionName[],
  open: readonly FoundPart[],
): Promise<void> {
  const { findings, state } = context
  const transactions = await storedTransactions(context, partitions)
  const isStateChosen = chosen.some(({ topic }) => topic === TRANSACTIONS_TOPIC)
  for (const { partition, file, offset, message } of transactions.unread) {
    // Of unsound bytes the partition's own check has told.
    if (offset === undefined || !isStateChosen) continue
    const name = path.join(partitionDirectoryName(TRANSACTIONS_TOPIC, partition), file)
    findings.add('state-record', name, message, { firstOffset: offset, lastOffset: offset })
  }
  findings.settle()
  // A live writer has transactions on the way, of which nothing is stored before they are decided.
  if (state === 'live') return
  const owners = ownersOf(transactions)
  for (const part of open) checkOpen(context, part, owners.get(part.entry.producerId))
  findings.settle()
}

function checkOpen(
  { findings, state }: VerifyContext,
  part: FoundPart,
  owner: StoredTransaction | undefined,
): void {
  if (willBeDecided(owner, part.entry, part)) return
  const { topic, partition, entry } = part
  const { producerId, producerEpoch, currentTxnFirstOffset: firstOffset = 0 } = entry
  const name = partitionDirectoryName(topic, partition)
  const who = `producer ${producerId}, epoch ${producerEpoch}, has a transaction open from offset ${firstOffset} on`
  // A process that was killed may have begun the next one; a close ends them all.
  if (owner !== undefined && state === 'closed' && isComplete(owner, producerEpoch)) {
    const { transactionalId, state: stored } = owner
    const message = `${who}; ${stored.status} is the state of '${transactionalId}'`
    findings.add('transaction-open', name, message, { firstOffset })
    return
  }
  const message = `${who}; the next open to write aborts it`
  findings.add('transaction-hanging', name, message, { firstOffset })
}

function isComplete({ state }: StoredTransaction, producerEpoch: number): boolean {
  const { status } = state
  return (
    state.producerEpoch >= producerEpoch &&
    (status === 'CompleteCommit' || status === 'CompleteAbort')
  )
}
