import { createHash, randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { childEnvironment } from '../platform/config.ts'
import { runToEnd } from './child.ts'

/**
 * How the three Java servers are run: small, and quick to start.
 *
 * Serial GC, small stacks and the first compiler tier alone halve the memory and the CPU of a start; a broker that is to
 * be measured wants C2 instead (bench/), and so does a server that hashes all that passes through it: only C2 knows the
 * processor's own instructions for SHA-256 and MD5. With thresholds ten times as high it compiles little else, and its
 * start costs what it cost without. By default a heap begins at its maximum, a third of it for new objects, and all
 * of that is touched before the first collection: a small beginning, a small young generation and little to spare behind
 * it keep each server some 45 MB smaller, at the same CPU time of a start. Data for jstat would wake each JVM twenty times
 * a second.
 *
 * An AppCDS archive (JEP 350) holds the classes a server loads, already parsed, and halves the start once more. The JVM
 * writes it when it exits, which takes about 5 s, once per version of Java and of the artifacts; it ignores an archive
 * that is missing or does not fit. We let it write to a temporary name and rename it after a clean stop, so that a kill
 * in the middle leaves nothing half written.
 */
export interface Jvm {
  readonly javaVersion: string
  /**
   * Flags for one start of a server, with its class-data archive, or with the order to make one. The young generation of
   * its heap holds what a burst of requests allocates between two collections.
   */
  flags(server: string, maxHeapMb: number, youngHeapMb: number, compilers?: Compilers): string[]
  /** Whether the next clean stop of the server will take seconds longer because it writes its archive. */
  writesArchive(server: string): boolean
  /** Puts the archive in place that a clean stop has written. */
  keepArchive(server: string): Promise<void>
}

/** `quick`: C1 alone, which is the default. `hot`: C2 too, for what runs again and again. */
export type Compilers = 'quick' | 'hot'

const COMPILER_FLAGS: Readonly<Record<Compilers, string>> = {
  quick: '-XX:TieredStopAtLevel=1',
  hot: '-XX:CompileThresholdScaling=10',
}

const QUIET_CDS = ['-Xlog:cds=off', '-Xlog:cds+dynamic=off']

/** @param archiveDir folder for the archives, without spaces in its path. @throws UpstreamError CHILD_FAILED: no Java */
export const prepareJvm = async (archiveDir: string): Promise<Jvm> => {
  const javaVersion = await runToEnd('java', ['-Xshare:auto', '-version'])
  const suffix = createHash('sha256').update(javaVersion).digest('hex').slice(0, 8)
  const archive = (server: string) => path.join(archiveDir, `${server}-${suffix}.jsa`)
  const unfinished = new Map<string, string>()
  return {
    javaVersion,
    flags(server, maxHeapMb, youngHeapMb, compilers = 'quick') {
      const heap = [`-Xms${2 * youngHeapMb}m`, `-Xmn${youngHeapMb}m`, `-Xmx${maxHeapMb}m`]
      const common = [
        ...heap,
        '-XX:+UseSerialGC',
        '-Xss512k',
        COMPILER_FLAGS[compilers],
        '-XX:MinHeapFreeRatio=15',
        '-XX:MaxHeapFreeRatio=30',
        '-XX:-UsePerfData',
        ...QUIET_CDS,
      ]
      if (existsSync(archive(server))) return [...common, `-XX:SharedArchiveFile=${archive(server)}`]
      const temporary = `${archive(server)}.${randomUUID()}.tmp`
      unfinished.set(server, temporary)
      return [...common, `-XX:ArchiveClassesAtExit=${temporary}`]
    },
    writesArchive: (server) => unfinished.has(server),
    async keepArchive(server) {
      const temporary = unfinished.get(server)
      if (temporary === undefined || !existsSync(temporary)) return
      unfinished.delete(server)
      if (existsSync(archive(server))) await rm(temporary)
      else await rename(temporary, archive(server))
    },
  }
}

/** Without a UTF-8 locale Java 17 can open no file whose path has other than ASCII letters. */
export const javaEnvironment = (settings: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv =>
  childEnvironment({ LC_ALL: 'C.UTF-8', ...settings })
