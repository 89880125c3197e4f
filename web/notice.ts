import { ProblemError } from './api-client.ts'
import { el, icon } from './dom.ts'

/** Shows what went wrong: the sentence, and the code that documentation and logs know it by. */
export const showProblem = (place: HTMLElement, error: unknown): void => {
  const { code, message } = describe(error)
  place.replaceChildren(el('p', { class: 'notice' }, icon('alert'), el('span', {}, message, ' ', el('code', {}, code))))
}

export const clearProblem = (place: HTMLElement): void => place.replaceChildren()

/** Code and sentence of anything that was thrown: ours, the SDK's (which has `code` too), or the browser's. */
export const describe = (error: unknown): { readonly code: string; readonly message: string } => {
  if (error instanceof ProblemError) return error
  if (error instanceof Error) {
    const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name
    return { code, message: error.message }
  }
  return { code: 'UNKNOWN', message: String(error) }
}
