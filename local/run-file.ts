import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'

/**
 * `.data/run.json`: where the running product is, for the command line, tests and people. It holds keys and a token,
 * so only its owner may read it. It exists while the product is ready, and is replaced whole when a pid changes.
 */
export interface RunFile {
  readonly webUrl: string
  readonly apiUrl: string
  readonly gatewayUrl: string
  readonly kafkaBrokers: string
  readonly schemaRegistryUrl: string
  readonly s3Endpoint: string
  readonly databaseUrl: string
  readonly s3AccessKeyId: string
  readonly s3SecretAccessKey: string
  readonly s3SessionToken: string
  readonly pids: Readonly<Record<string, number>>
  readonly supervisorPid: number
  /** JWT of the local author; empty when JWKS_URL names somebody else who makes tokens */
  readonly token: string
}

export const runFilePath = (dataDir: string): string => path.join(dataDir, 'run.json')

export const writeRunFile = async (dataDir: string, run: RunFile): Promise<void> => {
  const file = runFilePath(dataDir)
  // Removed first: an existing file would keep its own, perhaps wider, mode.
  await rm(`${file}.tmp`, { force: true })
  await writeFile(`${file}.tmp`, `${JSON.stringify(run, null, 2)}\n`, { mode: 0o600 })
  await rename(`${file}.tmp`, file)
}

/** undefined when the product is not ready, or never was. */
export const readRunFile = async (dataDir: string): Promise<RunFile | undefined> => {
  try {
    return JSON.parse(await readFile(runFilePath(dataDir), 'utf8')) as RunFile
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

export const removeRunFile = (dataDir: string): Promise<void> => rm(runFilePath(dataDir), { force: true })
