import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createChildren } from '../../local/child.ts'
import { openDataDir } from '../../local/data-dir.ts'
import { freePorts } from '../../local/ports.ts'
import { removeSharedPostgresData } from '../../local/postgres-home.ts'
import { silentProgress } from '../../local/progress.ts'
import { loadSecrets } from '../../local/secrets.ts'
import { startLocalServers } from '../../local/servers.ts'
import { childEnvironment, readConfig } from '../../platform/config.ts'

/** Real servers for tests: on free ports, on data of their own, beside whatever else runs on this machine. */
export interface TestStack {
  /** settings by which a test finds the servers, through readConfig */
  readonly env: Readonly<Record<string, string>>
  readonly dataDir: string
  /** Stops the servers and removes their data, the logs too unless they are to be looked at. */
  stop(options?: { readonly keepLogs?: boolean }): Promise<void>
}

/** Servers named by the environment are used instead of local ones, as everywhere. @throws what startLocalServers throws */
export const startTestStack = async (): Promise<TestStack> => {
  const [kafka, , registry, s3, postgres] = await freePorts(5)
  const ports = {
    KAFKA_PORT: String(kafka),
    REGISTRY_PORT: String(registry),
    S3_PORT: String(s3),
    POSTGRES_PORT: String(postgres),
  }
  const dataDir = await openDataDir(await mkdtemp(path.join(tmpdir(), 'reelstream-test-')))
  const children = createChildren(dataDir)
  const config = readConfig(childEnvironment(ports))
  const secrets = await loadSecrets(dataDir)
  const servers = await startLocalServers({ config, dataDir, secrets, children, progress: silentProgress() })
  return {
    dataDir,
    env: { ...servers.env, DATA_DIR: dataDir },
    async stop({ keepLogs = false } = {}) {
      await servers.stop()
      await removeSharedPostgresData(dataDir)
      const kept = keepLogs ? ['logs'] : []
      const entries = (await readdir(dataDir)).filter((entry) => !kept.includes(entry))
      await Promise.all(entries.map((entry) => rm(path.join(dataDir, entry), { recursive: true, force: true })))
      if (!keepLogs) await rm(dataDir, { recursive: true, force: true })
    },
  }
}
