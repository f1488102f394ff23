/** The known name that a misspelt one most likely stands for; undefined where none is near. Case does not count. */
export function closestName(given: string, known: Iterable<string>): string | undefined {
  const wanted = given.toLowerCase()
  let closest: string | undefined
  // About one slip in three letters: beyond that a hint is more confusing than none.
  let distance = Math.max(2, Math.floor(given.length / 3)) + 1
  for (const name of known) {
    const candidate = editDistance(wanted, name.toLowerCase())
    if (candidate >= distance) continue
    closest = name
    distance = candidate
  }
  return closest
}

/** Levenshtein's distance: insertions, deletions and replacements of one UTF-16 unit. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (let i = 1; i <= from.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= to.length; j += 1) {
      const replaced = at(row, j - 1) + (from[i - 1] === to[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, at(row, j) + 1, at(next, j - 1) + 1))
    }
    row = next
  }
  return at(row, to.length)
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? 0
}
