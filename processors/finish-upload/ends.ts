/**
 * Why an upload can end without an object, besides what the parts themselves are rejected for: codes of
 * `UploadAborted`. The sentence is for the uploader; codes are never renamed.
 */
export const UPLOAD_ENDS = {
  UPLOAD_CANCELLED: 'The upload was given up, as was asked for.',
  UPLOAD_EXPIRED: 'The upload was not finished in time.',
  UPLOAD_FAILED: 'The parts could not be put together. Please upload the file again.',
} as const satisfies Record<string, string>

export type UploadEnd = keyof typeof UPLOAD_ENDS
