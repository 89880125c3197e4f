/**
 * A short report of a TAP stream: one line per test file, and the whole output of a file that failed. A thousand lines
 * of "ok" hide the one that matters, and tap's own short reporters draw with cursor movements, which a log file keeps.
 */
export interface Totals {
  readonly passed: number
  readonly failed: number
}

export interface TapReport {
  line(text: string): void
  /** The sums of tap's own last line; a run that ended without one counts as one failure. */
  totals(): Totals
}

const RESULT = /^(not )?ok \d+ - /
const SUMMARY = /^# \{ total: \d+(?:, pass: (\d+))?(?:, fail: (\d+))?/

export const createTapReport = (print: (line: string) => void): TapReport => {
  let ofThisFile: string[] = []
  let failing = false
  let totals: Totals | undefined
  return {
    totals: () => totals ?? { passed: 0, failed: 1 },
    line(text) {
      const result = RESULT.exec(text)
      const summary = SUMMARY.exec(text)
      if (summary) totals = { passed: Number(summary[1] ?? 0), failed: Number(summary[2] ?? 0) }
      else if (result) {
        failing = result[1] !== undefined
        if (failing) ofThisFile.forEach((line) => void print(line))
        print(text)
        ofThisFile = []
      } else if (text.startsWith('# Subtest:')) {
        failing = false
        ofThisFile = [text]
      } else if (failing) print(text)
      else ofThisFile.push(text)
    },
  }
}

export const sumTotals = (all: readonly Totals[]): Totals => ({
  passed: all.reduce((sum, { passed }) => sum + passed, 0),
  failed: all.reduce((sum, { failed }) => sum + failed, 0),
})
