import type { Children } from './child.ts'
import type { Managed } from './supervise.ts'

/** One of the real servers that `npm start` runs: what supervise.ts keeps running, and what the product needs of it. */
export interface LocalServer extends Managed {
  /** settings by which the product's processes find this server */
  readonly env: Readonly<Record<string, string>>
  /** Makes what must exist before a start (formatted storage); leaves nothing half made when it is killed. */
  prepare?(children: Children): Promise<void>
  /** What remains to be done once it answers for the first time. */
  finish?(): Promise<void>
  /** Why its next stop takes long, if it does. */
  slowStopReason?(): string | undefined
}

/** Servers listen on loopback only: they have no passwords worth the name. */
export const LOOPBACK = '127.0.0.1'
