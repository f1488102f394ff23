// What is used here of better-sqlite3, which brings no types.
declare module 'better-sqlite3' {
  interface Statement {
    run(...values: readonly unknown[]): unknown
    get(...values: readonly unknown[]): unknown
    all(...values: readonly unknown[]): unknown[]
    /** The first column alone. */
    pluck(isPlucked: boolean): this
    /** Rows as arrays. */
    raw(isRaw: boolean): this
  }

  class Database {
    constructor(file: string)
    pragma(text: string): unknown
    exec(sql: string): this
    prepare(sql: string): Statement
    transaction<A extends unknown[]>(work: (...given: A) => void): (...given: A) => void
    close(): this
  }

  export = Database
}
