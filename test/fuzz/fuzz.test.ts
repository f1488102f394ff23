// The fuzzer finds what is planted, and in a short run nothing else: npm run fuzz runs it for longer.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { TestContext } from 'node:test'
import { describe, test } from 'node:test'
import { removeAfter } from '../support/fixtures.ts'
import type { CampaignOptions } from './campaign.ts'
import { checkInput, runCampaign } from './campaign.ts'
import { FuzzRandom } from './fuzz-random.ts'
import { TARGETS as PLANTED } from './planted.ts'
import { TARGETS } from './targets/index.ts'

const SECONDS = Number(process.env['BROKERLESS_FUZZ_SECONDS'] ?? 3)
const MODULE = path.join(import.meta.dirname, 'targets/index.ts')
const PLANTED_MODULE = path.join(import.meta.dirname, 'planted.ts')

function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'brokerless-fuzz-test-'))
  removeAfter(t, directory)
  return directory
}

for (const [kind, seed] of [
  ['fixed', 1],
  ['random', Math.floor(Math.random() * 2 ** 31)],
] as const) {
  test(`no decoder misbehaves in a short run with a ${kind} seed`, async (t) => {
    const lines: string[] = []
    const { results, findings } = await runCampaign({
      seed,
      seconds: SECONDS,
      targets: TARGETS,
      targetsModule: MODULE,
      directory: path.join(import.meta.dirname, '../../.cache/fuzz'),
      print: (line) => lines.push(line),
    })
    for (const line of lines) t.diagnostic(line)
    assert.deepEqual(findings, [], lines.join('\n'))
    assert.ok(results.every(({ inputs }) => inputs > 0))
  })
}

describe('what is planted', () => {
  const named = (...names: string[]) => PLANTED.filter(({ name }) => names.includes(name))

  function campaign(t: TestContext, lines: string[]): Omit<CampaignOptions, 'targets'> {
    return {
      seed: 5,
      seconds: 60,
      targetsModule: PLANTED_MODULE,
      directory: temporaryDirectory(t),
      minimizeSeconds: 0,
      limits: { heapMegabytes: 64, residentBytes: 400 * 1024 * 1024 },
      print: (line) => lines.push(line),
    }
  }

  test('is found: what throws, hangs, grows or dies', async (t) => {
    const lines: string[] = []
    const signatures: Readonly<Record<string, RegExp>> = {
      throws: /^TypeError .*planted/,
      rejects: /^TypeError .*planted/,
      floats: /^crash 1$/,
      loops: /^hang$/,
      waits: /^hang$/,
      allocates: /^memory held$/,
      exhausts: /^crash |^memory/,
      ends: /^crash 3$/,
    }
    const targets = named(...Object.keys(signatures))
    const { findings } = await runCampaign({ ...campaign(t, lines), targets })
    assert.equal(findings.length, targets.length, lines.join('\n'))
    for (const { target, iteration, failure, file } of findings) {
      assert.match(failure.signature, signatures[target] ?? /^$/, target)
      const again = `npm run fuzz -- --target ${target} --seed 5 --iteration ${iteration}`
      assert.ok(lines.some((line) => line.endsWith(again)))
      const [planted] = named(target)
      const input = planted?.generate(new FuzzRandom(5, target, iteration))
      assert.deepEqual(readFileSync(file), input)
      assert.ok(input?.includes(0x42), target)
    }
  })

  test('is made small, and is found again in the file', async (t) => {
    const targets = named('throws')
    const options = { ...campaign(t, []), targets, minimizeSeconds: 20 }
    const { findings } = await runCampaign(options)
    const [target] = targets
    const smallest = readFileSync(findings[0]?.file ?? '')
    assert.deepEqual(smallest, Buffer.from([0x42]))
    assert.ok(target)
    assert.match((await checkInput(PLANTED_MODULE, target, smallest))?.text ?? '', /planted/)
    assert.equal(await checkInput(PLANTED_MODULE, target, Buffer.from([0x43])), undefined)
  })

  test('is not found where nothing is', async (t) => {
    const lines: string[] = []
    const options = { ...campaign(t, lines), targets: named('sound'), seconds: 0.2 }
    const { results, findings } = await runCampaign(options)
    assert.deepEqual(findings, [])
    const [sound] = results
    assert.ok(sound && sound.inputs > 0 && sound.peakResidentBytes > 0)
    const [first, second = ''] = lines
    assert.equal(first, 'seed 5, 1 targets')
    assert.match(second, /^sound +\d+ inputs, slowest \d+\.\d ms \(iteration \d+\), peak \d+ MiB$/)
  })
})
