/** What `TranscodeFailed` tells the uploader, by the code of the job's last failure. Any other code: NOT_CONVERTED. */
const SENTENCES: Readonly<Record<string, string>> = {
  TRUNCATED: 'The file is damaged or was cut off: a part of it cannot be decoded.',
  FFMPEG_STALLED: 'The file could not be decoded: the decoder got stuck in it.',
  CRASHED: 'The file could not be decoded: it crashes the decoder.',
}
const NOT_CONVERTED = 'The video could not be converted.'

export const failureSentence = (code: string): string => SENTENCES[code] ?? NOT_CONVERTED
