/**
 * Why a claim is not admitted: the closed list behind `ClaimRefused.code`. Programs branch on the code, the sentence is
 * for whoever claimed. A new reason is one entry here; codes are never renamed.
 */
export const REFUSALS = {
  INVALID_VALUE: 'A value is missing or out of its range.',
  UNKNOWN_VIDEO: 'There is no such video.',
  VIDEO_DELETED: 'The video was deleted.',
  NOT_OWNER: 'Only the author of the video or an administrator may do this.',
  ALREADY_STARTED: 'The video exists already: its id belongs to the upload that came first.',
  ALREADY_IMPORTED: 'The video exists already: it was imported before.',
  UPLOAD_OPEN: 'The video is being uploaded, and only its own upload can complete it.',
  UPLOAD_OVER: 'The upload is over.',
  NOT_AN_UPLOAD: 'The video was imported and has no upload.',
  ALREADY_SEALED: 'The number of parts is known already.',
  REVISION_CONFLICT: 'The details were changed meanwhile.',
  OBJECT_NOT_ALLOWED: 'An upload goes into the media bucket, to the key of its own video.',
  SOURCE_NOT_ALLOWED: 'Objects may not be imported from this place.',
} as const satisfies Record<string, string>

export type RefusalCode = keyof typeof REFUSALS
