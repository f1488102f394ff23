// npm run test:mutants: shows that the suite bites. Each known fault is put into a copy of the source; a named test must fail.
// npm run test:mutants -- marker     only those with this word in their name
import { judgeAll } from '../test/mutants/engine.ts'
import { MUTANTS } from '../test/mutants/table.ts'
import { ROOT } from './lib/run-tests.mjs'

const words = process.argv.slice(2)
const chosen = MUTANTS.filter(({ name }) => words.every((word) => name.includes(word)))
if (chosen.length === 0) throw new Error('no mutant of that name')

const outcomes = await judgeAll(ROOT, chosen, ({ mutant, result, seconds, reason }) => {
  console.log(
    `${result === 'killed' ? '✔ killed  ' : '✖ SURVIVED'} ${mutant.name} (${seconds.toFixed(1)} s)`,
  )
  console.log(`    ${mutant.killedBy.file} › ${mutant.killedBy.test}`)
  if (reason !== '') console.log(reason.replace(/^/gm, '    '))
})
const survivors = outcomes.filter(({ result }) => result === 'survived').length
console.log(`\n${outcomes.length - survivors} mutants killed, ${survivors} survived`)
process.exitCode = survivors === 0 ? 0 : 1
