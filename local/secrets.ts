import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'

/**
 * The secrets of one local installation: made at random on the first start and kept in the data folder, readable by its
 * owner alone, so that tokens and signed URLs stay good over restarts.
 */
export interface Secrets {
  readonly s3AccessKeyId: string
  readonly s3SecretAccessKey: string
  /** HS256, 64 hex digits */
  readonly jwtSecret: string
}

/** Reads the secrets of a data folder, makes them when there are none. */
export const loadSecrets = async (dataDir: string): Promise<Secrets> => {
  const file = path.join(dataDir, 'secrets.json')
  if (!existsSync(file)) {
    await writeFile(`${file}.tmp`, `${JSON.stringify(makeSecrets(), null, 2)}\n`, { mode: 0o600 })
    await rename(`${file}.tmp`, file)
  }
  return JSON.parse(await readFile(file, 'utf8')) as Secrets
}

const makeSecrets = (): Secrets => ({
  s3AccessKeyId: `local${randomBytes(8).toString('hex')}`,
  s3SecretAccessKey: randomBytes(24).toString('hex'),
  jwtSecret: randomBytes(32).toString('hex'),
})
