/**
 * The upload page: sign in, choose or drop files, say what they are, and watch each become a video. Every file has a row
 * of its own (web/upload/row.ts), driven by a job (web/upload/job.ts). What an earlier visit left open has a row, too, and
 * goes on as soon as its file is chosen again; its details are remembered, so the form is for new files only.
 */
import { abortUpload, type OpenUpload, type UploadDetails, type UploadMemory } from '../../ingest/sdk/index.ts'
import { ProblemError, signInLocally } from '../api-client.ts'
import { byId, el } from '../dom.ts'
import { clearProblem, describe, showProblem } from '../notice.ts'
import { currentSession, endSession, keepSession, type Session } from '../session.ts'
import { createChosenList } from '../upload/chosen-list.ts'
import { detailsFrom, tagsProblem } from '../upload/details.ts'
import { followVideo, PipelineFailure, type RunningJob, runJob } from '../upload/job.ts'
import { fingerprintOfFile, interruptedUploads, memoryOf } from '../upload/open-uploads.ts'
import { createRow, type RowAction, type UploadRow } from '../upload/row.ts'

const signIn = byId('sign-in', HTMLFormElement)
const form = byId('form', HTMLFormElement)
const drop = byId('drop', HTMLLabelElement)
const fileInput = byId('file', HTMLInputElement)
const uploads = byId('uploads', HTMLUListElement)
const notice = byId('notice', HTMLElement)

/** What a row stands for; by the fingerprint of its file. */
interface Entry {
  readonly row: UploadRow
  readonly details: UploadDetails
  readonly memory: UploadMemory
  /** Null until the file is at hand. */
  file: File | null
  /** Of an earlier visit. */
  readonly open: OpenUpload | null
  job: RunningJob | null
}

const entries = new Map<string, Entry>()
/** Those that leaving the page would interrupt. */
let underWay = 0

const chosen = createChosenList(byId('chosen', HTMLUListElement), (count) => {
  form.hidden = count === 0
})

const showSession = (session: Session | null): void => {
  const line = byId('session', HTMLElement)
  line.replaceChildren()
  signIn.hidden = session !== null
  drop.hidden = session === null
  if (session === null) form.hidden = true
  if (session === null) return
  const leave = el('button', { class: 'link', type: 'button' }, 'Sign out')
  leave.addEventListener('click', () => {
    endSession()
    chosen.take()
    showSession(null)
  })
  line.append(`Signed in as ${session.name} · `, leave)
  const author = form.elements.namedItem('author')
  if (author instanceof HTMLInputElement) author.placeholder = session.name
  showInterrupted(memoryOf(session.authorId)).catch((error: unknown) => showProblem(notice, error))
}

const showInterrupted = async (memory: UploadMemory): Promise<void> => {
  for (const { upload, status, storedBytes } of await interruptedUploads(memory)) {
    const { fingerprint, details, uploadId, expiresAtMs } = upload
    if (entries.has(fingerprint)) continue
    const row = rowFor(fingerprint, details, upload.sizeBytes)
    entries.set(fingerprint, { row, details, memory, file: null, open: upload, job: null })
    if (status === 'open' || uploadId === null) row.show({ kind: 'interrupted', storedBytes, expiresAtMs })
    else followVideo(uploadId, row).catch((error: unknown) => showFailure(fingerprint, error))
  }
}

const rowFor = (fingerprint: string, details: UploadDetails, sizeBytes: number): UploadRow => {
  const onAction = (action: RowAction): void => act(fingerprint, action)
  const row = createRow(details.title, details.fileName ?? '', sizeBytes, onAction)
  uploads.append(row.item)
  return row
}

const act = (fingerprint: string, action: RowAction): void => {
  const entry = entries.get(fingerprint)
  if (entry === undefined) return
  const { job } = entry
  switch (action) {
    case 'pause':
      return job?.pause()
    case 'resume':
      return job?.resume()
    case 'cancel':
      return job?.cancel()
    case 'choose':
      return fileInput.click()
    case 'retry':
      return entry.file === null ? fileInput.click() : begin(fingerprint, entry, entry.file)
    case 'discard':
      discard(fingerprint, entry).catch((error: unknown) => showProblem(notice, error))
      return
    case 'dismiss':
      dismiss(fingerprint, entry).catch(showUnremembered)
      return
  }
}

const discard = async (fingerprint: string, { memory, open }: Entry): Promise<void> => {
  if (open?.uploadId) {
    await abortUpload(open.uploadId, { gatewayUrl: location.origin, token: () => currentSession()?.token ?? '' })
  }
  await memory.forget(fingerprint)
  remove(fingerprint)
}

/** What the server knows stays open; what was never begun is over, and its file is asked about like any other. */
const dismiss = async (fingerprint: string, { memory }: Entry): Promise<void> => {
  remove(fingerprint)
  const open = await memory.recall(fingerprint)
  if (open?.uploadId === null) await memory.forget(fingerprint)
}

const remove = (fingerprint: string): void => {
  const item = entries.get(fingerprint)?.row.item
  const isFocused = item?.contains(document.activeElement) ?? false
  item?.remove()
  entries.delete(fingerprint)
  if (isFocused) fileInput.focus()
}

