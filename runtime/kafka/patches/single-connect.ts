import type { KafkajsPatch } from './modules.ts'

interface Connection {
  connect(): Promise<unknown>
}

/**
 * Stock connects once for each request that finds its connection closed: of several sockets the last one is kept, the
 * others stay open for ever, and what arrives on them is mixed into the same read buffer. It takes two requests in the
 * same moment: concurrent fetches of a reader, or any two after a broker has closed the connection.
 */
export const singleConnect: KafkajsPatch = {
  name: 'single-connect',
  apply: (modules) => {
    const { prototype } = modules.load<{ prototype: Connection }>('network/connection.js')
    const stock = prototype.connect
    const connecting = new WeakMap<Connection, Promise<unknown>>()
    prototype.connect = function (this: Connection) {
      const underWay = connecting.get(this)
      if (underWay !== undefined) return underWay
      const attempt = stock.call(this).finally(() => connecting.delete(this))
      connecting.set(this, attempt)
      return attempt
    }
  },
}
