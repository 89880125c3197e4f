/**
 * Calls `kill`, which must be synchronous, when this process ends by itself or is told to by a signal. Servers lead
 * sessions of their own, so neither Ctrl-C nor the death of their test reaches them. Returns how to take it back.
 */
export const endWithProcess = (kill: () => void): (() => void) => {
  const leave = () => process.exit(1) // `exit` follows; a signal alone would end the process without it
  process.on('exit', kill)
  for (const signal of SIGNALS) process.on(signal, leave)
  return () => {
    process.off('exit', kill)
    for (const signal of SIGNALS) process.off(signal, leave)
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
