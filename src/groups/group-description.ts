import type { GroupMetadata } from './group-metadata-format.ts'
import type { GroupDescription, GroupOffset, GroupState } from './types.ts'

/**
 * Describes a group by what is stored of it. `metadata` is undefined for a group known by its commits alone,
 * `offsets` for one of which nothing is known.
 */
export function describeGroup(
  group: string,
  metadata: GroupMetadata | undefined,
  offsets: readonly GroupOffset[] | undefined,
): GroupDescription {
  return {
    group,
    state: stateOf(metadata, offsets),
    protocolType: metadata?.protocolType ?? '',
    generation: metadata?.generation ?? -1,
    protocol: metadata?.protocol ?? null,
    leader: metadata?.leader ?? null,
    members: metadata?.members ?? [],
    offsets: offsets ?? [],
  }
}

/** Kafka's rule for a group that it loads: with members it is stable. */
function stateOf(
  metadata: GroupMetadata | undefined,
  offsets: readonly GroupOffset[] | undefined,
): GroupState {
  if (metadata !== undefined && metadata.members.length > 0) return 'Stable'
  return metadata === undefined && offsets === undefined ? 'Dead' : 'Empty'
}
