import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BatchFormatError } from '../../src/codec/batch-format-error.ts'
import {
  VarintReader,
  varintSize,
  varlongSize,
  writeVarint,
  writeVarlong,
} from '../../src/codec/varint.ts'

const MAX_INT = 2 ** 31 - 1
const MAX = Number.MAX_SAFE_INTEGER

const VARINTS: [number, string][] = [
  [0, '00'],
  [-1, '01'],
  [1, '02'],
  [63, '7e'],
  [-64, '7f'],
  [64, '8001'],
  [-65, '8101'],
  [8191, 'fe7f'],
  [8192, '808001'],
  [-8193, '818001'],
  [1_048_576, '80808001'],
  [134_217_727, 'feffff7f'],
  [134_217_728, '8080808001'],
  [MAX_INT, 'feffffff0f'],
  [-(2 ** 31), 'ffffffff0f'],
]

for (const [value, hex] of VARINTS) {
  test(`${value} is the varint ${hex}`, () => {
    const buffer = Buffer.alloc(8)
    const end = writeVarint(buffer, 1, value)
    assert.equal(buffer.subarray(1, end).toString('hex'), hex)
    assert.equal(varintSize(value), hex.length / 2)
    const reader = new VarintReader(buffer, 1, end)
    assert.equal(reader.readVarint(), value)
    assert.equal(reader.position, end)
  })
}

/** Zigzag and base 128 over BigInt, as the format is described. */
function referenceVarlong(value: number): Buffer {
  let zigzag = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n))
  const bytes: number[] = []
  while (zigzag >= 0x80n) {
    bytes.push(Number(zigzag & 0x7fn) | 0x80)
    zigzag >>= 7n
  }
  bytes.push(Number(zigzag))
  return Buffer.from(bytes)
}

function checkVarlong(value: number): void {
  const expected = referenceVarlong(value)
  const buffer = Buffer.alloc(12)
  const end = writeVarlong(buffer, 1, value)
  assert.equal(buffer.subarray(1, end).toString('hex'), expected.toString('hex'), `${value}`)
  assert.equal(varlongSize(value), expected.length, `${value}`)
  const reader = new VarintReader(buffer, 1, end)
  assert.equal(reader.readVarlong(), value)
  assert.equal(reader.position, end)
}

test('varlongs at every power of two and its neighbours are as the format says', () => {
  for (let bits = 0; bits < 53; bits += 1) {
    for (const near of [-1, 0, 1]) {
      checkVarlong(2 ** bits + near)
      if (2 ** bits + near !== 0) checkVarlong(-(2 ** bits) - near)
    }
  }
  checkVarlong(MAX)
  checkVarlong(-MAX)
})

test('any safe integer comes back from its varlong', () => {
  fc.assert(fc.property(fc.maxSafeInteger(), (value) => checkVarlong(value === 0 ? 0 : value)))
})

test('a number that is no safe integer is not written as a varlong', () => {
  for (const value of [MAX + 1, -MAX - 1, 2 ** 60, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(() => writeVarlong(Buffer.alloc(12), 0, value), RangeError)
    assert.throws(() => varlongSize(value), RangeError)
  }
})

const MALFORMED_VARINTS: [string, string][] = [
  ['without a byte', ''],
  ['cut short after one byte', '80'],
  ['cut short after four bytes', 'ffffffff'],
  ['with a bit above 32', 'ffffffff1f'],
  ['of six bytes', '808080808000'],
]
for (const [what, hex] of MALFORMED_VARINTS) {
  test(`a varint ${what} is refused`, () => {
    const bytes = Buffer.from(`${hex}0000`, 'hex')
    const reader = new VarintReader(bytes, 0, hex.length / 2)
    assert.throws(() => reader.readVarint(), BatchFormatError)
  })
}

const MALFORMED_VARLONGS: [string, string][] = [
  ['without a byte', ''],
  ['cut short after one byte', '80'],
  ['cut short after eight bytes', 'ffffffffffffffff'],
  ['beyond the safe integers by one', referenceVarlong(2 ** 53).toString('hex')],
  ['beyond the safe negative integers by one', referenceVarlong(-(2 ** 53)).toString('hex')],
  ['of ten bytes', 'ffffffffffffffffff01'],
  ['of eleven bytes', '8080808080808080808000'],
]
for (const [what, hex] of MALFORMED_VARLONGS) {
  test(`a varlong ${what} is refused`, () => {
    const bytes = Buffer.from(`${hex}0000`, 'hex')
    const reader = new VarintReader(bytes, 0, hex.length / 2)
    assert.throws(() => reader.readVarlong(), BatchFormatError)
  })
}

test('a varint longer than it need be is read, as Kafka does', () => {
  const reader = new VarintReader(Buffer.from('8280008080808000', 'hex'), 0, 8)
  assert.equal(reader.readVarint(), 1)
  assert.equal(reader.readVarlong(), 0)
  assert.equal(reader.position, 8)
})

test('passing over bytes stays within the end', () => {
  const reader = new VarintReader(Buffer.alloc(10), 2, 8)
  reader.skip(-1)
  reader.skip(0)
  assert.equal(reader.position, 2)
  assert.throws(() => reader.skip(7), BatchFormatError)
  assert.throws(() => reader.skip(-2), BatchFormatError)
  reader.skip(6)
  assert.equal(reader.position, 8)
})

test('a reader cannot be made past its buffer', () => {
  assert.throws(() => new VarintReader(Buffer.alloc(4), 0, 5), RangeError)
  assert.throws(() => new VarintReader(Buffer.alloc(4), -1, 4), RangeError)
})