/** Files that were chosen or dropped: those of interrupted uploads go on, new ones are asked about. */
const take = async (files: readonly File[]): Promise<void> => {
  clearProblem(notice)
  const session = currentSession()
  if (session === null) throw new ProblemError('UNAUTHENTICATED', 0, 'Sign in first; then choose the files again.')
  const memory = memoryOf(session.authorId)
  for (const file of files) {
    const fingerprint = await fingerprintOfFile(file)
    const entry = entries.get(fingerprint)
    const open = await memory.recall(fingerprint)
    if (chosen.has(fingerprint) || (entry !== undefined && entry.job !== null)) continue
    if (entry !== undefined) begin(fingerprint, entry, file)
    else if (open !== undefined) beginNew(fingerprint, file, open.details, memory, open)
    else chosen.add(file, fingerprint)
  }
  if (!form.hidden) form.querySelector('input')?.focus()
}

const beginNew = (
  fingerprint: string,
  file: File,
  details: UploadDetails,
  memory: UploadMemory,
  open: OpenUpload | null,
): void => {
  const named = { ...details, fileName: file.name }
  const entry: Entry = { row: rowFor(fingerprint, named, file.size), details: named, memory, file, open, job: null }
  entries.set(fingerprint, entry)
  // What still waits for its turn must survive a reload, too.
  if (open === null) memory.remember(openUpload(fingerprint, named, file.size)).catch(showUnremembered)
  begin(fingerprint, entry, file)
}

const openUpload = (fingerprint: string, details: UploadDetails, sizeBytes: number): OpenUpload => ({
  ...{ fingerprint, details, sizeBytes, idempotencyKey: crypto.randomUUID() },
  ...{ uploadId: null, beganAtMs: Date.now(), expiresAtMs: null },
})

const showUnremembered = (cause: unknown): void => {
  const message = `Keep this page open: this browser cannot remember the upload (${describe(cause).message}).`
  showProblem(notice, new ProblemError('MEMORY_FAILED', 0, message, { cause }))
}

const begin = (fingerprint: string, entry: Entry, file: File): void => {
  const job = runJob({ file, fingerprint, details: entry.details, memory: entry.memory }, entry.row)
  entries.set(fingerprint, { ...entry, file, job })
  underWay += 1
  void job.sent.then(() => {
    underWay -= 1
  })
  job.done.then(
    (end) => {
      if (end === 'cancelled') {
        remove(fingerprint)
        entry.memory.forget(fingerprint).catch(showUnremembered)
      }
      // The row stays, and the same file may be uploaded again, as another video.
      else entries.delete(fingerprint)
    },
    (error: unknown) => showFailure(fingerprint, error),
  )
}

const showFailure = (fingerprint: string, error: unknown): void => {
  const entry = entries.get(fingerprint)
  if (entry === undefined) return
  entries.set(fingerprint, { ...entry, job: null })
  entry.row.show({ kind: 'failed', error, pipeline: error instanceof PipelineFailure ? error.pipeline : null })
  if (describe(error).code !== 'UNAUTHENTICATED') return
  endSession()
  showSession(null)
}

signIn.addEventListener('submit', (event) => {
  event.preventDefault()
  clearProblem(notice)
  const name = String(new FormData(signIn).get('name')).trim()
  signInLocally(name).then(
    (session) => {
      keepSession(session)
      showSession(session)
      fileInput.focus()
    },
    (error: unknown) => showProblem(notice, error),
  )
})

form.addEventListener('submit', (event) => {
  event.preventDefault()
  const session = currentSession()
  if (session === null) return
  const memory = memoryOf(session.authorId)
  const shared = detailsFrom(new FormData(form))
  for (const { file, fingerprint, title } of chosen.take()) {
    beginNew(fingerprint, file, { ...shared, title: title.value.trim() }, memory, null)
  }
  form.reset()
  uploads.querySelector<HTMLElement>('li:last-child h2')?.focus()
})

const tags = form.elements.namedItem('tags')
if (tags instanceof HTMLInputElement)
  tags.addEventListener('input', () => tags.setCustomValidity(tagsProblem(tags.value)))

const taking = (files: readonly File[]): void => {
  take(files).catch((error: unknown) => showProblem(notice, error))
}

fileInput.addEventListener('change', () => {
  const files = [...(fileInput.files ?? [])]
  // Or choosing the same file again would be no change.
  fileInput.value = ''
  taking(files)
})

// A drop anywhere is meant for us: beside the box the browser would leave the page to open the file.
for (const type of ['dragenter', 'dragover'] as const) {
  addEventListener(type, (event) => {
    event.preventDefault()
    drop.classList.add('over')
  })
}
addEventListener('dragleave', (event) => {
  if (event.relatedTarget === null) drop.classList.remove('over')
})
addEventListener('drop', (event) => {
  event.preventDefault()
  drop.classList.remove('over')
  const items = [...(event.dataTransfer?.items ?? [])]
  if (items.some((item) => item.webkitGetAsEntry()?.isDirectory)) {
    return showProblem(notice, new ProblemError('NOT_A_FILE', 0, 'A folder cannot be dropped here: drop its files.'))
  }
  taking([...(event.dataTransfer?.files ?? [])])
})

addEventListener('beforeunload', (event) => {
  if (underWay > 0) event.preventDefault()
})

if (isSecureContext) showSession(currentSession())
else showProblem(notice, new ProblemError('INSECURE_CONTEXT', 0, 'Uploading needs a page on https or localhost.'))
