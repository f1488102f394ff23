import { ValidationError } from '../errors.ts'

/**
 * The Standard Schema interface, version 1 (https://standardschema.dev), which zod, valibot, arktype and others
 * implement: the part of its types that is needed here.
 */
export interface StandardSchemaV1<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (
      value: unknown,
    ) => StandardSchemaResult<Output> | Promise<StandardSchemaResult<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

export type StandardSchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly StandardSchemaIssue[] }

export interface StandardSchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** Something that follows Standard Schema. A function may: arktype's types are. */
export function isStandardSchema(value: unknown): value is StandardSchemaV1 {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false
  const standard = (value as Partial<StandardSchemaV1>)['~standard']
  return typeof standard?.validate === 'function'
}

/**
 * The validator's output for a value that is not null.
 * @param index position in the call's records.
 * @throws ValidationError where the schema refuses it, TypeError where it answers with a promise (records of
 * one call could then overtake those of the next) or with null (which would be a tombstone).
 */
export function validateValue(
  schema: StandardSchemaV1,
  value: unknown,
  topic: string,
  index: number,
): unknown {
  const result = schema['~standard'].validate(value)
  if (result instanceof Promise) {
    // Its outcome is of no use any more, and must not end the process as an unhandled rejection.
    result.catch(() => undefined)
    throw new TypeError(
      `${topic}: the schema answers with a promise; it must validate synchronously`,
    )
  }
  if (result.issues !== undefined) throw new ValidationError(topic, index, result.issues)
  if (result.value === null) {
    throw new TypeError(`${topic}: the schema made null of a value; null is a tombstone`)
  }
  return result.value
}
