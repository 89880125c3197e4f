import { systemClock } from '../../../platform/clock.ts'
import { createAuthenticator } from '../../../platform/http/author-token.ts'
import { createSignInLimit } from '../../../platform/http/client-policy.ts'
import { silentLogger } from '../../../platform/log.ts'
import { MiB } from '../../../storage/part-size.ts'
import { DEFAULT_LIMITS, type GatewayContext, type GatewayLimits } from '../context.ts'
import { createUploadHandles } from '../upload-handle.ts'
import type { FakePipeline } from './fakes.ts'

/** What the tokens of the tests are signed with. */
export const TEST_SECRET = 'a secret of at least thirty-two characters'

export interface ChangedContext extends Partial<Omit<GatewayContext, 'limits'>> {
  readonly limits?: Partial<GatewayLimits>
}

/** What a gateway over `pipeline` stands on; `changed` is what the test is about. */
export const testContext = (
  { reads, claims, store }: FakePipeline,
  { limits, ...changed }: ChangedContext = {},
): GatewayContext => ({
  reads,
  claims,
  store,
  authenticator: createAuthenticator({ jwtSecret: TEST_SECRET, jwksUrl: '', jwtIssuer: '', jwtAudience: '' }),
  signIns: createSignInLimit({ perMinute: 600 }),
  handles: createUploadHandles('handle secret'),
  limits: {
    ...DEFAULT_LIMITS,
    maxUploadBytes: 1024 * MiB,
    partSizeBytes: 8 * MiB,
    uploadLifeMs: 3_600_000,
    ...limits,
  },
  clock: systemClock,
  log: silentLogger,
  watchUrl: (videoId, origin) => `${origin}/v/${videoId}`,
  ...changed,
})
