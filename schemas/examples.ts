import type {
  Actor,
  Job,
  ProbedSource,
  RenditionSegments,
  Segment,
  SourceRef,
  TranscodePlan,
  VideoDetails,
} from './generated.ts'
import type { EventOf, topics } from './topics.ts'

/**
 * One valid instance of every event, all of one video: a minute of 1280x720 at 25 frames a second, uploaded in eight
 * parts. Documentation shows them, producers copy them, and tests begin from them (`{ ...examples.PartUploaded, partNumber: 2 }`).
 * The type names every event of every topic, so the compiler asks for the example of a new one.
 */
type EventOfAny<T> = T extends { readonly events: object } ? EventOf<T> : never
type AnyEvent = EventOfAny<(typeof topics)[number]>

export type Examples = { readonly [E in AnyEvent['type']]: Extract<AnyEvent, { readonly type: E }>['data'] }

export const EXAMPLE_VIDEO_ID = '3f8a4b1e-52c7-5d39-9b0e-7a64c1f0d2e8'

const MiB = 1024 * 1024
const AUTHOR_ID = 'author-7c1f2b'
const MEDIA_BUCKET = 'reelstream-media'
const CHECKSUM = '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='
const LADDER_HASH = '9f2c4d1a7b3e5f60812d94c6ab7e3f5d0c1b2a39485766574839201a0b1c2d3e'
const MEDIA_PREFIX = `v/${EXAMPLE_VIDEO_ID}/g1`

const author: Actor = { id: AUTHOR_ID, role: 'AUTHOR' }

const details: VideoDetails = {
  title: 'Crossing the Sarek in winter',
  description: 'Nine days on skis, filmed with one camera.',
  author: 'Inga Lindqvist',
  tags: ['outdoors', 'skiing', 'sweden'],
  visibility: 'PUBLIC',
  fileName: 'sarek final (2).mp4',
  metadata: '{"camera":{"make":"Lumix","model":"GH6"},"series":"North"}',
}

const source: SourceRef = {
  bucket: MEDIA_BUCKET,
  objectKey: `v/${EXAMPLE_VIDEO_ID}/source`,
  etag: '5c8a7f0d1e2b3c4d5e6f708192a3b4c5-8',
  sizeBytes: 60 * MiB,
}

const probed: ProbedSource = {
  container: 'mov,mp4,m4a,3gp,3g2,mj2',
  sizeBytes: source.sizeBytes,
  durationMs: 60_000,
  video: {
    streamIndex: 0,
    codec: 'h264',
    width: 1280,
    height: 720,
    sarNum: 1,
    sarDen: 1,
    rotation: 0,
    frameRateNum: 25,
    frameRateDen: 1,
    variableFrameRate: false,
    pixelFormat: 'yuv420p',
    colour: { primaries: 'bt709', transfer: 'bt709', space: 'bt709', range: 'tv' },
    interlaced: false,
    frameCount: 1_500,
    startTimeUs: 0,
    durationUs: 60_000_000,
  },
  audio: [
    {
      streamIndex: 1,
      codec: 'aac',
      channels: 2,
      sampleRate: 48_000,
      language: 'und',
      title: null,
      startTimeUs: 0,
      durationUs: 60_011_000,
    },
  ],
  warnings: [],
}

const plan: TranscodePlan = {
  durationMs: 60_000,
  videoStreamIndex: 0,
  originUs: 0,
  frameRateNum: 25,
  frameRateDen: 1,
  timescale: 12_800,
  frameTicks: 512,
  totalFrames: 1_500,
  totalFramesExact: true,
  gopFrames: 50,
  firstSegmentFrames: [50, 50, 50],
  segmentFrames: 150,
  deinterlace: false,
  colour: {
    mode: 'keep',
    inputMatrix: null,
    inputPrimaries: null,
    inputTransfer: null,
    inputSpace: null,
    fullRange: false,
    flattenAlpha: false,
  },
  renditions: [
    {
      name: '720p',
      width: 1280,
      height: 720,
      crf: 23,
      maxrateBps: 2_800_000,
      bufsizeBits: 4_200_000,
      preset: 'veryfast',
      profile: 'high',
    },
    {
      name: '480p',
      width: 854,
      height: 480,
      crf: 23,
      maxrateBps: 1_200_000,
      bufsizeBits: 1_800_000,
      preset: 'veryfast',
      profile: 'high',
    },
    {
      name: '180p',
      width: 320,
      height: 180,
      crf: 23,
      maxrateBps: 200_000,
      bufsizeBits: 300_000,
      preset: 'veryfast',
      profile: 'high',
    },
  ],
  audio: [
    {
      track: 'audio-0',
      rendition: 'aac',
      streamIndex: 1,
      bitrateBps: 128_000,
      channels: 2,
      sampleRate: 48_000,
      segmentMs: 6_000,
      language: 'und',
      name: 'Sound',
      isDefault: true,
    },
  ],
  chunks: [{ index: 0, startFrame: 0, endFrame: 1_500, seekUs: null }],
}

