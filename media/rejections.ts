/**
 * Why a source cannot become a video: the closed list behind `SourceRejected.code`. Programs branch on the code, the
 * sentence is for the person who uploaded. A new reason is one entry here; codes are never renamed.
 */
export const REJECTIONS = {
  EMPTY: 'The file is empty.',
  UNREADABLE: 'The file is damaged or was cut off, so its contents cannot be read.',
  NOT_MEDIA: 'The file is not a video in a format that we know (MP4, MOV, MKV, WebM, AVI, MPEG, FLV, WMV or OGG).',
  IMAGE: 'The file is a picture, not a video.',
  NO_VIDEO: 'The file has sound but no moving picture.',
  UNSUPPORTED: 'The video uses a codec or colour system that we cannot convert.',
  LIMIT_DURATION: 'The video is too long.',
  LIMIT_STREAMS: 'The file has too many tracks.',
  LIMIT_DIMENSIONS: 'The picture is too large.',
  LIMIT_GAP: 'The video has a pause without any picture that is too long to be real.',
} as const satisfies Record<string, string>

export type RejectionCode = keyof typeof REJECTIONS

export interface Rejection {
  readonly code: RejectionCode
  /** What was found, for the log and the author: expected and got. Never holds URLs or secrets. */
  readonly detail: string
}
