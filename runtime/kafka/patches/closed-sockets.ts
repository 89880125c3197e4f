import type { Socket } from 'node:net'
import type { KafkajsPatch } from './modules.ts'

interface Connection {
  socket: Socket | null
  disconnect(): Promise<unknown>
}

/**
 * Stock calls `unref()` on a socket each time its connection is told to disconnect, also when the socket is long closed.
 * There Node waits for a connect that never comes: one listener more for each time, and, when a broker is away for a
 * while, a MaxListenersExceededWarning in the middle of the log.
 */
export const closedSockets: KafkajsPatch = {
  name: 'closed-sockets',
  apply: (modules) => {
    const { prototype } = modules.load<{ prototype: Connection }>('network/connection.js')
    const { disconnect } = prototype
    prototype.disconnect = function (this: Connection) {
      if (this.socket?.destroyed === true) this.socket = null
      return disconnect.call(this)
    }
  },
}
