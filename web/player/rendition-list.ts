/**
 * The renditions of the video as media-chrome's quality menu wants them: a list on the media element
 * (`video.videoRenditions`) with a selected index, where -1 is "let the player decide".
 * https://github.com/muxinc/media-tracks describes the interface; this is the part of it that the menu uses.
 */
export interface Rendition {
  readonly id: string
  readonly width: number
  readonly height: number
  readonly bitrate: number
}

export class RenditionList extends EventTarget implements Iterable<Rendition> {
  readonly #renditions: Rendition[] = []
  readonly #onSelect: (index: number) => void
  #selectedIndex = -1;

  // The menu reads by index, as of an array.
  [index: number]: Rendition

  /** @param onSelect called with the index that somebody chose, -1 for automatic */
  constructor(onSelect: (index: number) => void) {
    super()
    this.#onSelect = onSelect
  }

  get length(): number {
    return this.#renditions.length
  }

  get selectedIndex(): number {
    return this.#selectedIndex
  }

  set selectedIndex(index: number) {
    if (index === this.#selectedIndex) return
    this.#selectedIndex = index
    this.#onSelect(index)
    this.dispatchEvent(new Event('change'))
  }

  add(rendition: Rendition): void {
    this[this.#renditions.length] = rendition
    this.#renditions.push(rendition)
    this.dispatchEvent(new Event('addrendition'))
  }

  [Symbol.iterator](): Iterator<Rendition> {
    return this.#renditions.values()
  }
}
