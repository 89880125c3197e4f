import path from 'node:path'
import cliProgress from 'cli-progress'
import type { UploadProgress } from '../ingest/sdk/index.ts'
import { type LineState, progressLine } from './progress-line.ts'
import { type FileReport, sizeText, stepText, timeText, type UploadReport } from './upload-report.ts'

/**
 * One bar for each file that is under way, below what was said of the others: first its bytes, with speed and time left,
 * then its encoding. Drawn on stderr, so that stdout holds the sentences alone.
 * @param sentences what is said in plain words, written by `write`
 */
export const barReport = (sentences: (write: (line: string) => void) => UploadReport): UploadReport => {
  const bars = new cliProgress.MultiBar({ format: '{line}', hideCursor: true, gracefulExit: false })
  let drawn = 0
  // A line that is written between two drawings would be drawn over: the bars write it above themselves.
  const lines = sentences((line) => {
    if (drawn > 0 && process.stdout.isTTY) bars.log(`${line}\n`)
    else console.log(line)
  })

  const begin = (file: string): FileReport => {
    const said = lines.begin(file)
    const name = path.basename(file)
    let bar: cliProgress.SingleBar | undefined
    const draw = (state: Omit<LineState, 'name'>): void => {
      const line = progressLine({ name, ...state }, process.stderr.columns)
      if (bar === undefined) drawn += 1
      bar ??= bars.create(1, 0, { line })
      bar.update(state.fraction ?? 0, { line })
    }
    let last: Omit<LineState, 'name'> = { fraction: 0, facts: [] }
    const remove = (): void => {
      if (bar === undefined) return
      bars.remove(bar)
      drawn -= 1
      bar = undefined
    }
    return {
      // The bar says so.
      created: () => draw({ fraction: 0, facts: [] }),
      resumed: said.resumed,
      progress(progress) {
        last = bytesOf(progress)
        draw(last)
      },
      waiting: (isWaiting) => draw(isWaiting ? { ...last, facts: ['waiting for the connection'] } : last),
      note: said.note,
      completed(upload) {
        remove()
        said.completed(upload)
      },
      importedBefore(upload) {
        remove()
        said.importedBefore(upload)
      },
      step({ type, percent }) {
        last = { fraction: (percent ?? 0) / 100, facts: [stepText(type)] }
        draw(last)
      },
      ready(upload) {
        remove()
        said.ready(upload)
      },
      interrupted(what, upload) {
        remove()
        said.interrupted(what, upload)
      },
      failed(error, upload) {
        remove()
        said.failed(error, upload)
      },
    }
  }
  return { skipped: lines.skipped, refused: lines.refused, begin, end: () => bars.stop() }
}

const bytesOf = ({ sentBytes, totalBytes, rateBps, etaMs }: UploadProgress): Omit<LineState, 'name'> => ({
  fraction: totalBytes === null ? null : sentBytes / totalBytes,
  facts: [
    rateBps > 0 ? `${sizeText(rateBps)}/s` : '',
    etaMs === null || etaMs === 0 ? '' : `${timeText(etaMs)} left`,
    totalBytes === null ? sizeText(sentBytes) : `${sizeText(sentBytes)} of ${sizeText(totalBytes)}`,
  ],
})
