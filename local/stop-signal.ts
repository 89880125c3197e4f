/**
 * Ctrl-C reaches us several times over: from the terminal, and again from npm and from bootstrap.mjs, which pass on what
 * they get. What comes within a second of the first is therefore the same wish.
 */
const SAME_WISH_MS = 1_000

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Resolves at the first signal that asks us to stop, after calling `first`; each later one calls `again`. */
export const onStopSignal = (handlers: { readonly first: () => void; readonly again: () => void }): Promise<void> =>
  new Promise((resolve) => {
    let firstAtMs: number | undefined
    const onSignal = () => {
      if (firstAtMs === undefined) {
        firstAtMs = Date.now()
        handlers.first()
        resolve()
      } else if (Date.now() - firstAtMs > SAME_WISH_MS) handlers.again()
    }
    for (const signal of SIGNALS) process.on(signal, onSignal)
  })
