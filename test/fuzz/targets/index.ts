import type { FuzzTarget } from '../target.ts'
import { batch, varint } from './codec.ts'
import { COMPRESSION_TARGETS } from './compression.ts'
import { DIRECTORY_TARGETS } from './directories.ts'
import { FILE_TARGETS } from './files.ts'
import { GROUP_TARGETS } from './groups.ts'
import { interleaving } from './interleaving.ts'
import { VALUE_TARGETS } from './values.ts'

export const TARGETS: readonly FuzzTarget[] = [
  varint,
  batch,
  ...COMPRESSION_TARGETS,
  ...FILE_TARGETS,
  ...GROUP_TARGETS,
  ...VALUE_TARGETS,
  ...DIRECTORY_TARGETS,
  interleaving,
]
