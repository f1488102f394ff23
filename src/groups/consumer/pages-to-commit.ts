import { LogError } from '../../errors.ts'
import type { OffsetCommit } from '../types.ts'
import { HeldPage } from './held-page.ts'
import type { ConsumerMember } from './member.ts'
import type { TakenPage } from './page-source.ts'

type Page = TakenPage<unknown, unknown>

/** The pages of a consumer whose offsets are committed by who takes them, together with something else. */
export class PagesToCommit {
  readonly #member: ConsumerMember

  constructor(member: ConsumerMember) {
    this.#member = member
    member.commits.leaveTo()
  }

  take(): Promise<Page | undefined> {
    return this.#member.take()
  }

  /** False where no page is given before one is put down. */
  get hasRoom(): boolean {
    return this.#member.holdings.hasRoom
  }

  /** What is to be committed where all of the page's partition below `offset` is finished. */
  commitOf(page: Page, offset: number): OffsetCommit {
    return heldPage(page).claim.commitAt(offset)
  }

  /** Throws `FENCED` where the partition of one is not the consumer's own any more: another's claim on it is another one. */
  judge(pages: Iterable<Page>): void {
    const list = [...pages]
    this.#member.requireOwn(list)
    for (const { withdrawn, topic, partition } of list) {
      if (withdrawn.isLost) throw lostError(`${topic}-${partition}`)
    }
  }

  /** It is committed. */
  committed(page: Page, { offset }: OffsetCommit): void {
    const { claim } = heldPage(page)
    page.finished(offset)
    if (claim.done === offset) this.#member.commits.settled(claim)
  }
}

function heldPage(page: Page): HeldPage {
  if (page instanceof HeldPage) return page
  throw new TypeError('a page of another source')
}

function lostError(name: string): LogError {
  return new LogError('FENCED', `${name} was lost since its records were handed out`)
}
