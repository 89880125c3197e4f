import {
  createRemoteJWKSet,
  errors,
  type JWTPayload,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
  jwtVerify,
  SignJWT,
} from 'jose'
import { BadInputError, ConfigError, UpstreamError } from '../errors.ts'
import { type AuthorId, deriveId } from '../ids.ts'

/**
 * Who is calling: a JWT in `Authorization: Bearer …`, whose `sub` is the author and which ends (`exp`).
 *
 * Two ways to check it, by configuration: a shared HS256 secret (a product that signs its own tokens, and the local
 * sign-in), or the JWKS of an identity provider, which then replaces the secret. Never both, and each with its own list
 * of algorithms, so that nobody signs with a public key that the other way would take for a secret.
 *
 * A provider signs for many applications with the same keys, so its tokens count only when their `aud` names this one
 * (RFC 8725, 3.9), and their `iss` the provider, where it is set. Whoever has the secret makes tokens for this product
 * alone: they need neither, and asking for them is refused, so that nobody takes for checked what is not.
 *
 * `sub` is used as the owner of videos for ever, in an infinite log: it should be an opaque id, not an e-mail address.
 * A claim `role: admin` may act on every video; `name` is the display name that new videos get.
 */
export interface Author {
  readonly id: AuthorId
  readonly name: string
  readonly role: 'AUTHOR' | 'ADMIN'
}

export interface Authenticator {
  /**
   * @throws BadInputError UNAUTHENTICATED: expired or endless, tampered with, signed by or for somebody else, or without
   *   a usable `sub`
   * @throws UpstreamError JWKS_UNAVAILABLE (retryable)
   */
  authorOf(token: string): Promise<Author>
}

export interface AuthenticationSettings {
  readonly jwtSecret: string
  /** Takes the place of the secret. */
  readonly jwksUrl: string
  /** `iss` of the provider's tokens; empty = any that its keys sign for. */
  readonly jwtIssuer: string
  /** One of the `aud` of the provider's tokens. */
  readonly jwtAudience: string
}

const MIN_SECRET_LENGTH = 32
const MAX_SUBJECT_LENGTH = 200
const MAX_NAME_LENGTH = 200
/** One machine, one person: the token lives as long as anybody would want to upload with it. */
const LOCAL_TOKEN_LIFE = '30 days'

/** @throws ConfigError JWT_SETTINGS: neither a JWKS URL with an audience nor a secret of 32 characters alone */
export const createAuthenticator = (settings: AuthenticationSettings): Authenticator => {
  const { jwtSecret, jwksUrl } = settings
  if (jwksUrl !== '') {
    const keys = createRemoteJWKSet(new URL(jwksUrl))
    const checks = { ...providerClaims(settings), algorithms: PROVIDER_ALGORITHMS }
    return { authorOf: (token) => verified(token, keys, checks) }
  }
  refuseProviderClaims(settings)
  const secret = secretBytes(jwtSecret)
  return { authorOf: (token) => verified(token, async () => secret, { algorithms: ['HS256'] }) }
}

const PROVIDER_ALGORITHMS = ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA', 'Ed25519']

/**
 * Signs a token for one machine's own use: the one-click sign-in, and the token that `npm start` writes for the command
 * line. The same name is the same author.
 */
export const signLocalToken = async (
  secret: string,
  authorId: string,
  name: string,
  role: Author['role'] = 'AUTHOR',
): Promise<string> =>
  new SignJWT({ name, ...(role === 'ADMIN' ? { role: 'admin' } : {}) })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setSubject(authorId)
    .setIssuedAt()
    .setExpirationTime(LOCAL_TOKEN_LIFE)
    .sign(secretBytes(secret))

/** The pseudonym of somebody who signed in locally by name. */
export const localAuthorId = (name: string): AuthorId => deriveId('local-author', name.trim().toLowerCase()) as AuthorId

const verified = async (token: string, key: JWTVerifyGetKey, checks: JWTVerifyOptions): Promise<Author> => {
  try {
    const { payload } = await jwtVerify(token, key, { ...checks, requiredClaims: ['sub', 'exp'], clockTolerance: 5 })
    return authorFrom(payload)
  } catch (error) {
    if (error instanceof BadInputError) throw error
    if (isJwksTrouble(error)) {
      throw new UpstreamError('JWKS_UNAVAILABLE', 'The keys of the identity provider cannot be read.', { cause: error })
    }
    throw unauthenticated(whyNot(error), error)
  }
}

/** A claim is named only of a token whose signature is good. */
const whyNot = (error: unknown): string => {
  if (error instanceof errors.JWTExpired) return 'The token has expired.'
  if (error instanceof errors.JWTClaimValidationFailed)
    return `The token's "${error.claim}" is missing or not accepted here.`
  return 'The token is not valid.'
}

const authorFrom = (payload: JWTPayload): Author => {
  const { sub, name } = payload
  if (sub === undefined || sub === '' || sub.length > MAX_SUBJECT_LENGTH || sub.includes('\u0000')) {
    throw unauthenticated(`The token needs a "sub" of 1 … ${MAX_SUBJECT_LENGTH} characters.`)
  }
  const displayName = typeof name === 'string' && name.trim() !== '' ? name.trim() : sub
  return {
    id: sub as AuthorId,
    name: displayName.slice(0, MAX_NAME_LENGTH),
    role: payload.role === 'admin' ? 'ADMIN' : 'AUTHOR',
  }
}

/** No key for this token is the token's fault; no answer, or none that is a key set, is the provider's. */
const isJwksTrouble = (error: unknown): boolean =>
  error instanceof errors.JWKSTimeout ||
  error instanceof errors.JWKSInvalid ||
  (error instanceof errors.JOSEError && error.code === 'ERR_JOSE_GENERIC') ||
  error instanceof TypeError

export const unauthenticated = (message: string, cause?: unknown): BadInputError =>
  new BadInputError('UNAUTHENTICATED', message, { cause })

const providerClaims = ({ jwtIssuer, jwtAudience }: AuthenticationSettings): JWTVerifyOptions => {
  if (jwtAudience === '') {
    throw new ConfigError(
      'JWT_SETTINGS',
      'With JWKS_URL, set JWT_AUDIENCE: what the identity provider writes as "aud" into the tokens for this product. ' +
        'Without it, a token for any other application of the provider would be good here.',
    )
  }
  return { audience: jwtAudience, ...(jwtIssuer === '' ? {} : { issuer: jwtIssuer }) }
}

const refuseProviderClaims = ({ jwtIssuer, jwtAudience }: AuthenticationSettings): void => {
  if (jwtIssuer === '' && jwtAudience === '') return
  const setting = jwtAudience === '' ? 'JWT_ISSUER' : 'JWT_AUDIENCE'
  throw new ConfigError('JWT_SETTINGS', `${setting} is checked only with JWKS_URL, which is not set.`)
}

const secretBytes = (secret: string): Uint8Array => {
  if (secret.length >= MIN_SECRET_LENGTH) return new TextEncoder().encode(secret)
  throw new ConfigError('JWT_SETTINGS', `JWT_SECRET needs ${MIN_SECRET_LENGTH} characters or more, or set JWKS_URL.`)
}
