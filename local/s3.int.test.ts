import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'
import type { Artifacts } from './artifacts.ts'
import { prepareJvm } from './jvm.ts'
import { s3Server } from './s3.ts'

/** The flags of a server's start, as this machine's Java understands them; without the order to write an archive. */
const flagsOf = async (args: readonly string[]): Promise<ReadonlyMap<string, string>> => {
  const flags = args.slice(0, args.indexOf('-jar')).filter((flag) => !flag.includes('Archive'))
  const { stdout } = await promisify(execFile)('java', [...flags, '-XX:+PrintFlagsFinal', '-version'], {
    maxBuffer: 4 * 1024 * 1024,
  })
  return new Map([...stdout.matchAll(/^\s*\S+ (\w+)\s+= (\S*)/gm)].map(([, name = '', value = '']) => [name, value]))
}

t.test('the S3 server hashes with the instructions of the processor, and compiles little else with C2', async (t) => {
  const jvm = await prepareJvm(t.testdir())
  const server = s3Server({
    dataDir: t.testdir(),
    port: 1,
    accessKeyId: '',
    secretAccessKey: '',
    artifacts: { s3Jar: 's3.jar' } as Artifacts,
    jvm,
  })
  const flags = await flagsOf((await server.spec()).args)
  const ordinary = await flagsOf([...jvm.flags('kafka', 64, 16), '-jar'])
  t.equal(flags.get('TieredStopAtLevel'), '4', 'SHA-256 and MD5 in hardware are known to C2 alone')
  t.equal(ordinary.get('TieredStopAtLevel'), '1')
  const threshold = Number(flags.get('Tier4InvocationThreshold'))
  t.ok(threshold >= 10 * 5_000, `a start compiles nothing with C2: ${threshold} calls`)
})
