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
}

export interface SkippedFile {
  readonly shown: string
  readonly reason: string
}

/**
 * Files are taken as they are named, whatever their name; of folders, and the folders in them, the files that are called
 * like videos. Links to folders are not followed, for they may lead round in a circle. Files are not opened here.
 * @param names relative to `folder`, or absolute
 * @throws BadInputError NO_VIDEO_FILES when there is nothing in any folder and no file was named
 */
export const chooseFiles = async (names: readonly string[], folder: string): Promise<ChosenFiles> => {
  const found = await Promise.all(names.map((name) => filesOf(path.resolve(folder, name), name)))
  const files = new Map(found.flatMap((each) => each.files).map((file) => [file.path, file]))
  const skipped = found.flatMap((each) => each.skipped)
  if (files.size > 0) return { files: [...files.values()], skipped }
  throw new BadInputError('NO_VIDEO_FILES', `There is no file that is called like a video in ${names.join(', ')}.`)
}

const filesOf = async (file: string, shown: string): Promise<ChosenFiles> => {
  // Whoever opens a file that is not there says so.
  const isFolder = await stat(file).then(
    (stat) => stat.isDirectory(),
    () => false,
  )
  return isFolder ? inFolder(file, shown) : { files: [{ path: file, shown }], skipped: [] }
}

const inFolder = async (folder: string, shown: string): Promise<ChosenFiles> => {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => null)
  if (entries === null) return skip(shown, 'cannot be read')
  const sorted = entries.sort((a, b) => (a.name < b.name ? -1 : 1))
  const found = await Promise.all(
    sorted.map((entry) => inEntry(entry, path.join(folder, entry.name), path.join(shown, entry.name))),
  )
  return { files: found.flatMap(({ files }) => files), skipped: found.flatMap(({ skipped }) => skipped) }
}

const inEntry = async (entry: Dirent, file: string, shown: string): Promise<ChosenFiles> => {
  if (entry.isDirectory()) return inFolder(file, shown)
  const stats = await stat(file).catch(() => null)
  if (stats === null) return skip(shown, 'cannot be read')
  if (stats.isDirectory()) return skip(shown, 'is a link to a folder')
  if (!stats.isFile()) return skip(shown, 'is no file')
  return isVideoName(file) ? { files: [{ path: file, shown }], skipped: [] } : skip(shown, 'is not called like a video')
}

const skip = (shown: string, reason: string): ChosenFiles => ({ files: [], skipped: [{ shown, reason }] })
