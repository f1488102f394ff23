/** True where a string has no lone surrogate, so that UTF-8 brings it back as it was. */
export function isWellFormed(text: string): boolean {
  // In ES2024, and in every supported Node, but not yet in the ES2023 library types.
  return (text as unknown as { isWellFormed(): boolean }).isWellFormed()
}
