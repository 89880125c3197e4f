/** What tells a file from others without reading it. */
export interface Identified {
  readonly name?: string | undefined
  readonly size: number
  readonly lastModified?: number | undefined
}

/**
 * A short name for "this file, uploaded like this": 64 hex digits. The same file (name, length, time of change) and the
 * same `matters` (anything that JSON can say: the gateway, the author, the details) give the same one.
 *
 * It only FINDS the upload to go on with. Whether the bytes are the same is never concluded from it: each part is
 * compared by its checksum, so a file that was changed under the same name and time is still uploaded right.
 */
export const fingerprintOf = async (file: Identified, ...matters: readonly unknown[]): Promise<string> => {
  const said = JSON.stringify([file.name ?? '', file.size, file.lastModified ?? 0, ...matters])
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(said))
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
