import { shown } from '../util/check.ts'
import type { Serializer } from './serializers.ts'
import type { StandardSchemaV1 } from './standard-schema.ts'
import { validateValue } from './standard-schema.ts'

/**
 * The bytes of one value: validated, then serialized; null for a tombstone, which is neither.
 * @param index position in the call's records.
 * @throws ValidationError where the schema refuses it, TypeError for what the serializer cannot take.
 */
export function encodeValue(
  topic: string,
  serializer: Serializer,
  schema: StandardSchemaV1 | undefined,
  value: unknown,
  index: number,
): Uint8Array | null {
  if (value === null) return null
  const checked = schema === undefined ? value : validateValue(schema, value, topic, index)
  const encoded: unknown = serializer.serialize(checked)
  if (encoded instanceof Uint8Array) return encoded
  throw new TypeError(
    `${topic}: the serializer ${serializer.name} gave ${shown(encoded)}; it must give a Uint8Array`,
  )
}
