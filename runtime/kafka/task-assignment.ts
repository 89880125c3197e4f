/**
 * Who runs which task. Pure: kafkajs' side of it is sticky-assigner.ts.
 *
 * Task u is partition u of every input topic of a processor, so a task moves as a whole. Moving one costs a restore of
 * its state, and an FFmpeg run when it is busy; keeping one costs nothing, for a kept task runs on during the rebalance.
 * Therefore, in this order:
 *   1. every task has exactly one owner;
 *   2. a busy task stays with its owner as long as that one is a member, whatever the balance says;
 *   3. as even as that allows (a difference of one where nobody is busy);
 *   4. as few moves as that allows, idle tasks with the highest numbers first.
 * The result depends on the members' claims alone, not on the order in which they are listed.
 */
export interface MemberClaim {
  /** The broker's name of this membership. */
  readonly memberId: string
  /** The process; ties are decided by it. */
  readonly instanceId: string
  /** Tasks it runs now. */
  readonly owned: readonly number[]
  /** Those of them that should not be moved. */
  readonly busy: readonly number[]
  /**
   * false when the claim is from an earlier membership: the member was thrown out of the group and has come back. What
   * it claims may have been given to another one meanwhile, which is then the owner.
   */
  readonly current: boolean
}

/** Tasks 0 … taskCount-1 by memberId; ascending, every member listed. */
export const assignTasks = (taskCount: number, claims: readonly MemberClaim[]): Map<string, number[]> => {
  const members = claims.toSorted(byRank).map((claim) => ({ ...claim, kept: [] as number[], quota: 0 }))
  const taken = new Set<number>()
  for (const member of members) member.kept = ownClaims(member, taskCount, taken)
  setQuotas(members, taskCount)
  const free = new Set(Array.from({ length: taskCount }, (_, task) => task))
  for (const member of members) {
    member.kept = member.kept.slice(0, member.quota)
    for (const task of member.kept) free.delete(task)
  }
  for (const task of free) members.find(({ kept, quota }) => kept.length < quota)?.kept.push(task)
  return new Map(members.map(({ memberId, kept }) => [memberId, kept.sort((a, b) => a - b)]))
}

type Candidate = MemberClaim & { kept: number[]; quota: number }

/** Whose claim counts when two claim the same task. */
const byRank = (a: MemberClaim, b: MemberClaim): number =>
  Number(b.current) - Number(a.current) ||
  compareText(a.instanceId, b.instanceId) ||
  compareText(a.memberId, b.memberId)

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** The tasks this member is the owner of, the ones it would rather keep first. */
const ownClaims = ({ owned, busy }: MemberClaim, taskCount: number, taken: Set<number>): number[] => {
  const mine = [...new Set(owned)].filter((task) => task >= 0 && task < taskCount && !taken.has(task))
  for (const task of mine) taken.add(task)
  return mine.sort((a, b) => Number(busy.includes(b)) - Number(busy.includes(a)) || a - b)
}

/** Busy tasks first, then one after the other to whoever has the fewest; among equals to one that owns another. */
const setQuotas = (members: Candidate[], taskCount: number): void => {
  for (const member of members) member.quota = member.kept.filter((task) => member.busy.includes(task)).length
  let left = taskCount - members.reduce((sum, { quota }) => sum + quota, 0)
  for (; left > 0; left -= 1) {
    const next = members.reduce<Candidate | undefined>(
      (best, member) => (best === undefined || needsMore(member, best) ? member : best),
      undefined,
    )
    if (next === undefined) return
    next.quota += 1
  }
}

const needsMore = (a: Candidate, b: Candidate): boolean =>
  a.quota !== b.quota ? a.quota < b.quota : a.kept.length > a.quota && b.kept.length <= b.quota
