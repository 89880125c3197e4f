/**
 * Reading ISO base media boxes (ISO/IEC 14496-12) that are whole in memory. Pure. Only what fragmented MP4 of our own
 * making needs: headers, and a walk over children.
 */
export interface Box {
  readonly type: string
  /** Without the box's own header. */
  readonly body: DataView
}

export interface BoxHeader {
  readonly type: string
  /** Of the whole box, header included. */
  readonly sizeBytes: number
  readonly headerBytes: number
}

/** The header at the start of `bytes`; null when there are too few bytes to tell. A size of 0 ("to the end") is kept. */
export const boxHeader = (bytes: DataView): BoxHeader | null => {
  if (bytes.byteLength < 8) return null
  const size = bytes.getUint32(0)
  const type = fourCc(bytes, 4)
  if (size !== 1) return { type, sizeBytes: size, headerBytes: 8 }
  if (bytes.byteLength < 16) return null
  return { type, sizeBytes: Number(bytes.getBigUint64(8)), headerBytes: 16 }
}

/** The boxes inside `body`, from byte `from` on. Stops at the first that does not fit. */
export function* childBoxes(body: DataView, from = 0): Generator<Box> {
  let at = from
  while (at < body.byteLength) {
    const header = boxHeader(viewOf(body, at))
    if (header === null || header.sizeBytes < header.headerBytes || at + header.sizeBytes > body.byteLength) return
    yield { type: header.type, body: viewOf(body, at + header.headerBytes, header.sizeBytes - header.headerBytes) }
    at += header.sizeBytes
  }
}

/** The first box along a path of types: `findBox(moov, 'trak', 'mdia')`. */
export const findBox = (body: DataView, ...path: readonly string[]): DataView | null => {
  const [type, ...rest] = path
  if (type === undefined) return body
  for (const box of childBoxes(body)) {
    if (box.type === type) return findBox(box.body, ...rest)
  }
  return null
}

export const dataViewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

export const fourCc = (view: DataView, at: number): string =>
  String.fromCharCode(view.getUint8(at), view.getUint8(at + 1), view.getUint8(at + 2), view.getUint8(at + 3))

const viewOf = (view: DataView, at: number, length = view.byteLength - at): DataView =>
  new DataView(view.buffer, view.byteOffset + at, length)
