import { SignJWT } from 'jose'
import type { Config } from '../platform/config.ts'
import type { Role } from './roles.ts'
import type { Secrets } from './secrets.ts'

/** The author that a local installation signs in with one click. */
const LOCAL_AUTHOR = { id: 'local', name: 'Local author' }
const TOKEN_LIFETIME = '365d'

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
  ...(config.jwksUrl === '' && { JWT_SECRET: jwtSecret(config, secrets), LOCAL_SIGN_IN: 'true' }),
})

/** A token of the local author, '' when an identity provider makes the tokens. */
export const localToken = async (config: Config, secrets: Secrets): Promise<string> => {
  if (config.jwksUrl !== '') return ''
  return new SignJWT({ name: LOCAL_AUTHOR.name })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(LOCAL_AUTHOR.id)
    .setIssuedAt()
    .setExpirationTime(TOKEN_LIFETIME)
    .sign(new TextEncoder().encode(jwtSecret(config, secrets)))
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
