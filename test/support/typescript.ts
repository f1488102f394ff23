/** For `node --import`, in a child process that runs TypeScript. */
export const TYPESCRIPT: string = new URL('../../scripts/lib/typescript.mjs', import.meta.url).href
