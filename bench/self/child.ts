// One measurement in a process of its own: `child.ts <contender> <directory>`; prints it as JSON.
import { appendEncoded, appendLog, appendRaw, singleLog, singleRaw } from './append.ts'
import { deliverFetch, deliverRaw, deliverRead } from './delivery.ts'
import type { Measurement } from './measure.ts'
import { scanBatches, scanFetch, scanRaw, scanRead, scanViews } from './scan.ts'

const CONTENDERS: Readonly<
  Record<string, (directory: string) => Measurement | Promise<Measurement>>
> = {
  appendRaw,
  appendEncoded,
  appendLog,
  singleRaw,
  singleLog,
  scanRaw,
  scanViews,
  scanFetch,
  scanBatches,
  scanRead,
  deliverRaw,
  deliverFetch,
  deliverRead,
}

const [name = '', directory = ''] = process.argv.slice(2)
const contender = CONTENDERS[name]
if (contender === undefined) throw new Error(`no contender is called ${name}`)
console.log(JSON.stringify(await contender(directory)))
