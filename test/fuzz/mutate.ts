/** Changes of bytes, of whatever format. All give a new buffer. */
import type { FuzzRandom } from './fuzz-random.ts'

type Mutation = (random: FuzzRandom, bytes: Buffer) => Buffer

/** No input grows beyond this. */
export const MAX_INPUT_BYTES: number = 256 * 1024

/** One to several changes; with `others`, also parts of those. */
export function mutate(random: FuzzRandom, bytes: Buffer, others: readonly Buffer[] = []): Buffer {
  let mutated = bytes
  for (let rounds = 1 + random.size(6); rounds > 0; rounds -= 1) {
    mutated =
      others.length > 0 && random.chance(0.1)
        ? splice(random, mutated, random.pick(others))
        : random.pick(MUTATIONS)(random, mutated)
  }
  return mutated.length > MAX_INPUT_BYTES ? mutated.subarray(0, MAX_INPUT_BYTES) : mutated
}

/** As `mutate`, but no byte moves: for what is to stay where it is. */
export function mutateInPlace(random: FuzzRandom, bytes: Buffer): Buffer {
  return random.pick(IN_PLACE)(random, bytes)
}

function flipBits(random: FuzzRandom, bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes)
  for (let flips = 1 + random.size(8); flips > 0; flips -= 1) {
    const at = random.below(copy.length)
    copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8))
  }
  return copy
}

function setBytes(random: FuzzRandom, bytes: Buffer): Buffer {
  return overwrite(bytes, random.below(bytes.length), random.bytes(1 + random.size(16)))
}

function setRun(random: FuzzRandom, bytes: Buffer): Buffer {
  const byte = random.chance(0.6) ? 0 : random.chance(0.5) ? 0xff : random.below(256)
  return overwrite(
    bytes,
    random.below(bytes.length),
    Buffer.alloc(1 + random.size(bytes.length), byte),
  )
}

function setInteger(random: FuzzRandom, bytes: Buffer): Buffer {
  return overwrite(bytes, random.below(bytes.length), integerBytes(random))
}

/** A fixed-size integer, big-endian as in Kafka's formats, or little-endian as in those of LZ4 and Zstandard. */
function integerBytes(random: FuzzRandom): Buffer {
  const wide = Buffer.alloc(8)
  wide.writeBigInt64BE(BigInt.asIntN(64, random.integer()))
  const bytes = wide.subarray(8 - random.pick([1, 2, 4, 8]))
  return random.chance(0.8) ? bytes : bytes.reverse()
}

function setVarint(random: FuzzRandom, bytes: Buffer): Buffer {
  const varint = varintBytes(random)
  const at = random.below(bytes.length)
  return random.chance(0.5)
    ? overwrite(bytes, at, varint)
    : Buffer.concat([bytes.subarray(0, at), varint, bytes.subarray(at + 1)])
}

/** 7 bits a byte, least significant first; zigzag-encoded or not, sometimes longer than it need be. */
export function varintBytes(random: FuzzRandom): Buffer {
  const value = random.integer()
  const zigzag = (value << 1n) ^ (value >> 127n)
  let rest = BigInt.asUintN(70, random.chance(0.7) ? zigzag : value)
  const bytes: number[] = []
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80)
    rest >>= 7n
  }
  bytes.push(Number(rest))
  if (random.chance(0.1)) {
    bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) | 0x80
    bytes.push(random.chance(0.5) ? 0 : 0x80)
  }
  return Buffer.from(bytes)
}

function swapBlocks(random: FuzzRandom, bytes: Buffer): Buffer {
  const length = 1 + random.size(bytes.length / 2)
  const first = random.below(bytes.length - length)
  const second = random.below(bytes.length - length)
  const copy = Buffer.from(bytes)
  bytes.copy(copy, first, second, second + length)
  bytes.copy(copy, second, first, first + length)
  return copy
}

function copyBlock(random: FuzzRandom, bytes: Buffer): Buffer {
  const from = random.below(bytes.length)
  return overwrite(bytes, random.below(bytes.length), blockOf(random, bytes, from))
}

function truncate(random: FuzzRandom, bytes: Buffer): Buffer {
  const cut = random.chance(0.5) ? random.size(bytes.length) : random.below(bytes.length + 1)
  return bytes.subarray(0, Math.max(0, bytes.length - cut))
}

function extend(random: FuzzRandom, bytes: Buffer): Buffer {
  const length = 1 + random.size(4096)
  const more = random.chance(0.4) ? Buffer.alloc(length) : random.bytes(Math.min(length, 300))
  return Buffer.concat([bytes, random.chance(0.3) ? blockOf(random, bytes, 0) : more])
}

function insertBlock(random: FuzzRandom, bytes: Buffer): Buffer {
  const at = random.below(bytes.length + 1)
  const block = blockOf(random, bytes, random.below(bytes.length))
  const times = random.chance(0.1) ? 1 + random.size(64) : 1
  const blocks = Array.from({ length: times }, () => block)
  return Buffer.concat([bytes.subarray(0, at), ...blocks, bytes.subarray(at)])
}

function removeBlock(random: FuzzRandom, bytes: Buffer): Buffer {
  const at = random.below(bytes.length)
  const length = 1 + random.size(bytes.length)
  return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)])
}

function splice(random: FuzzRandom, bytes: Buffer, other: Buffer): Buffer {
  const at = random.below(bytes.length + 1)
  const rest = random.chance(0.5) ? bytes.subarray(at) : Buffer.alloc(0)
  return Buffer.concat([
    bytes.subarray(0, at),
    blockOf(random, other, random.below(other.length)),
    rest,
  ])
}

function blockOf(random: FuzzRandom, bytes: Buffer, from: number): Buffer {
  return bytes.subarray(from, from + 1 + random.size(bytes.length - from))
}

/** What passes the end is dropped. */
function overwrite(bytes: Buffer, at: number, part: Buffer): Buffer {
  const copy = Buffer.from(bytes)
  part.copy(copy, at)
  return copy
}

const IN_PLACE: readonly Mutation[] = [
  flipBits,
  setBytes,
  setRun,
  setInteger,
  swapBlocks,
  copyBlock,
]
const MUTATIONS: readonly Mutation[] = [
  ...IN_PLACE,
  setVarint,
  truncate,
  extend,
  insertBlock,
  removeBlock,
]
