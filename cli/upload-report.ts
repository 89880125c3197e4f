import cliProgress from 'cli-progress'
import type { CompletedUpload, UploadProgress } from '../ingest/sdk/index.ts'
import { codeOf, failureText } from './exit.ts'
import type { PipelineStep } from './follow-pipeline.ts'

/** What an upload tells whoever started it: a person at a terminal, a log, or a program. */
export interface UploadReport {
  created(upload: CompletedUpload): void
  progress(progress: UploadProgress): void
  completed(upload: CompletedUpload): void
  step(step: PipelineStep): void
  ready(upload: CompletedUpload): void
  interrupted(what: string): void
  failed(error: unknown, upload: CompletedUpload | undefined): void
}

type Write = (line: string) => void

/** One JSON object per line; the last one has videoId and watchUrl as soon as there are any. */
export const jsonReport = (write: Write): UploadReport => {
  const line = (event: string, facts: object) => write(JSON.stringify({ event, ...facts }))
  let known: Partial<CompletedUpload> = {}
  return {
    created(upload) {
      known = upload
      line('created', upload)
    },
    progress: (progress) => line('progress', progress),
    completed: (upload) => line('completed', upload),
    step: ({ type, status, percent }) => line('step', { type, status, percent }),
    ready: (upload) => line('ready', upload),
    interrupted: () => line('interrupted', known),
    failed: (error, upload) => line('failed', { code: codeOf(error), message: messageOf(error), ...upload }),
  }
}

/** Plain lines: for logs and pipes, where a bar would be noise. */
export const lineReport = (fileName: string, out: Write, err: Write): UploadReport => {
  let lastStep = ''
  return {
    created: () => out(`Uploading ${fileName}`),
    progress: () => {},
    completed: ({ watchUrl }) => out(`Uploaded. Watch: ${watchUrl}`),
    step: ({ type, percent }) => {
      const line = `  ${stepText(type)}${percent === null ? '' : `, ${Math.floor(percent)} %`}`
      if (line !== lastStep) out(line)
      lastStep = line
    },
    ready: ({ watchUrl }) => out(`Ready. Watch: ${watchUrl}`),
    interrupted: (what) => err(what),
    failed: (error) => err(failureText(error)),
  }
}

/** Two bars, one after the other: bytes with speed and time left, then the encoding. */
export const barReport = (lines: UploadReport): UploadReport => {
  // `eta` is a word of the library's own, and counts parts that come in bursts.
  const upload = bar('{bar} {percentage} %  {amount}  {rate}  {left}')
  const encode = bar('{bar} {percentage} %  {step}')
  const stop = () => {
    upload.stop()
    encode.stop()
  }
  return {
    created: () => {
      lines.created({ videoId: '', watchUrl: '' })
      upload.start(1, 0, { amount: '', rate: '', left: '' })
    },
    progress({ sentBytes, totalBytes: total, rateBps, etaMs }) {
      const totalBytes = total ?? sentBytes
      upload.setTotal(totalBytes)
      upload.update(sentBytes, {
        amount: `${sizeText(sentBytes)} of ${sizeText(totalBytes)}`,
        rate: `${sizeText(rateBps)}/s`,
        left: etaMs === null ? '' : `${timeText(etaMs)} left`,
      })
    },
    completed(result) {
      stop()
      lines.completed(result)
    },
    step({ type, percent }) {
      if (!encode.isActive) encode.start(100, 0, { step: '' })
      encode.update(Math.floor(percent ?? 0), { step: stepText(type) })
    },
    ready(result) {
      stop()
      lines.ready(result)
    },
    interrupted(what) {
      stop()
      lines.interrupted(what)
    },
    failed(error, result) {
      stop()
      lines.failed(error, result)
    },
  }
}

const bar = (format: string) =>
  new cliProgress.SingleBar({ format: `  ${format}`, hideCursor: true, clearOnComplete: false, barsize: 30 }, BAR_STYLE)

const BAR_STYLE = cliProgress.Presets.shades_classic

/** `SourceProbed` → `source probed`: the facts' names are sentences already. */
export const stepText = (type: string): string => type.replaceAll(/(?<!^)([A-Z])/g, ' $1').toLowerCase()

/** `1.5 MB`, in powers of ten as disks and links are sold. */
export const sizeText = (bytes: number): string => {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  const power = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), units.length - 1)
  const value = bytes / 1000 ** power
  return `${value.toFixed(power === 0 || value >= 100 ? 0 : 1)} ${units[power]}`
}

/** `1:05`, `1:00:05`. */
export const timeText = (ms: number): string => {
  const seconds = Math.ceil(ms / 1000)
  const two = (n: number) => String(n).padStart(2, '0')
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)]
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
