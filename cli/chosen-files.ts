import type { Dirent } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { BadInputError } from '../platform/errors.ts'
import { isVideoName } from './media-names.ts'

/** What the command line names, with folders replaced by the videos in them. */
export interface ChosenFiles {
  /** In the order of the command line, a folder's by name; each once. */
  readonly files: readonly ChosenFile[]
  readonly skipped: readonly SkippedFile[]
}

export interface ChosenFile {
  /** Absolute. */
  readonly path: string
  /** As whoever asked for it would write it. */
  readonly shown: string
  /** Of what cannot even be looked into: a folder that may hold anything. */
  readonly failure?: BadInputError
}

export interface SkippedFile {
  readonly shown: string
  readonly reason: string
}

type ReadFolder = (folder: string) => Promise<Dirent[]>

/**
 * Files are taken as they are named, whatever their name; of folders, and the folders in them, the files that are called
 * like videos. Links to folders are not followed, for they may lead round in a circle. Files are not opened here: whoever
 * opens one that is not there, or not readable, says so. A folder that cannot be read is not skipped, but fails as a file
 * would.
 * @param names relative to `folder`, or absolute
 */
export const chooseFiles = async (
  names: readonly string[],
  folder: string,
  read: ReadFolder = (folder) => readdir(folder, { withFileTypes: true }),
): Promise<ChosenFiles> => {
  const found = await Promise.all(names.map((name) => filesOf(path.resolve(folder, name), name, read)))
  const files = new Map(found.flatMap((each) => each.files).map((file) => [file.path, file]))
  return { files: [...files.values()], skipped: found.flatMap((each) => each.skipped) }
}

const filesOf = async (file: string, shown: string, read: ReadFolder): Promise<ChosenFiles> => {
  const isFolder = await stat(file).then(
    (stat) => stat.isDirectory(),
    () => false,
  )
  return isFolder ? inFolder(file, shown, read) : take({ path: file, shown })
}

const inFolder = async (folder: string, shown: string, read: ReadFolder): Promise<ChosenFiles> => {
  try {
    const sorted = (await read(folder)).sort((a, b) => (a.name < b.name ? -1 : 1))
    const found = await Promise.all(
      sorted.map((entry) => inEntry(entry, path.join(folder, entry.name), path.join(shown, entry.name), read)),
    )
    return { files: found.flatMap(({ files }) => files), skipped: found.flatMap(({ skipped }) => skipped) }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const message = `The folder ${shown} cannot be read (${code}).`
    return take({ path: folder, shown, failure: new BadInputError('FILE_UNREADABLE', message, { cause: error }) })
  }
}

const inEntry = async (entry: Dirent, file: string, shown: string, read: ReadFolder): Promise<ChosenFiles> => {
  if (entry.isDirectory()) return inFolder(file, shown, read)
  const stats = await stat(file).catch(() => null)
  if (stats?.isDirectory()) return skip(shown, 'is a link to a folder')
  if (stats?.isFile() === false) return skip(shown, 'is no file')
  return isVideoName(file) ? take({ path: file, shown }) : skip(shown, 'is not called like a video')
}

const take = (file: ChosenFile): ChosenFiles => ({ files: [file], skipped: [] })
const skip = (shown: string, reason: string): ChosenFiles => ({ files: [], skipped: [{ shown, reason }] })
