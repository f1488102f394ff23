// npm run fuzz: every decoder of bytes, and whole directories, on inputs that are random or were real once. Nothing that the library
// is given may make it hang, crash or grow; it may only refuse. Exit code 1 where something was found.
// npm run fuzz -- --seconds 600                              for all targets together; default 60
// npm run fuzz -- --target batch,snapshot --seed 7           only these; --list names them all
// npm run fuzz -- --target batch --seed 7 --iteration 1234   one input again
// npm run fuzz -- --target batch --input FILE                one input that was written to a file
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { checkInput, runCampaign } from '../test/fuzz/campaign.ts'
import { TARGETS } from '../test/fuzz/targets/index.ts'
import { ROOT } from './lib/run-tests.mjs'

const TARGETS_MODULE = path.join(ROOT, 'test/fuzz/targets/index.ts')
const DIRECTORY = path.join(ROOT, '.cache/fuzz')

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seconds: { type: 'string', default: '60' },
    target: { type: 'string', multiple: true },
    iteration: { type: 'string' },
    input: { type: 'string' },
    list: { type: 'boolean', default: false },
  },
})

function wholeNumber(name, text) {
  if (!/^\d+$/.test(text)) throw new RangeError(`--${name} takes a whole number, not ${text}`)
  return Number(text)
}

function chosenTargets() {
  const names = (values.target ?? []).flatMap((each) => each.split(','))
  const unknown = names.filter((name) => !TARGETS.some((each) => each.name === name))
  if (unknown.length > 0) throw new RangeError(`no such target: ${unknown.join(', ')} (--list)`)
  return TARGETS.filter(({ name }) => names.length === 0 || names.includes(name))
}

async function again(targets) {
  if (targets.length !== 1) throw new RangeError('--input needs one --target')
  const [target] = targets
  const failure = await checkInput(TARGETS_MODULE, target, readFileSync(values.input))
  console.log(failure === undefined ? `${target.name}: nothing found` : `FOUND: ${failure.text}`)
  return failure === undefined ? 0 : 1
}

async function main() {
  const targets = chosenTargets()
  if (values.list) {
    for (const { name } of targets) console.log(name)
    return 0
  }
  if (values.input !== undefined) return again(targets)
  const seed =
    values.seed === undefined
      ? Math.floor(Math.random() * 2 ** 31)
      : wholeNumber('seed', values.seed)
  const { findings } = await runCampaign({
    seed,
    seconds: wholeNumber('seconds', values.seconds),
    targets,
    targetsModule: TARGETS_MODULE,
    directory: DIRECTORY,
    print: (line) => console.log(line),
    ...(values.iteration === undefined
      ? {}
      : { iteration: wholeNumber('iteration', values.iteration) }),
  })
  return findings.length === 0 ? 0 : 1
}

process.exitCode = await main()
