// The comparison as a picture: for each workload a bar a program, as a share of raw's speed. Text takes the colour of the page it is on.
import type { Machine } from '../harness/machine.ts'
import type { ProgramName, Workload } from '../trials/types.ts'
import { shown, shownRatio } from './format.ts'
import type { Result } from './judgement.ts'
import { spreadOfMetric } from './judgement.ts'

const COLOURS: Readonly<Record<ProgramName, string>> = {
  raw: '#8a8f98',
  'raw+encode': '#b4b8bf',
  brokerless: '#2f81f7',
  lmdb: '#d29922',
  'better-sqlite3': '#3fb950',
  'classic-level': '#db61a2',
  codec: '#a371f7',
}

const WIDTH = 860
const LABEL_WIDTH = 230
const VALUE_WIDTH = 150
const BAR_WIDTH = WIDTH - LABEL_WIDTH - VALUE_WIDTH
const BAR_HEIGHT = 14
const ROW_HEIGHT = 19
const TITLE_HEIGHT = 34
const MARGIN = 12
/** A bar that passes raw by more is cut here. */
const MAXIMUM_SHARE = 1.25

const STYLE = `
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600 }
  .note { fill: #6e7781 }
  line { stroke: #6e7781; stroke-width: 1; stroke-dasharray: 3 3 }
  @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .note { fill: #9198a1 } }`

export function svgOf(results: readonly Result[], machine: Machine): string {
  const workloads = [...new Set(results.map(({ workload }) => workload))]
  const parts: string[] = []
  let y = MARGIN
  for (const workload of workloads.filter(({ kind }) => kind === 'comparison')) {
    const bars = barsOf(workload, results)
    if (bars.length === 0) continue
    parts.push(chart(workload, bars, y))
    y += TITLE_HEIGHT + bars.length * ROW_HEIGHT + MARGIN
  }
  const note = 'Speed relative to raw (node:fs, batches encoded before), which is the dashed line.'
  parts.push(text(MARGIN, y + MARGIN, note, 'note'))
  parts.push(text(MARGIN, y + MARGIN + ROW_HEIGHT, machine.summary, 'note'))
  const height = y + MARGIN + 2 * ROW_HEIGHT
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`,
    `<title>brokerless and others relative to bare node:fs</title>`,
    `<style>${STYLE}\n</style>`,
    ...parts,
    '</svg>\n',
  ].join('\n')
}

interface Bar {
  readonly label: string
  readonly program: ProgramName
  /** Of raw's speed. */
  readonly share: number
  readonly value: string
}

/** Empty where raw was not measured. */
function barsOf(workload: Workload, all: readonly Result[]): Bar[] {
  const { metric } = workload
  const results = all.filter((each) => each.workload === workload && !each.contender.portableCrc)
  const medianOf = (result: Result): number => spreadOfMetric(result, metric)?.median ?? Number.NaN
  const raw = results.find(({ contender }) => contender.program === 'raw')
  if (raw === undefined) return []
  return results.flatMap((result) => {
    const median = medianOf(result)
    const share = metric === 'rate' ? median / medianOf(raw) : medianOf(raw) / median
    const { label, program } = result.contender
    return Number.isNaN(share) ? [] : [{ label, program, share, value: shown(median, metric) }]
  })
}

function chart(workload: Workload, bars: readonly Bar[], top: number): string {
  const title = text(MARGIN, top + 18, `${workload.id}  ${workload.title}`, 'title')
  const first = top + TITLE_HEIGHT - 6
  const rawX = LABEL_WIDTH + BAR_WIDTH / MAXIMUM_SHARE
  const bottom = first + bars.length * ROW_HEIGHT
  const rawLine = `<line x1="${rawX}" x2="${rawX}" y1="${first}" y2="${bottom}"/>`
  return [title, ...bars.map((bar, index) => row(bar, first + index * ROW_HEIGHT)), rawLine].join(
    '\n',
  )
}

function row({ label, program, share, value }: Bar, y: number): string {
  const length = (Math.min(share, MAXIMUM_SHARE) / MAXIMUM_SHARE) * BAR_WIDTH
  const width = Math.max(1, length).toFixed(1)
  const baseline = y + BAR_HEIGHT - 3
  return [
    text(MARGIN, baseline, label, ''),
    `<rect x="${LABEL_WIDTH}" y="${y}" width="${width}" height="${BAR_HEIGHT}" fill="${COLOURS[program]}"/>`,
    text(LABEL_WIDTH + BAR_WIDTH + 8, baseline, `${shownRatio(share)} x`, ''),
    text(LABEL_WIDTH + BAR_WIDTH + 72, baseline, value, ''),
  ].join('\n')
}

function text(x: number, y: number, content: string, className: string): string {
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  const attribute = className === '' ? '' : ` class="${className}"`
  return `<text x="${x}" y="${y}"${attribute}>${escaped}</text>`
}
