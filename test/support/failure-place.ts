/** Runs a check, and adds to its error where it failed and by which seed, so that it can be seen again. */
export async function at<T>(place: string, seed: number, check: () => Promise<T>): Promise<T> {
  try {
    return await check()
  } catch (error) {
    if (error instanceof Error) {
      error.message = `${place}, BROKERLESS_SEED=${seed}: ${error.message}`
    }
    throw error
  }
}
