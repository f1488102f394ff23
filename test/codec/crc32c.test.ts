import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { promisify } from 'node:util'
import fc from 'fast-check'
import type { NativeCrc32c } from '../../src/codec/crc32c.ts'
import { crc32c, createCrc32c, extendCrc32c } from '../../src/codec/crc32c.ts'
import { TYPESCRIPT } from '../support/typescript.ts'

const portable = createCrc32c()

/** Known vectors: RFC 3720, appendix B.4, and the usual check value. */
const VECTORS: [string, Buffer, number][] = [
  ['123456789', Buffer.from('123456789'), 0xe3069283],
  ['nothing', Buffer.alloc(0), 0],
  ['32 zeros', Buffer.alloc(32), 0x8a9136aa],
  ['32 bytes of 255', Buffer.alloc(32, 0xff), 0x62a8ab43],
  ['0 to 31', Buffer.from(Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e],
]

for (const [name, bytes, expected] of VECTORS) {
  test(`the CRC-32C of ${name} is 0x${expected.toString(16)}`, () => {
    assert.equal(crc32c(bytes, 0, bytes.length), expected)
    assert.equal(portable(bytes, 0, bytes.length), expected)
  })
}

test('only the bytes from start up to end count', () => {
  const bytes = Buffer.from('xx123456789yyy')
  assert.equal(crc32c(bytes, 2, 11), 0xe3069283)
})

test('the native implementation is asked for large ranges only', () => {
  const asked: number[] = []
  const both = createCrc32c((bytes) => {
    asked.push(bytes.length)
    return 7
  })
  const bytes = Buffer.alloc(100_000, 3)
  assert.equal(both(bytes, 10, 110), portable(bytes, 10, 110))
  assert.deepEqual(asked, [])
  assert.equal(both(bytes, 10, 90_010), 7)
  assert.deepEqual(asked, [90_000])
})

test('what stands in for the native implementation agrees with the one in use', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 0, maxLength: 3000 }),
      fc.nat(20),
      fc.nat(20),
      (bytes, before, after) => {
        const start = Math.min(before, bytes.length)
        const end = Math.max(start, bytes.length - after)
        assert.equal(portable(bytes, start, end), crc32c(bytes, start, end))
      },
    ),
  )
})

const native = loadNative()
if (native !== undefined) {
  test('@node-rs/crc32 agrees with crc-32 on large and odd sizes', () => {
    for (const size of [1, 15, 16, 17, 511, 512, 513, 4095, 70_001]) {
      const bytes = Buffer.from(Array.from({ length: size }, (_, i) => (i * 31 + size) & 0xff))
      assert.equal(native(bytes), portable(bytes, 0, size))
      assert.equal(createCrc32c(native)(bytes, 0, size), portable(bytes, 0, size))
    }
  })
}

/** Refuses to load the package, as a system without a binary for it does. */
const BLOCK_NATIVE = `
  import Module from 'node:module'
  const load = Module._load
  Module._load = (id, ...rest) => {
    if (id === '@node-rs/crc32') throw new Error('blocked for this test')
    return load(id, ...rest)
  }`
const COMPUTE = `
  import { crc32c } from ${JSON.stringify(new URL('../../src/codec/crc32c.ts', import.meta.url).href)}
  console.log(crc32c(Buffer.alloc(100_000, 3), 0, 100_000))
  console.log(crc32c(Buffer.from('123456789'), 0, 9))`
const asUrl = (source: string): string => `data:text/javascript,${encodeURIComponent(source)}`

test('without @node-rs/crc32 the checksums are the same, and that is told once through debug', async () => {
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    [
      '--import',
      TYPESCRIPT,
      '--import',
      asUrl(BLOCK_NATIVE),
      '--input-type=module',
      '--eval',
      COMPUTE,
    ],
    { env: { ...process.env, DEBUG: 'brokerless:codec', DEBUG_COLORS: '0' } },
  )
  const bytes = Buffer.alloc(100_000, 3)
  assert.equal(stdout, `${crc32c(bytes, 0, bytes.length)}\n${0xe3069283}\n`)
  assert.equal(
    stderr.match(/@node-rs\/crc32 could not be loaded.*blocked for this test/g)?.length,
    1,
  )
})

function loadNative(): NativeCrc32c | undefined {
  try {
    const module = createRequire(import.meta.url)('@node-rs/crc32') as { crc32c: NativeCrc32c }
    return module.crc32c
  } catch {
    return undefined
  }
}

test('a CRC goes on over bytes that come piece by piece', () => {
  const bytes = Buffer.from(Array.from({ length: 5000 }, (_, index) => (index * 31) & 0xff))
  const whole = crc32c(bytes, 0, bytes.length)
  for (const pieceBytes of [1, 7, 600, 4999, 5000]) {
    let crc = 0
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      crc = extendCrc32c(crc, bytes, at, Math.min(at + pieceBytes, bytes.length))
    }
    assert.equal(crc, whole)
  }
})
