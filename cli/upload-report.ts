import type { CompletedUpload, CreatedUpload, UploadEvents, UploadProgress, UploadResult } from '../ingest/sdk/index.ts'
import type { SkippedFile } from './chosen-files.ts'
import { codeOf, failureText, messageOf } from './exit.ts'
import type { PipelineStep } from './follow-pipeline.ts'

/** What the uploading of files tells whoever started it: a person at a terminal, a log, or a program. */
export interface UploadReport {
  skipped(files: readonly SkippedFile[]): void
  /** A file's turn has come. @param file as it was named */
  begin(file: string): FileReport
  /** Nothing can be begun at all. */
  refused(error: unknown): void
  /** Nothing follows. */
  end(): void
}

/** What is told of one file, in this order. */
export interface FileReport {
  created(upload: CreatedUpload): void
  resumed(found: UploadEvents['resumed']): void
  progress(progress: UploadProgress): void
  /** Nobody answers, and it goes on by itself when somebody does; or somebody does. */
  waiting(isWaiting: boolean): void
  /** Something that somebody should know and that changes nothing. */
  note(what: string): void
  completed(upload: CompletedUpload & Partial<UploadResult>): void
  /** Instead of `completed`: an earlier import made the video. */
  importedBefore(upload: CompletedUpload): void
  step(step: PipelineStep): void
  ready(upload: CompletedUpload): void
  interrupted(what: string, upload: CompletedUpload | undefined): void
  failed(error: unknown, upload: CompletedUpload | undefined): void
}

type Write = (line: string) => void

/**
 * One JSON object a line, each with `event` and `file` (docs/uploads.md). The last one of a file has its videoId and
 * watchUrl as soon as there are any.
 */
export const jsonReport = (write: Write): UploadReport => {
  const line = (event: string, file: string, facts: object) => write(JSON.stringify({ event, file, ...facts }))
  return {
    skipped: (files) => files.forEach(({ shown, reason }) => void line('skipped', shown, { reason })),
    begin: (file) => ({
      created: (upload) => line('created', file, upload),
      resumed: (found) => line('resumed', file, found),
      progress: (progress) => line('progress', file, progress),
      waiting: (isWaiting) => line('waiting', file, { isWaiting }),
      note: (message) => line('note', file, { message }),
      completed: (upload) => line('completed', file, upload),
      importedBefore: (upload) => line('completed', file, { ...upload, importedBefore: true }),
      step: ({ type, status, percent }) => line('step', file, { type, status, percent }),
      ready: (upload) => line('ready', file, upload),
      interrupted: (message, upload) => line('interrupted', file, { message, ...upload }),
      failed: (error, upload) => line('failed', file, { code: codeOf(error), message: messageOf(error), ...upload }),
    }),
    refused: (error) => write(JSON.stringify({ event: 'failed', code: codeOf(error), message: messageOf(error) })),
    end: () => {},
  }
}

/** Plain lines: for logs and pipes, where a bar would be noise. @param several whether lines must say of which file */
export const lineReport = (several: boolean, out: Write, err: Write): UploadReport => ({
  skipped(files) {
    for (const { shown, reason } of files) err(`Skipped ${shown}: it ${reason}.`)
  },
  begin(file) {
    const of = several ? `${file}: ` : ''
    let lastStep = ''
    return {
      created: () => out(`Uploading ${file}`),
      resumed: ({ storedBytes }) => out(`${of}Going on: ${sizeText(storedBytes)} are stored already.`),
      progress: () => {},
      waiting: (isWaiting) => err(of + (isWaiting ? 'Nobody answers: waiting for the connection.' : 'Going on.')),
      note: (what) => err(of + what),
      completed: ({ watchUrl, alreadyComplete = false }) =>
        out(`${of}${alreadyComplete ? 'Was uploaded before, and is the same' : 'Uploaded'}. Watch: ${watchUrl}`),
      importedBefore: ({ watchUrl }) => out(`${of}Was imported before. Watch: ${watchUrl}`),
      step({ type, percent }) {
        const line = `  ${of}${stepText(type)}${percent === null ? '' : `, ${Math.floor(percent)} %`}`
        if (line !== lastStep) out(line)
        lastStep = line
      },
      ready: ({ watchUrl }) => out(`${of}Ready. Watch: ${watchUrl}`),
      interrupted: (what) => err(of + what),
      failed: (error) => err(of + failureText(error)),
    }
  },
  refused: (error) => err(failureText(error)),
  end: () => {},
})

/** A note to an import that was begun before with others. */
export const OWN_DETAILS =
  'The details that were given are not used: the video keeps those that it was first imported with.'

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
