import type { AudioStream, ProbedSource, VideoStream } from './types.ts'

/** Sources for tests: ten seconds of 720p25 with stereo sound, and whatever a test says instead. */
export const aSource = (
  video: Partial<VideoStream> = {},
  audio: readonly AudioStream[] = [anAudioStream()],
): ProbedSource => ({
  container: 'mov,mp4,m4a,3gp,3g2,mj2',
  sizeBytes: 1_000_000,
  durationMs: 10_000,
  video: { ...A_VIDEO_STREAM, ...video },
  audio,
  warnings: [],
})

export const anAudioStream = (audio: Partial<AudioStream> = {}): AudioStream => ({ ...AN_AUDIO_STREAM, ...audio })

const A_VIDEO_STREAM: VideoStream = {
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
  frameCount: 250,
  startTimeUs: 0,
  durationUs: 10_000_000,
}

const AN_AUDIO_STREAM: AudioStream = {
  streamIndex: 1,
  codec: 'aac',
  channels: 2,
  sampleRate: 48000,
  language: 'und',
  title: null,
  startTimeUs: 0,
  durationUs: 10_000_000,
}
