import type { Stats } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import path from 'node:path'
import type { ReadSource } from '../ingest/sdk/index.ts'
import { BadInputError } from '../platform/errors.ts'
import { mediaTypeOf } from './media-names.ts'

/** A file as the upload client wants it: ranges read on demand, so that a file of any size costs one part of memory. */
export interface FileSource extends ReadSource {
  readonly name: string
  readonly lastModified: number
  close(): Promise<void>
}

/**
 * Opens the file for reading.
 * @throws BadInputError FILE_NOT_FOUND, NOT_A_FILE (a folder, a device …), EMPTY_FILE, FILE_UNREADABLE
 */
export const fileSource = async (file: string): Promise<FileSource> => {
  const handle = await opened(file)
  try {
    const stat = await handle.stat()
    if (!stat.isFile()) throw refused('NOT_A_FILE', `${file} is ${stat.isDirectory() ? 'a folder' : 'not a file'}.`)
    if (stat.size === 0) throw refused('EMPTY_FILE', `${file} is empty.`)
    return {
      size: stat.size,
      name: path.basename(file),
      type: mediaTypeOf(file),
      lastModified: stat.mtimeMs,
      readInto: (bytes, start) => readRange(handle, bytes, start),
      isUnchanged: async () => isSameFile(stat, await handle.stat()),
      close: () => handle.close(),
    }
  } catch (error) {
    await handle.close()
    throw error
  }
}

const opened = async (file: string): Promise<FileHandle> => {
  try {
    return await open(file, 'r')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') throw refused('FILE_NOT_FOUND', `There is no file ${file}.`, error)
    throw refused('FILE_UNREADABLE', `${file} cannot be read (${code}).`, error)
  }
}

/** The time of change too: whoever writes into a file can set the time of its content back. */
const isSameFile = (before: Stats, now: Stats): boolean =>
  before.size === now.size && before.mtimeMs === now.mtimeMs && before.ctimeMs === now.ctimeMs

/** Fewer when the file became shorter: the client notices. */
const readRange = async (handle: FileHandle, bytes: Uint8Array, start: number): Promise<number> => {
  let filled = 0
  while (filled < bytes.length) {
    const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, start + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return filled
}

const refused = (code: string, message: string, cause?: unknown): BadInputError =>
  new BadInputError(code, message, { cause })
