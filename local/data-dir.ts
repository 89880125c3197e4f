import { mkdir, realpath } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { pathHash } from './postgres-home.ts'

/**
 * One supervisor per data folder, for two would write into the same files.
 *
 * The lock is a listening Unix socket with an abstract name (unix(7)): binding it is atomic, the kernel releases it
 * however its owner ends, kill -9 included, and nothing is left on disk that could be stale. Whoever finds it taken
 * can ask it for the pid of the owner.
 */
export interface DataDirLock {
  release(): Promise<void>
}

export type Claim = { readonly lock: DataDirLock } | { readonly takenBy: number }

/** Makes the data folder when it is missing and returns its one true path (symbolic links resolved). */
export const openDataDir = async (dataDir: string): Promise<string> => {
  // The mode of a folder that was there is its owner's affair: DATA_DIR may name one by mistake.
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  return realpath(dataDir)
}

/** @param dataDir as openDataDir returned it */
export const claimDataDir = async (dataDir: string): Promise<Claim> => {
  const name = `\0reelstream-${pathHash(dataDir)}`
  for (;;) {
    const server = await listen(name)
    if (server) return { lock: { release: () => new Promise((resolve) => server.close(() => resolve())) } }
    const takenBy = await askOwner(name)
    if (takenBy !== undefined) return { takenBy }
    // The owner ended between the two questions: try again.
  }
}

const listen = (name: string): Promise<Server | undefined> =>
  new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.on('error', () => socket.destroy())
      socket.end(String(process.pid))
    })
    server.once('listening', () => resolve(server))
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined)
      else reject(error)
    })
    server.listen(name)
    // Waiting for questions is no reason to stay alive.
    server.unref()
  })

const askOwner = (name: string): Promise<number | undefined> =>
  new Promise((resolve) => {
    let answer = ''
    const socket = connect(name)
    socket.setTimeout(2_000, () => socket.destroy())
    socket.on('data', (chunk) => {
      answer += chunk
    })
    socket.once('error', () => resolve(undefined))
    socket.once('close', () => resolve(answer === '' ? undefined : Number(answer)))
  })
