// What compression takes and gives: events as JSON, appended and read with each codec, beside the codec alone.
import type { CompressionType } from '../../src/index.ts'
import type { Contender, Parameters, Preparation, Target, Workload } from './types.ts'

const CODEC_TYPES = ['gzip', 'snappy', 'lz4', 'zstd'] as const
/** Those that are held to a share of what the codec alone comes to, and the share. */
const HELD: readonly CompressionType[] = ['gzip', 'zstd']
const SHARE_OF_CODEC = 0.7

const EVENTS: Partial<Parameters> = { records: 500_000, batchRecords: 1000, content: 'flights' }
const QUICK: Partial<Parameters> = { records: 10_000 }
/** Stands for the others in a smoke run. */
const QUICK_LABEL = 'zstd'
const WRITTEN: Preparation = { program: 'brokerless', task: 'append', ending: 'closed' }

interface Way {
  /** What the codec does alone. */
  readonly task: 'compress' | 'decompress'
  readonly library?: Partial<Contender>
  readonly parameters?: Partial<Parameters>
  /** Behind the codec's name. */
  readonly suffix?: string
}

/** The codec alone, on the batches that the log forms, and the log with it. */
function pair(compression: CompressionType, way: Way): Contender[] {
  const { task, library = {}, suffix = '' } = way
  const parameters = { ...way.parameters, compression }
  const label = `${compression}${suffix}`
  const notInQuick = label !== QUICK_LABEL
  const alone: Contender = {
    label: `${compression} alone${suffix}`,
    program: 'codec',
    task,
    prepare: WRITTEN,
    parameters,
    notInQuick,
  }
  const held: Target = { metric: 'rate', of: alone.label, atLeast: SHARE_OF_CODEC }
  const targets = HELD.includes(compression) ? [held] : []
  const own: Contender = {
    label,
    program: 'brokerless',
    parameters,
    targets,
    notInQuick,
    ...library,
  }
  return [alone, own]
}

function withCodecs(way: Way): Contender[] {
  const plain: Contender = {
    label: 'none',
    program: 'brokerless',
    notInQuick: true,
    ...way.library,
  }
  return [plain, ...CODEC_TYPES.flatMap((type) => pair(type, way))]
}

/** So many calls are in flight: what comes while a batch is compressed shares the next one. */
const IN_FLIGHT: Way = { task: 'compress', parameters: { writers: 16 }, suffix: ', 16 in flight' }

/** How much is gained depends on how much is compressed together. */
function batchesOf(batchRecords: number): Contender {
  const parameters = { batchRecords, compression: 'zstd', records: 200_000 } as const
  const label = `zstd, batches of ${batchRecords}`
  return { label, program: 'brokerless', parameters, notInQuick: true }
}

export const CODECS: readonly Workload[] = [
  {
    id: 'W12',
    title: "append 500k flights as JSON, batches of 1,000, 'os', final flush counted, by codec",
    task: 'append',
    metric: 'rate',
    kind: 'comparison',
    parameters: EVENTS,
    quick: QUICK,
    contenders: [
      ...withCodecs({ task: 'compress' }),
      ...HELD.flatMap((type) => pair(type, IN_FLIGHT)),
      batchesOf(100),
      batchesOf(10),
    ],
  },
  {
    id: 'W13',
    title: "scan W12's records a page at a time, touching key and value, by codec",
    task: 'scan',
    metric: 'rate',
    kind: 'comparison',
    parameters: EVENTS,
    quick: QUICK,
    contenders: withCodecs({
      task: 'decompress',
      library: { variant: 'fetch', prepare: WRITTEN },
    }),
  },
]
