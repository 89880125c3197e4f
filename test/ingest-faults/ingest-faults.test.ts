import t from 'tap'
import { systemClock } from '../../platform/clock.ts'
import { createMultipart } from '../../storage/multipart.ts'
import { presignPart } from '../../storage/presign.ts'
import { FAULTS } from './faults.ts'
import { type Finding, perform, readAftermath, wrongsOf } from './perform.ts'
import { BUCKET, openStage } from './stage.ts'

/** The short run: each fault once. `npm run test:ingest` is the long one. */
const SHORT_AWAY_MS = 5_000

const stage = await openStage(t, { awayMs: SHORT_AWAY_MS })
const findings: Finding[] = []

for (const fault of FAULTS) {
  t.test(`an upload outlives: ${fault.title}`, async (t) => {
    const finding = await perform(fault, stage)
    findings.push(finding)
    const { faults, resentBytes, allowedBytes, durationMs } = finding
    t.comment(`${faults} times, ${resentBytes} of ${allowedBytes} bytes again, ${Math.round(durationMs)} ms`)
  })
}

t.test('each object is its source, little was sent again, each is completed once', async (t) => {
  const aftermath = await readAftermath(stage)
  t.equal(findings.length, FAULTS.length)
  for (const finding of findings) t.same(wrongsOf(finding, aftermath), [], finding.fault.title)
  t.same(stage.deaths, [], 'no process ended by itself')
})

t.test('S3 itself answers 403 to a signature that has expired', async (t) => {
  const object = { bucket: BUCKET, key: 'v/expired/source', contentType: 'video/mp4' }
  const { uploadId } = await createMultipart(stage.s3, object)
  const part = { partNumber: 1, sizeBytes: 1, checksumSha256: 'bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=' }
  const longAgo = { now: () => systemClock.now() - 3_600_000 }
  const signed = await presignPart(stage.presigner, { ...object, uploadId }, part, {
    expiresInSeconds: 60,
    clock: longAgo,
  })
  stage.reset()
  const answer = await fetch(signed.url, { method: 'PUT', headers: signed.headers, body: new Uint8Array(1) })
  t.equal(answer.status, 403)
})
