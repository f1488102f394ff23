// What README.md holds that a test can check: its code blocks and its tables.

export interface CodeBlock {
  readonly language: 'js' | 'ts'
  readonly code: string
  /** Where it begins in the README, counted from 1. */
  readonly line: number
}

const FENCE = /^(?<continues><!-- continues -->\n+)?```(?<language>js|ts)\n(?<code>[\s\S]*?)^```$/gm

/**
 * The js and ts blocks, each a program of its own. One that stands right behind `<!-- continues -->` goes on where
 * the block before it ended, and is joined to it.
 */
export function codeBlocks(markdown: string): CodeBlock[] {
  const blocks: CodeBlock[] = []
  for (const match of markdown.matchAll(FENCE)) {
    const language = match.groups?.['language'] === 'js' ? 'js' : 'ts'
    const code = match.groups?.['code'] ?? ''
    const before = blocks.at(-1)
    if (match.groups?.['continues'] !== undefined && before !== undefined) {
      blocks[blocks.length - 1] = { ...before, code: `${before.code}\n${code}` }
    } else {
      blocks.push({ language, code, line: markdown.slice(0, match.index).split('\n').length })
    }
  }
  return blocks
}

/** Rows of all tables, as the texts of their cells; rules and the rows above them left out. */
export function tableRows(markdown: string): string[][] {
  const lines = markdown.split('\n')
  const isRule = (line: string | undefined): boolean => /^\|(?:\s*:?-+:?\s*\|)+$/.test(line ?? '')
  return lines
    .filter((line, at) => line.startsWith('|') && !isRule(line) && !isRule(lines[at + 1]))
    .map((line) =>
      line
        .replace(/^\||\|\s*$/g, '')
        .split(/(?<!\\)\|/)
        .map((cell) => cell.trim()),
    )
}

/** Rows whose first cell is one name in backticks, by that name; `pattern` says which names. */
export function namedRows(markdown: string, pattern: RegExp): Map<string, string[]> {
  const rows = new Map<string, string[]>()
  for (const [first = '', ...rest] of tableRows(markdown)) {
    const name = /^`([^`]+)`$/.exec(first)?.[1]
    if (name !== undefined && pattern.test(name)) rows.set(name, rest)
  }
  return rows
}
