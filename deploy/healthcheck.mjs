/** `node deploy/healthcheck.mjs PORT`: exits 0 when /readyz of this container answers 200. For HEALTHCHECKs. */
const [port] = process.argv.slice(2)
const answer = await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(4_000) }).catch(() => null)
process.exitCode = answer?.ok === true ? 0 : 1
