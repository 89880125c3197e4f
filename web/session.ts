/**
 * Who uploads: a token in sessionStorage, so it is gone with the tab and no other site ever gets it with a request, as
 * a cookie would be.
 */
export interface Session {
  readonly token: string
  readonly authorId: string
  /** Display name. */
  readonly name: string
}

const KEY = 'reelstream.session'

export const currentSession = (): Session | null => {
  const stored = sessionStorage.getItem(KEY)
  return stored === null ? null : (JSON.parse(stored) as Session)
}

export const keepSession = (session: Session): void => sessionStorage.setItem(KEY, JSON.stringify(session))

export const endSession = (): void => sessionStorage.removeItem(KEY)
