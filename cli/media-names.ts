import path from 'node:path'

/**
 * Names of video files. For a file that somebody names it only says what the file is to whoever downloads it; for a
 * folder it chooses what to take. Nothing in the product believes it: the source is probed.
 */
const MEDIA_TYPES: Readonly<Record<string, string>> = {
  '.3gp': 'video/3gpp',
  '.avi': 'video/x-msvideo',
  '.flv': 'video/x-flv',
  '.m2ts': 'video/mp2t',
  '.m4v': 'video/mp4',
  '.mkv': 'video/matroska',
  '.mov': 'video/quicktime',
  '.mp4': 'video/mp4',
  '.mpeg': 'video/mpeg',
  '.mpg': 'video/mpeg',
  '.mts': 'video/mp2t',
  '.mxf': 'application/mxf',
  '.ogv': 'video/ogg',
  '.ts': 'video/mp2t',
  '.vob': 'video/mpeg',
  '.webm': 'video/webm',
  '.wmv': 'video/x-ms-wmv',
}

export const mediaTypeOf = (name: string): string =>
  MEDIA_TYPES[path.extname(name).toLowerCase()] ?? 'application/octet-stream'

export const isVideoName = (name: string): boolean => path.extname(name).toLowerCase() in MEDIA_TYPES
