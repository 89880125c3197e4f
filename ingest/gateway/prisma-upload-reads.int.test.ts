import t, { type Test } from 'tap'
import { silentLogger } from '../../platform/log.ts'
import { createDatabase } from '../../prisma/client.ts'
import { createTestDatabase } from '../../prisma/testing.ts'
import { superviseProjections } from '../../projections/engine/supervise.ts'
import { createMemoryLog, decodeJson } from '../../projections/testing/memory-log.ts'
import { fact } from '../../projections/testing/story.ts'
import { waitUntil } from '../../projections/testing/wait-until.ts'
import { videoCatalogue } from '../../projections/video-catalogue/projection.ts'
import { migrateSql } from '../../scripts/migrate/sql.ts'
import { prismaUploadReads } from './prisma-upload-reads.ts'
import { type UploadReadsWorld, uploadReadsContract } from './testing/upload-reads-contract.ts'

/** UploadReads on a real PostgreSQL that the real video-catalogue fills from a log in memory. */
const openWorld = async (t: Test) => {
  const database = await createTestDatabase((url) => migrateSql(url, silentLogger))
  const log = createMemoryLog(1)
  const supervisor = superviseProjections({
    db: database.db,
    reader: log.reader,
    decode: decodeJson,
    projections: [videoCatalogue],
    partitionsOf: () => 1,
    connect: database.connect,
    log: silentLogger,
  })
  const nowhere = createDatabase({ url: NOBODY_LISTENS, maxConnections: 1, log: silentLogger })
  t.teardown(async () => {
    await supervisor.stop()
    await nowhere.$disconnect()
    await database.close()
  })
  const reads = prismaUploadReads(database.db)
  const tell = async (...told: Parameters<typeof log.append>): Promise<void> => {
    log.append(...told)
    const { end } = await log.reader.offsets('', 0)
    await waitUntil('the facts are folded', () => BigInt(supervisor.status().detail[0]?.position ?? -1) >= end)
  }
  const world: UploadReadsWorld = {
    reads,
    away: prismaUploadReads(nowhere),
    start: (videoId, claimId, started) => tell(videoId, [{ ...fact('UploadStarted', started), causeId: claimId }]),
    part: (videoId, part) => tell(videoId, [fact('PartUploaded', part)]),
    refuse: (videoId, claimId, code) => tell(videoId, [fact('ClaimRefused', { causeId: claimId, code })]),
  }
  return { ...world, tell }
}

/** Port 1 belongs to nobody. */
const NOBODY_LISTENS = 'postgresql://nobody@127.0.0.1:1/nothing'

uploadReadsContract(t, openWorld)

t.test('an upload that ended says how, and a video what became of it', async (t) => {
  const { reads, start, tell } = await openWorld(t)
  await start('done', 'claim-1', fact('UploadStarted').data)
  await tell('done', [fact('UploadCompleted', { authorId: null, details: null })])
  t.match(await reads.findUpload('done'), { status: 'completed' })
  t.match(await reads.findVideo('done'), { status: 'processing' })

  await start('late', 'claim-2', fact('UploadStarted').data)
  await tell('late', [fact('UploadAborted')])
  t.match(await reads.findUpload('late'), { status: 'aborted' })

  await tell('done', [{ ...fact('VideoDetailsChanged', { revision: 2, title: 'Another' }), causeId: 'claim-3' }])
  t.match(await reads.findVideo('done'), { revision: 2, details: { title: 'Another' } })
  t.match(await reads.waitForOutcome('claim-3', 0), { code: null })

  await tell('done', [fact('VideoDeleted')])
  t.match(await reads.findVideo('done'), { status: 'deleted', details: { title: '' } })
})

t.test('a part that was rejected is wanted again, and is there when it was sent again', async (t) => {
  const { reads, start, part, tell } = await openWorld(t)
  await start('video', 'claim', fact('UploadStarted').data)
  await part('video', fact('PartUploaded', { partNumber: 1 }).data)
  await part('video', fact('PartUploaded', { partNumber: 2 }).data)
  const { etag, checksum } = fact('PartUploaded').data
  await tell('video', [fact('PartRejected', { partNumber: 1, etag, checksum })])
  t.match(await reads.findParts('video', 0, 10), [{ partNumber: 2 }])
  t.same(await reads.sumParts('video'), { parts: 1, bytes: fact('PartUploaded').data.sizeBytes })
  t.match(await reads.findPartsAmong('video', [1, 2]), [{ partNumber: 2 }])
  t.match(await reads.findUpload('video'), { status: 'open', rejections: 1 })
  await part('video', fact('PartUploaded', { partNumber: 1 }).data)
  t.match(await reads.findParts('video', 0, 10), [{ partNumber: 1 }, { partNumber: 2 }])
})

t.test('an import has a video and no upload', async (t) => {
  const { reads, tell } = await openWorld(t)
  const { details } = fact('UploadStarted').data
  await tell('import', [fact('UploadCompleted', { authorId: 'importer', details })])
  t.match(await reads.findVideo('import'), { authorId: 'importer', status: 'processing' })
  t.equal(await reads.findUpload('import'), null)
})
