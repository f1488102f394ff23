// Loaded with --import before a program: the library then finds `crc-32` alone.
import Module from 'node:module'

interface Resolver {
  _resolveFilename(request: string, ...others: unknown[]): string
}

const NATIVE = '@node-rs/crc32'
const resolver = Module as unknown as Resolver
const resolve = resolver._resolveFilename
resolver._resolveFilename = function (request, ...others) {
  if (request === NATIVE) throw new Error(`${NATIVE} is hidden`)
  return resolve.call(this, request, ...others)
}
