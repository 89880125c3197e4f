import { randomUUID } from 'node:crypto'
import { abortMultipart, createMultipart, listMultipartUploads } from '../../storage/multipart.ts'
import type { S3Client } from '../../storage/s3-client.ts'

/**
 * How old a multipart is, by the clock of S3 alone. Ours may differ from it, and some servers do not tell the time at
 * which an upload began but always the same one, or the present; to believe either would abort what began a second ago.
 * So a multipart of our own is made, listed and aborted, and its time is "now" in the same measure, whatever that is: on
 * a server whose times mean nothing everything is as young as the probe, and nothing is ever touched.
 *
 * A dry run needs its probe as well, or it could not say of any multipart that it would be aborted; the probes of others
 * that died it leaves.
 *
 * @returns age in ms of a multipart with that time of beginning; null where that cannot be said
 */
export const measureAges = async (
  s3: S3Client,
  bucket: string,
  { signal, dryRun }: { readonly signal: AbortSignal; readonly dryRun: boolean },
): Promise<(initiatedAtMs: number | null) => number | null> => {
  const key = `${PROBES}${randomUUID()}`
  const probe = await createMultipart(s3, { bucket, key, contentType: 'application/octet-stream' }, { signal })
  const leftBehind: { readonly key: string; readonly uploadId: string; readonly initiatedAtMs: number | null }[] = []
  let nowMs: number | null = null
  try {
    for await (const listed of listMultipartUploads(s3, { bucket, prefix: PROBES }, { signal })) {
      if (listed.key === key) nowMs = listed.initiatedAtMs
      else leftBehind.push(listed)
    }
  } finally {
    await abortMultipart(s3, probe)
  }
  const ageOf = (initiatedAtMs: number | null) =>
    nowMs === null || initiatedAtMs === null ? null : nowMs - initiatedAtMs
  for (const { key, uploadId, initiatedAtMs } of dryRun ? [] : leftBehind) {
    if ((ageOf(initiatedAtMs) ?? 0) > PROBE_LIFE_MS) await abortMultipart(s3, { bucket, key, uploadId }, { signal })
  }
  return ageOf
}

/** Beside `v/`: never the folder of a video. */
const PROBES = 'reconcile/'
/** A reconciler that is still at it has its probe for a moment. */
const PROBE_LIFE_MS = 3_600_000
