import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import type { Artifacts } from './artifacts.ts'
import { answersHttp } from './health.ts'
import { type Jvm, javaEnvironment } from './jvm.ts'
import { LOOPBACK, type LocalServer } from './server.ts'

/**
 * Apicurio Registry 2.6 (the last line that runs on Java 17), through its Confluent-compatible API.
 *
 * Its default is a database in memory, which would hand out other schema ids after a restart, under a log that refers
 * to the old ones. So it gets an H2 file. The URL is relative to the working folder: a semicolon in the data path would
 * otherwise end the H2 URL. WRITE_DELAY=0, because H2 writes commits half a second later by default: a kill -9 in that
 * time loses a schema whose id is already in the log, and gives the id to another one. The connection pool's defaults
 * (20 to 100) are for a server room.
 */
const API_PATH = '/apis/ccompat/v7'
const MAX_HEAP_MB = 192
const YOUNG_HEAP_MB = 8

export interface RegistryOptions {
  readonly dataDir: string
  readonly port: number
  readonly artifacts: Artifacts
  readonly jvm: Jvm
}

export const registryServer = ({ dataDir, port, artifacts, jvm }: RegistryOptions): LocalServer => {
  const home = path.join(dataDir, 'registry')
  const url = `http://${LOOPBACK}:${port}${API_PATH}`
  return {
    name: 'registry',
    env: { SCHEMA_REGISTRY_URL: url },
    async prepare() {
      await mkdir(home, { recursive: true })
    },
    spec: () => ({
      name: 'registry',
      command: 'java',
      args: [...jvm.flags('registry', MAX_HEAP_MB, YOUNG_HEAP_MB), '-jar', artifacts.registryJar],
      env: javaEnvironment({
        REGISTRY_DATASOURCE_URL: 'jdbc:h2:file:./registry;WRITE_DELAY=0',
        QUARKUS_HTTP_HOST: LOOPBACK,
        QUARKUS_HTTP_PORT: String(port),
        QUARKUS_DATASOURCE_JDBC_INITIAL_SIZE: '1',
        QUARKUS_DATASOURCE_JDBC_MIN_SIZE: '1',
        QUARKUS_DATASOURCE_JDBC_MAX_SIZE: '10',
      }),
      cwd: home,
    }),
    isHealthy: () => answersHttp(`${url}/subjects`, 200),
    afterStop: () => jvm.keepArchive('registry'),
    slowStopReason: () => (jvm.writesArchive('registry') ? 'writes its class archive' : undefined),
  }
}
