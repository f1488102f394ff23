import Module from 'node:module'

interface Resolver {
  _resolveFilename(request: string, ...others: unknown[]): string
}

/** The process finds the package no more; called before it first looks for it. The answer takes that back. */
export function hidePackage(name: string): () => void {
  const resolver = Module as unknown as Resolver
  const resolve = resolver._resolveFilename
  resolver._resolveFilename = function (request, ...others) {
    if (request !== name) return resolve.call(this, request, ...others)
    throw new Error(`Cannot find module '${name}'\nRequire stack:`)
  }
  return () => {
    resolver._resolveFilename = resolve
  }
}
