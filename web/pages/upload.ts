/**
 * The upload page: sign in, choose, send, and watch the pipeline work. The three parts of the page (sign-in, form,
 * progress) take turns. The upload itself is the SDK's; what happens afterwards comes live from the API, and the link
 * to watch appears with the first second that can be played.
 */
import { createUpload, type Upload, type UploadProgress } from '../../ingest/sdk/index.ts'
import { getVideo, signInLocally } from '../api-client.ts'
import { byId, el, icon, setText } from '../dom.ts'
import { formatBytes, formatSpeed, formatTimeLeft } from '../format.ts'
import { clearProblem, describe, showProblem } from '../notice.ts'
import { currentSession, endSession, keepSession, type Session } from '../session.ts'
import { detailsFrom, titleFrom } from '../upload/details.ts'
import { watchPath } from '../video/card.ts'
import { followLive, type LiveFact } from '../video/live.ts'
import { emptyPipeline, evolvePipeline, type Pipeline, withPercent } from '../video/pipeline.ts'
import { createStepList } from '../video/steps.ts'

const signIn = byId('sign-in', HTMLFormElement)
const form = byId('form', HTMLFormElement)
const drop = byId('drop', HTMLLabelElement)
const fileInput = byId('file', HTMLInputElement)
const progress = byId('progress', HTMLElement)
const heading = byId('progress-title', HTMLElement)
const bytes = byId('bytes', HTMLProgressElement)
const cancel = byId('cancel', HTMLButtonElement)
const result = byId('result', HTMLElement)
const notice = byId('notice', HTMLElement)

const showPart = (part: HTMLElement): void => {
  for (const each of [signIn, form, progress]) each.hidden = each !== part
}

const showSession = (session: Session | null): void => {
  const line = byId('session', HTMLElement)
  line.replaceChildren()
  showPart(session === null ? signIn : form)
  if (session === null) return
  const leave = el('button', { class: 'link', type: 'button' }, 'Sign out')
  leave.addEventListener('click', () => {
    endSession()
    showSession(null)
  })
  line.append(`Signed in as ${session.name} · `, leave)
  authorField().placeholder = session.name
}

const authorField = (): HTMLInputElement => form.elements.namedItem('author') as HTMLInputElement
const titleField = (): HTMLInputElement => form.elements.namedItem('title') as HTMLInputElement

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

/** The title that we proposed: replaced with the next file, unless somebody wrote another. */
let proposedTitle = ''

const showFile = (): void => {
  const file = fileInput.files?.[0]
  drop.classList.toggle('chosen', file !== undefined)
  if (file === undefined) return
  setText(byId('drop-title', HTMLElement), file.name)
  setText(byId('drop-detail', HTMLElement), `${formatBytes(file.size)} · choose another`)
  if (titleField().value === proposedTitle) {
    proposedTitle = titleFrom(file.name)
    titleField().value = proposedTitle
  }
}

fileInput.addEventListener('change', showFile)

// The input lies over the whole box, so a drop is its own; the box only shows it. Beside the box a drop would open the file.
for (const type of ['dragenter', 'dragover'] as const) drop.addEventListener(type, () => drop.classList.add('over'))
for (const type of ['dragleave', 'drop'] as const) drop.addEventListener(type, () => drop.classList.remove('over'))
for (const type of ['dragover', 'drop'] as const) {
  addEventListener(type, (event) => {
    if (event.target !== fileInput) event.preventDefault()
  })
}

form.addEventListener('submit', (event) => {
  event.preventDefault()
  const file = fileInput.files?.[0]
  const session = currentSession()
  if (file !== undefined && session !== null) run(file, session).catch(showFailure)
})

const steps = createStepList(byId('steps', HTMLElement))

