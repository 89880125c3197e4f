/**
 * Hears when versions change places (a swap, a rollback; NOTIFY), over a connection of its own: so the version that
 * readers see from then on is fed within milliseconds, and nobody has to look every half second.
 *
 * A notice only wakes: whoever is woken reads engine.versions. The driver does not reconnect by itself; a connection
 * that has ended wakes, too, and the next `listen` makes a new one.
 */
import type { Client } from 'pg'

export const VERSIONS_CHANNEL = 'reelstream_versions'

export interface VersionListener {
  /**
   * Listens from now on and resolves to a promise of the next change, which resolves and never rejects. Read the versions
   * after that, and no change is missed in between. Throws what connecting throws.
   */
  listen(): Promise<{ readonly changed: Promise<void> }>
  close(): Promise<void>
}

/** `connect` makes a fresh connection, which is ended here. */
export const createVersionListener = (connect: () => Promise<Client>): VersionListener => {
  let client: Client | undefined
  let next = Promise.withResolvers<void>()
  const wake = () => {
    next.resolve()
    next = Promise.withResolvers()
  }
  const open = async (): Promise<Client> => {
    const opened = await connect()
    opened.on('notification', wake)
    opened.once('end', () => {
      if (client === opened) client = undefined
      wake()
    })
    await opened.query(`LISTEN ${VERSIONS_CHANNEL}`)
    return opened
  }
  return {
    async listen() {
      client ??= await open()
      return { changed: next.promise }
    },
    async close() {
      await client?.end()
    },
  }
}
