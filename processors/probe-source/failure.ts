/** What a source is rejected with when it could not be examined at all; beside the codes of media/rejections.ts. */
export const PROBE_FAILED = {
  code: 'PROBE_FAILED',
  detail: 'The file could not be examined: it may be damaged, or the system was overloaded. Please upload it again.',
} as const