const run = async (file: File, { token }: Session): Promise<void> => {
  clearProblem(notice)
  const details = detailsFrom(new FormData(form))
  begin(details.title, file)
  const upload = createUpload(file, { gatewayUrl: location.origin, token, details })
  const forgetUpload = guard(upload)
  upload.on('progress', showProgress)
  upload.on('state', (state) => {
    if (state === 'completing')
      setText(byId('bytes-text', HTMLElement), 'Everything is sent; checking that it arrived …')
  })
  try {
    const { videoId } = await upload.done
    forgetUpload()
    finishTransfer()
    await followPipeline(videoId)
  } catch (error) {
    forgetUpload()
    if (upload.state !== 'cancelled') throw error
    showPart(form)
  }
}

const begin = (title: string, file: File): void => {
  showPart(progress)
  setText(heading, title)
  heading.focus()
  document.title = `${title} · Reelstream`
  byId('transfer', HTMLElement).hidden = false
  cancel.hidden = false
  bytes.removeAttribute('value')
  setText(byId('bytes-text', HTMLElement), `${formatBytes(file.size)} …`)
  steps.show(emptyPipeline)
  result.replaceChildren()
}

/** Cancel button, and a question before the page is left, as long as the upload runs. */
const guard = (upload: Upload): (() => void) => {
  const over = new AbortController()
  const { signal } = over
  cancel.addEventListener('click', () => void upload.cancel(), { signal })
  addEventListener('beforeunload', (event) => event.preventDefault(), { signal })
  return () => over.abort()
}

const showProgress = ({ sentBytes, totalBytes: total, rateBps, etaMs }: UploadProgress): void => {
  // A file says how long it is.
  const totalBytes = total ?? 0
  bytes.value = totalBytes === 0 ? 0 : sentBytes / totalBytes
  const parts = [
    `${formatBytes(sentBytes)} of ${formatBytes(totalBytes)}`,
    rateBps > 0 ? formatSpeed(rateBps) : '',
    etaMs !== null && sentBytes < totalBytes ? formatTimeLeft(etaMs) : '',
  ]
  setText(byId('bytes-text', HTMLElement), parts.filter((part) => part !== '').join(' · '))
}

const finishTransfer = (): void => {
  byId('transfer', HTMLElement).hidden = true
  cancel.hidden = true
}

const followPipeline = async (videoId: string): Promise<void> => {
  const leaving = new AbortController()
  addEventListener('pagehide', () => leaving.abort(), { once: true })
  let pipeline = emptyPipeline
  const onFact = (fact: LiveFact): void => {
    pipeline = withPercent(evolvePipeline(pipeline, { ...fact, body: bodyOf(fact) }), fact.percent)
    steps.show(pipeline)
    showLink(videoId, pipeline)
  }
  await followLive({ videoId, afterPosition: null, onFact, signal: leaving.signal })
  if (leaving.signal.aborted) return
  const { status, error } = await getVideo(videoId)
  showOutcome(status, error ?? pipeline.failure)
}

/** The live stream says what a fact led to; the steps ask for no more of its body. */
const bodyOf = ({ ready, error }: LiveFact): Readonly<Record<string, unknown>> => ({
  complete: ready,
  code: error?.code,
  detail: error?.message,
})

const showLink = (videoId: string, { reachedAtMs }: Pipeline): void => {
  if (reachedAtMs.playable === undefined || result.childElementCount > 0) return
  result.append(el('a', { class: 'button primary', href: watchPath(videoId) }, icon('play'), 'Watch it now'), again())
}

const again = (): HTMLElement => el('a', { class: 'button', href: '/upload' }, 'Upload another')

const showOutcome = (status: string, failure: { readonly code: string; readonly message: string } | null): void => {
  if (failure !== null && status !== 'ready') {
    showProblem(notice, Object.assign(new Error(failure.message), { code: failure.code }))
    result.replaceChildren(again())
  }
}

const showFailure = (error: unknown): void => {
  showProblem(notice, error)
  if (describe(error).code === 'UNAUTHENTICATED') {
    endSession()
    showSession(null)
    return
  }
  // What was chosen and written is still in the form: another try is one click.
  showPart(form)
}

showSession(currentSession())
