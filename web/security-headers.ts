/**
 * The headers every page is sent with: nothing comes from elsewhere, nothing runs that we did not ship.
 *
 * Scripts are files of our own origin, with no exception: no inline script, no `blob:`, no eval. Styles need one:
 * media-chrome's custom elements carry their style sheets as `<style>` inside their shadow roots, which `style-src`
 * cannot name otherwise. `media-src blob:` is the MediaSource that hls.js feeds. `connect-src` also names where parts
 * are uploaded to: presigned S3 URLs are another origin than ours.
 */
export interface SecurityOptions {
  /** Origins besides our own that the pages may send requests to and read segments from. */
  readonly storageOrigins: readonly string[]
}

export const securityHeaders = ({ storageOrigins }: SecurityOptions): Readonly<Record<string, string>> => {
  const own = ["'self'", ...storageOrigins].join(' ')
  const policy = {
    'default-src': "'none'",
    'script-src': "'self'",
    'style-src': "'self' 'unsafe-inline'",
    'img-src': `${own} data:`,
    'media-src': `${own} blob:`,
    'connect-src': own,
    'base-uri': "'none'",
    'form-action': "'self'",
    'frame-ancestors': "'self'",
  }
  return {
    'content-security-policy': Object.entries(policy)
      .map(([directive, value]) => `${directive} ${value}`)
      .join('; '),
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'SAMEORIGIN',
    'referrer-policy': 'same-origin',
    'cross-origin-opener-policy': 'same-origin',
    'permissions-policy': 'camera=(), microphone=(), geolocation=()',
  }
}