const firstSegment = (rendition: string, sizeBytes: number, keyframeBytes: number): Segment => ({
  index: 0,
  objectKey: `${MEDIA_PREFIX}/video/${rendition}/00000.m4s`,
  sizeBytes,
  durationTicks: 25_600,
  checksum: CHECKSUM,
  fragments: [{ offset: 0, keyframeBytes, durationTicks: 25_600 }],
})

const firstSegments = (rendition: string, codecs: string, segment: Segment): RenditionSegments => ({
  rendition,
  init: {
    objectKey: `${MEDIA_PREFIX}/video/${rendition}/init.mp4`,
    sizeBytes: 812,
    checksum: CHECKSUM,
    codecs,
    timescale: 12_800,
  },
  segments: [segment],
})

const job: Job = {
  jobId: 'c2d1e0f9-8a7b-5c6d-9e0f-1a2b3c4d5e6f',
  videoId: EXAMPLE_VIDEO_ID,
  kind: 'VIDEO',
  generation: 1,
  track: 'video',
  chunkIndex: 0,
  source,
  plan,
  playlistKey: null,
}

export const examples: Examples = {
  UploadStarted: {
    authorId: AUTHOR_ID,
    details,
    sealedDetails: null,
    contentType: 'video/mp4',
    sizeBytes: source.sizeBytes,
    partSizeBytes: 8 * MiB,
    partCount: 8,
    checksumAlgorithm: 'SHA256',
    bucket: source.bucket,
    objectKey: source.objectKey,
    s3UploadId: 'VXBsb2FkIG9mIHNhcmVrIGZpbmFs',
    expiresAtMs: Date.UTC(2030, 0, 2, 12),
  },
  PartUploaded: {
    partNumber: 1,
    sizeBytes: 8 * MiB,
    etag: 'b54357faf0632cce46e942fa68356b38',
    checksum: CHECKSUM,
  },
  PartRejected: {
    partNumber: 1,
    etag: 'b54357faf0632cce46e942fa68356b38',
    checksum: CHECKSUM,
    code: 'PART_MISSING',
    detail: 'S3 does not have part 1.',
    rejection: 1,
    following: 0,
  },
  UploadSealed: { partCount: 8, sizeBytes: source.sizeBytes },
  UploadAbortRequested: { actor: author, reason: 'Chose the wrong file' },
  UploadCompleted: { ...source, checksum: `${CHECKSUM}-8`, authorId: null, details: null, sealedDetails: null },
  UploadAborted: {
    reason: 'EXPIRED',
    code: 'UPLOAD_EXPIRED',
    detail: 'The upload was not finished in time.',
  },
  SourceProbed: { etag: source.etag, source: probed },
  SourceRejected: { code: 'NO_VIDEO', detail: 'The file has sound but no moving picture.' },
  TranscodePlanned: { generation: 1, ladderHash: LADDER_HASH, toolchain: 'ffmpeg 5.1.9, x264 164', source, plan },
  SegmentsTranscoded: {
    generation: 1,
    track: 'video',
    chunkIndex: 0,
    firstIndex: 0,
    renditions: [
      firstSegments('720p', 'avc1.64001f', firstSegment('720p', 402_117, 61_204)),
      firstSegments('480p', 'avc1.64001e', firstSegment('480p', 188_630, 30_871)),
      firstSegments('180p', 'avc1.64000d', firstSegment('180p', 41_902, 8_115)),
    ],
  },
  ChunkTranscoded: {
    generation: 1,
    track: 'video',
    chunkIndex: 0,
    frames: 1_500,
    cpuMs: 48_210,
    wallMs: 27_004,
    worker: 'worker-1',
    attempt: 1,
  },
  ChunkFailed: {
    generation: 1,
    track: 'video',
    chunkIndex: 0,
    attempt: 1,
    code: 'ENCODER_STALLED',
    detail: 'no frame for 30 s after frame 812',
    retryable: true,
  },
  RenditionTranscoded: {
    generation: 1,
    track: 'video',
    rendition: '720p',
    width: 1280,
    height: 720,
    frameRate: 25,
    codecs: 'avc1.64001f',
    peakBandwidthBps: 2_611_904,
    averageBandwidthBps: 1_702_433,
    segmentCount: 12,
    durationMs: 60_000,
    sizeBytes: 12_768_248,
  },
  TranscodeFailed: {
    generation: 1,
    code: 'TRUNCATED',
    detail: 'The file ends before its last frame.',
    attempts: 3,
  },
  ThumbnailsExtracted: {
    generation: 1,
    posterKey: `${MEDIA_PREFIX}/thumbnails/poster.jpg`,
    storyboardKey: `${MEDIA_PREFIX}/thumbnails/storyboard.jpg`,
    storyboardVttKey: `${MEDIA_PREFIX}/thumbnails/storyboard.vtt`,
  },
  PlaylistPublished: {
    generation: 1,
    revision: 7,
    masterKey: `${MEDIA_PREFIX}/r7/master.m3u8`,
    renditions: [
      {
        track: 'video',
        name: '720p',
        playlistKey: `${MEDIA_PREFIX}/r7/video-720p.m3u8`,
        width: 1280,
        height: 720,
        frameRate: 25,
        codecs: 'avc1.64001f',
        peakBandwidthBps: 2_611_904,
        averageBandwidthBps: 1_702_433,
      },
      {
        track: 'video',
        name: '180p',
        playlistKey: `${MEDIA_PREFIX}/r7/video-180p.m3u8`,
        width: 320,
        height: 180,
        frameRate: 25,
        codecs: 'avc1.64000d',
        peakBandwidthBps: 231_440,
        averageBandwidthBps: 158_702,
      },
      {
        track: 'audio-0',
        name: 'aac',
        playlistKey: `${MEDIA_PREFIX}/r7/audio-0-aac.m3u8`,
        width: null,
        height: null,
        frameRate: null,
        codecs: 'mp4a.40.2',
        peakBandwidthBps: 130_112,
        averageBandwidthBps: 128_377,
      },
    ],
    playableDurationMs: 60_000,
    complete: true,
    warnings: [],
  },
  GenerationSelected: { generation: 1, by: 'AUTO' },
  VideoDetailsChanged: {
    actor: author,
    title: 'Crossing the Sarek in winter (director’s cut)',
    description: null,
    author: null,
    tags: ['outdoors', 'skiing', 'sweden', 'sarek'],
    visibility: null,
    metadata: null,
    sealedDetails: null,
    expectedRevision: 1,
    revision: 2,
  },
  ClaimRefused: {
    causeId: '019a2b3c-4d5e-7f60-8192-a3b4c5d6e7f8',
    claimType: 'VideoDetailsChanged',
    code: 'REVISION_CONFLICT',
    detail: 'The details were changed meanwhile: expected revision 1, it is 2.',
  },
  VideoDeleted: { actor: author },
  JobsRequested: { jobs: [job] },
  JobsCancelled: { videoId: EXAMPLE_VIDEO_ID },
  JobSettled: {
    jobId: job.jobId,
    videoId: EXAMPLE_VIDEO_ID,
    attempt: 1,
    ok: false,
    code: 'ENCODER_STALLED',
    detail: 'no frame for 30 s after frame 812',
    retryable: true,
  },
  LaneOpened: { lane: 3, workerId: 'worker-1', videoSlots: 1, lightSlots: 2, held: [job.jobId] },
  LaneClosed: { lane: 3, workerId: 'worker-1' },
  ReleasesHeld: { untilMs: Date.parse('2026-03-14T10:05:00Z') },
  JobReleased: { job, attempt: 1 },
  JobCancelled: { videoId: EXAMPLE_VIDEO_ID },
}
