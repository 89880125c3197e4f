import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Artifacts } from './artifacts.ts'
import { answersHttp } from './health.ts'
import { type Jvm, javaEnvironment } from './jvm.ts'
import { propertiesText } from './properties.ts'
import { LOOPBACK, type LocalServer } from './server.ts'

/**
 * S3Proxy over a folder of plain files: it checks signatures and checksums and knows conditional writes, which the
 * usual S3 test doubles do not, and an object can be looked at with ls.
 *
 * Browsers PUT parts straight to it from pages of this machine, whatever their port, so every loopback origin is
 * allowed; the signature in the URL is what guards the object.
 *
 * It hashes every byte of an upload three times: SHA-256 and MD5 when a part arrives, and SHA-256 once more at
 * CompleteMultipartUpload, where it reads all parts anew (S3Proxy's MpuChecksums). Hence the compiler.
 */
const MAX_HEAP_MB = 192
/** Parts of an upload pass through it: with 8 MiB they cost a tenth more CPU time. */
const YOUNG_HEAP_MB = 24
const ANY_LOOPBACK_ORIGIN = 'http://(localhost|127[.]0[.]0[.]1)(:[0-9]+)?'

export interface S3Options {
  readonly dataDir: string
  readonly port: number
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly artifacts: Artifacts
  readonly jvm: Jvm
}

export const s3Server = ({ dataDir, port, accessKeyId, secretAccessKey, artifacts, jvm }: S3Options): LocalServer => {
  const home = path.join(dataDir, 's3')
  const endpoint = `http://${LOOPBACK}:${port}`
  const properties = path.join(home, 's3proxy.properties')
  return {
    name: 's3',
    env: {
      S3_ENDPOINT: endpoint,
      S3_ACCESS_KEY_ID: accessKeyId,
      S3_SECRET_ACCESS_KEY: secretAccessKey,
      // Its key has none, whatever the environment of `npm start` has.
      S3_SESSION_TOKEN: '',
    },
    async prepare() {
      await mkdir(path.join(home, 'objects'), { recursive: true })
      const settings = s3Properties({ endpoint, accessKeyId, secretAccessKey, folder: path.join(home, 'objects') })
      await writeFile(properties, propertiesText(settings), { mode: 0o600 })
    },
    spec: () => ({
      name: 's3',
      command: 'java',
      args: [
        ...jvm.flags('s3', MAX_HEAP_MB, YOUNG_HEAP_MB, 'hot'),
        '-jar',
        artifacts.s3Jar,
        '--properties',
        properties,
      ],
      env: javaEnvironment(),
      cwd: home,
    }),
    // Unsigned: a server that checks signatures says 403.
    isHealthy: () => answersHttp(`${endpoint}/`, 403),
    afterStop: () => jvm.keepArchive('s3'),
    slowStopReason: () => (jvm.writesArchive('s3') ? 'writes its class archive' : undefined),
  }
}

/** The settings of S3Proxy; the keys are its own. `folder` holds one sub-folder per bucket. */
export const s3Properties = (options: {
  readonly endpoint: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly folder: string
}): Record<string, string> => ({
  's3proxy.endpoint': options.endpoint,
  's3proxy.authorization': 'aws-v2-or-v4',
  's3proxy.identity': options.accessKeyId,
  's3proxy.credential': options.secretAccessKey,
  's3proxy.cors-allow-origins': ANY_LOOPBACK_ORIGIN,
  's3proxy.cors-allow-methods': 'GET PUT HEAD',
  's3proxy.cors-allow-headers': '*',
  's3proxy.cors-exposed-headers': 'ETag x-amz-checksum-sha256 x-amz-checksum-crc32c',
  'jclouds.provider': 'filesystem-nio2',
  'jclouds.filesystem.basedir': options.folder,
})
