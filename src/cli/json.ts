/** An answer as one JSON document, which ends with a line; bytes in it are base64. */
export function jsonDocument(answer: unknown): string {
  return `${JSON.stringify(answer, replaced, 2)}\n`
}

/** One of many, on a line of its own. */
export function jsonLine(entry: unknown): string {
  return JSON.stringify(entry, replaced)
}

/** Called after `toJSON`, which has made a Buffer something else; what it was is still in `this`. */
function replaced(this: unknown, name: string, value: unknown): unknown {
  const original = (this as Readonly<Record<string, unknown>>)[name]
  return original instanceof Uint8Array ? Buffer.from(original).toString('base64') : value
}
