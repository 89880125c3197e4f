import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'

/**
 * Where FFmpeg writes: one local stream socket per output, read here as it is written.
 *
 * Why not files that grow: a job as long as the video would need a disk as large as the video, a poll or a watch to
 * notice growth, and somebody to clean up after a crash. Why not pipes (`pipe:3`): fluent-ffmpeg cannot pass further
 * descriptors. A socket needs zero bytes of disk at any duration, is read the moment it is written, and holds FFmpeg
 * back by itself when uploads are slow: memory is bounded by what one fragment needs. Measured against files on a 60 s
 * encode: the same wall time within noise. And when the worker dies, FFmpeg's next write fails and it stops, even where
 * no parent-death signal exists.
 *
 * A stream ends well only when FFmpeg itself ended well (`processEnded(null)`): a crash closes sockets just like a
 * finished job does, and a half-written video must not look complete.
 *
 * Outputs never wait for one another here, so FFmpeg, which writes them in turn, cannot deadlock. A reader that waits
 * for another output's data must be ready to hold as much as that lags behind (about one GOP).
 */
export interface OutputSockets {
  /** FFmpeg URLs, one per output. */
  readonly urls: readonly string[]
  /** What is written to each; each can be read once. Fails with the error given to `processEnded`. */
  readonly streams: readonly AsyncIterable<Uint8Array>[]
  /** True while some reader works on bytes it was given: FFmpeg may then be waiting for us. */
  isHeld(): boolean
  /** Total bytes read from all outputs. */
  bytesRead(): number
  processEnded(error: Error | null): Promise<void>
  /** Removes the sockets. Always to be called. */
  close(): Promise<void>
}

export const openOutputSockets = async (count: number): Promise<OutputSockets> => {
  // Private to this user (mode 0700), and short: the path of a local socket has about 100 characters.
  const folder = await mkdtemp(join(tmpdir(), 'rs-'))
  const state = { held: 0, bytes: 0 }
  const ended = Promise.withResolvers<void>()
  // Readers await it; without any, a failure would count as unhandled.
  ended.promise.catch(() => undefined)
  const outputs: Output[] = []
  for (let i = 0; i < count; i++) outputs.push(await listen(join(folder, String(i))))
  return {
    urls: outputs.map(({ path }) => `unix:${path}`),
    streams: outputs.map((output) => readOutput(output, ended.promise, state)),
    isHeld: () => state.held > 0,
    bytesRead: () => state.bytes,
    processEnded: async (error) => {
      // A connection made just before the exit is delivered by the next turns of the event loop.
      await setImmediate()
      await setImmediate()
      for (const { connected } of outputs) connected.resolve(null)
      if (error === null) ended.resolve()
      else ended.reject(error)
    },
    close: async () => {
      for (const { server, socket } of outputs) {
        socket()?.destroy()
        server.close()
      }
      await rm(folder, { recursive: true, force: true })
    },
  }
}

interface Output {
  readonly path: string
  readonly server: Server
  /** null: the process ended without ever opening this output. */
  readonly connected: PromiseWithResolvers<Socket | null>
  socket(): Socket | null
}

const listen = async (path: string): Promise<Output> => {
  const connected = Promise.withResolvers<Socket | null>()
  let first: Socket | null = null
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    if (first !== null) {
      socket.destroy()
      return
    }
    first = socket
    // A reset is seen by whoever reads; a socket that nobody reads yet must not end the process.
    socket.on('error', () => undefined)
    connected.resolve(socket)
  })
  const listening = Promise.withResolvers<void>()
  server.once('error', listening.reject)
  server.listen(path, listening.resolve)
  await listening.promise
  return { path, server, connected, socket: () => first }
}

async function* readOutput(
  output: Output,
  ended: Promise<void>,
  state: { held: number; bytes: number },
): AsyncGenerator<Uint8Array> {
  const socket = await output.connected.promise
  let broken: unknown = null
  if (socket !== null) {
    try {
      for await (const chunk of socket as AsyncIterable<Uint8Array>) {
        state.bytes += chunk.length
        state.held += 1
        try {
          yield chunk
        } finally {
          state.held -= 1
        }
      }
    } catch (error) {
      broken = error
    }
  }
  // Why the process ended says more than that its socket broke.
  await ended
  if (broken !== null) throw broken
}
