/** The compression of a batch's records: one block behind the header. */
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { LogError } from '../errors.ts'
import { asError, errorCode } from '../util/error-code.ts'
import { BatchFormatError } from './batch-format-error.ts'

export const CODEC_NONE = 0
export const CODEC_GZIP = 1

/** Kafka's names, by number. */
export const CODEC_NAMES: readonly string[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

const gunzipAsync = promisify(gunzip)

/**
 * The record bytes of a batch; with codec 0 the same bytes. Rejects with `LogError` `UNSUPPORTED_CODEC` for a codec
 * that is not read here, with `BatchFormatError` for bytes that do not decompress or come to more than `maxBytes`.
 */
export async function decompress(codec: number, bytes: Buffer, maxBytes: number): Promise<Buffer> {
  if (codec === CODEC_NONE) return bytes
  if (codec !== CODEC_GZIP) {
    const name = CODEC_NAMES[codec] ?? `number ${codec}`
    throw new LogError('UNSUPPORTED_CODEC', `the codec ${name} cannot be read`)
  }
  try {
    return await gunzipAsync(bytes, { maxOutputLength: maxBytes })
  } catch (error) {
    const reason =
      errorCode(error) === 'ERR_BUFFER_TOO_LARGE'
        ? `the records decompress to more than ${maxBytes} bytes`
        : `the records do not decompress: ${asError(error).message}`
    throw new BatchFormatError(reason, { cause: error })
  }
}
