import t from 'tap'
import type { UploadStarted } from '../../schemas/generated.ts'
import { fakePipeline } from './testing/fakes.ts'
import { uploadReadsContract } from './testing/upload-reads-contract.ts'

/** The stand-in of the unit tests keeps the contract of the port that it stands in for. */
uploadReadsContract(t, async () => {
  const { reads, claims, fault } = fakePipeline()
  const pipelineWithoutDatabase = fakePipeline()
  pipelineWithoutDatabase.fault.database = 'away'
  let made = 0
  const start = async (videoId: string, claimId: string, started: UploadStarted): Promise<void> => {
    await claims.claim('UploadStarted', videoId, started, { id: claimId })
  }
  return {
    reads,
    away: pipelineWithoutDatabase.reads,
    start,
    async part(videoId, part) {
      made += 1
      await claims.claim('PartUploaded', videoId, part, { id: `part-${made}` })
    },
    async refuse(videoId, claimId, code) {
      fault.refuse = code
      await start(videoId, claimId, {} as UploadStarted)
      delete fault.refuse
    },
  }
})
