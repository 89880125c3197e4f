/**
 * What a start is doing, for the terminal and for the page that the web port shows meanwhile (progress-page.ts).
 */
export type StepState = 'waiting' | 'working' | 'ready' | 'failed'

export interface Step {
  readonly name: string
  readonly title: string
  readonly state: StepState
  readonly detail: string
}

export interface Progress {
  /** Adds a step in its place in the order, or changes one. */
  update(name: string, change: Partial<Omit<Step, 'name'>>): void
  /** A line that belongs to no step. */
  say(line: string): void
  steps(): readonly Step[]
}

/** @param print gets one line per change that a person would want to read; nothing for steps that only wait */
export const createProgress = (print: (line: string) => void, nowMs: () => number = Date.now): Progress => {
  const steps = new Map<string, Step>()
  const startedAtMs = new Map<string, number>()
  let lastDetailAtMs = 0

  const line = (step: Step): string | undefined => {
    const sinceMs = nowMs() - (startedAtMs.get(step.name) ?? nowMs())
    if (step.state === 'ready') return `  ✓ ${step.title}  ${step.detail} ${(sinceMs / 1000).toFixed(1)} s`
    if (step.state === 'failed') return `  ✗ ${step.title}  ${step.detail}`
    return step.state === 'working' ? `  … ${step.title}  ${step.detail}` : undefined
  }
  return {
    steps: () => [...steps.values()],
    say: print,
    update(name, change) {
      const before = steps.get(name) ?? { name, title: name, state: 'waiting', detail: '' }
      const after: Step = { ...before, ...change, name }
      steps.set(name, after)
      if (after.state === 'working' && before.state !== 'working') startedAtMs.set(name, nowMs())
      // A download reports each file; on a terminal one line a second tells as much.
      const onlyDetail = after.state === before.state
      if (onlyDetail && nowMs() - lastDetailAtMs < 1_000) return
      if (onlyDetail) lastDetailAtMs = nowMs()
      const text = line(after)
      if (text !== undefined) print(text)
    },
  }
}

/** For tests and for whoever must be quiet: failures reach the caller as errors anyway. */
export const silentProgress = (): Progress => createProgress(() => undefined)
