import type { Config } from '../platform/config.ts'
import { localAuthorId, signLocalToken } from '../platform/http/author-token.ts'
import type { Role } from './roles.ts'
import type { Secrets } from './secrets.ts'

/** The author that a local installation signs in with one click: the same person in a page and on the command line. */
const LOCAL_AUTHOR = 'Local author'

export type Settings = Readonly<Record<string, string>>

/** What every process of the product is started with, besides the environment of `npm start` itself. */
export const productSettings = (
  config: Config,
  dataDir: string,
  servers: Settings,
  roles: readonly Role[],
  secrets: Secrets,
): Settings => ({
  ...servers,
  DATA_DIR: dataDir,
  ...Object.fromEntries(roles.map(({ portSetting, port }) => [portSetting, String(port)])),
  // With an identity provider named, it alone makes tokens; otherwise this machine signs its own author in.
  // Whoever can write to this broker is at this machine: a producer may import from any bucket, unless told otherwise.
  ...(config.importSources.length === 0 && { IMPORT_SOURCES: '*' }),
  ...(config.jwksUrl === '' && { JWT_SECRET: jwtSecret(config, secrets), LOCAL_SIGN_IN: 'true' }),
  UPLOAD_HANDLE_SECRET: config.uploadHandleSecret || jwtSecret(config, secrets),
})

/** A token of the local author, '' when an identity provider makes the tokens. */
export const localToken = async (config: Config, secrets: Secrets): Promise<string> => {
  if (config.jwksUrl !== '') return ''
  return signLocalToken(jwtSecret(config, secrets), localAuthorId(LOCAL_AUTHOR), LOCAL_AUTHOR)
}

/** The URL of a port as a browser on this machine reaches it, whatever address it was bound to. */
export const localUrl = (host: string, port: number): string => {
  const name = ['0.0.0.0', '::', '127.0.0.1', '::1'].includes(host) ? 'localhost' : host
  return `http://${name}:${port}`
}

/** An address that a probe can connect to. */
export const probeHost = (host: string): string => {
  if (host === '0.0.0.0') return '127.0.0.1'
  if (host === '::') return '[::1]'
  return host.includes(':') ? `[${host}]` : host
}

const jwtSecret = (config: Config, secrets: Secrets): string => config.jwtSecret || secrets.jwtSecret
