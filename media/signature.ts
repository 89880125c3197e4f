/**
 * What the first bytes of a file say it is. Only asked when FFmpeg could not read the file as a video, to tell the
 * uploader why: a picture and a torn video need different advice.
 *
 * `video` means a container that we accept, so its contents must be damaged.
 */
export type Signature = 'image' | 'audio' | 'video' | 'unknown'

/** How many bytes `signatureOf` wants to see: two transport stream packets and a little more. */
export const SIGNATURE_BYTES = 512

export const signatureOf = (head: Uint8Array): Signature => {
  if (isIsoMedia(head)) return isoBrandOf(head)
  if (startsWith(head, 'RIFF')) return riffKind(head)
  if (IMAGES.some((magic) => startsWith(head, magic)) || isBitmap(head)) return 'image'
  if (AUDIO.some((magic) => startsWith(head, magic)) || isMpegAudioFrame(head)) return 'audio'
  if (VIDEO.some((magic) => startsWith(head, magic)) || isTransportStream(head)) return 'video'
  return 'unknown'
}

/** PNG, JPEG, GIF, TIFF (both byte orders), JPEG XL, Photoshop. */
const IMAGES = ['\x89PNG', '\xff\xd8\xff', 'GIF8', 'II*\0', 'MM\0*', '\xff\x0a', '8BPS']
/** MP3 with tags, FLAC, AIFF, MIDI, AMR, Monkey's Audio. */
const AUDIO = ['ID3', 'fLaC', 'FORM', 'MThd', '#!AMR', 'MAC ']
/** Matroska and WebM, FLV, ASF, Ogg, MPEG program stream, MPEG video. */
const VIDEO = ['\x1a\x45\xdf\xa3', 'FLV\x01', '\x30\x26\xb2\x75', 'OggS', '\0\0\x01\xba', '\0\0\x01\xb3']

const ISO_BOXES = ['ftyp', 'moov', 'mdat', 'free', 'skip', 'wide', 'pnot', 'styp', 'moof']
const IMAGE_BRANDS = ['heic', 'heix', 'heif', 'mif1', 'msf1', 'avif', 'avis']
const AUDIO_BRANDS = ['M4A ', 'M4B ', 'M4P ']

const ascii = (bytes: Uint8Array, from: number, length: number): string =>
  String.fromCharCode(...bytes.subarray(from, from + length))

const startsWith = (head: Uint8Array, magic: string): boolean => ascii(head, 0, magic.length) === magic

const isIsoMedia = (head: Uint8Array): boolean => ISO_BOXES.includes(ascii(head, 4, 4))

const isoBrandOf = (head: Uint8Array): Signature => {
  if (ascii(head, 4, 4) !== 'ftyp') return 'video'
  const brand = ascii(head, 8, 4)
  if (IMAGE_BRANDS.includes(brand)) return 'image'
  return AUDIO_BRANDS.includes(brand) ? 'audio' : 'video'
}

const riffKind = (head: Uint8Array): Signature => {
  const form = ascii(head, 8, 4)
  if (form === 'AVI ') return 'video'
  if (form === 'WEBP') return 'image'
  return form === 'WAVE' ? 'audio' : 'unknown'
}

/** "BM" alone begins many texts; the reserved bytes of the header are zero. */
const isBitmap = (head: Uint8Array): boolean => startsWith(head, 'BM') && ascii(head, 6, 4) === '\0\0\0\0'

/** MPEG audio sync word: eleven set bits, then a layer that is not the reserved one. ADTS AAC has layer 0. */
const isMpegAudioFrame = (head: Uint8Array): boolean => {
  const [first = 0, second = 0] = head
  return first === 0xff && (second & 0xe0) === 0xe0 && ((second & 0x06) !== 0 || (second & 0xf6) === 0xf0)
}

/** Sync bytes of the first three packets (ISO 13818-1: 188 bytes each; M2TS puts 4 bytes before each). */
const isTransportStream = (head: Uint8Array): boolean =>
  [188, 192].some((size) =>
    [0, 1, 2].every((n) => {
      const at = size - 188 + n * size
      return at >= head.length ? n === 2 : head[at] === 0x47
    }),
  )
