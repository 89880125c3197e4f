/** A page with one file input, and Uppy behind it: `npm test -- e2e test/e2e/uppy.test.ts` runs it in Chromium. */
import AwsS3 from '@uppy/aws-s3'
import Uppy from '@uppy/core'
import { reelstreamMultipart } from './reelstream-multipart.ts'

const token = new URLSearchParams(location.hash.slice(1)).get('token') ?? ''
const uppy = new Uppy<Record<never, never>, { readonly location?: string }>()
uppy.use(AwsS3, { limit: 4, ...reelstreamMultipart(uppy, { gatewayUrl: location.origin, token }) })

const status = document.querySelector('output')
uppy.on('progress', (percent) => {
  // Uppy says 0 % once more when the last file has been removed.
  if (uppy.getFiles().length > 0) status?.replaceChildren(`${percent} %`)
})
uppy.on('upload-error', (_file, error) => status?.replaceChildren(`Failed: ${error.message}`))
uppy.on('upload-success', (_file, { body }) => {
  status?.replaceChildren(`Complete: ${body?.location}`)
})
// So that the same file can be uploaded again, as another video.
uppy.on('complete', ({ successful = [] }) => uppy.removeFiles(successful.map(({ id }) => id)))
document.querySelector('input')?.addEventListener('change', ({ target }) => {
  for (const data of (target as HTMLInputElement).files ?? []) uppy.addFile({ name: data.name, type: data.type, data })
  void uppy.upload()
})
