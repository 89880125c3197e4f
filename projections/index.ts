import type { Projection } from './engine/projection.ts'
import { videoCatalogue } from './video-catalogue/projection.ts'
import { videoHistory } from './video-history/projection.ts'

/** Every projection of the product. A new one is a folder and a line here. */
export const projections: readonly Projection[] = [videoCatalogue, videoHistory]
