// A node:test reporter that prints one line a test: its result and its name, and the error of one that failed.
export default async function* report(source) {
  for await (const { type, data } of source) {
    if (type === 'test:pass') yield `passed ${data.name}\n`
    if (type === 'test:fail') yield `failed ${data.name}\n    ${String(data.details.error.cause)}\n`
    if (type === 'test:stderr') yield data.message
  }
}
