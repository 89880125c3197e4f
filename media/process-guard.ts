/**
 * The words put before `ffmpeg` and `ffprobe`, which read what strangers upload. Pure: from the tools a machine has to
 * an argument vector. Each tool replaces itself by the next (exec), so the process id stays that of FFmpeg and a signal
 * reaches it directly.
 *
 *   env -i   an empty environment: credentials of the worker are not readable through /proc/self/environ
 *   prlimit  bounds memory, CPU time, file size and open files; no core dumps
 *   setpriv  dies with the worker even if that is killed with -9 (no orphans that burn CPU), and can gain no privileges
 *   nice     request handling goes before encoding
 *
 * On machines without util-linux (macOS) what is missing is left out; Docker images and Debian have all of it.
 */
export interface GuardTools {
  readonly prlimit: string | null
  readonly setpriv: string | null
  readonly nice: string | null
}

export interface GuardLimits {
  /** Address space. Below 3 GB threads of large pictures fail to start. */
  readonly memoryBytes: number
  /** Of all threads together; null: unlimited, for jobs as long as the video. */
  readonly cpuSeconds: number | null
  /** Largest file it may write. Our outputs are sockets, so little is right. */
  readonly fileBytes: number
  readonly openFiles: number
  readonly niceness: number
}

const GiB = 1024 ** 3

export const ENCODE_LIMITS: GuardLimits = {
  memoryBytes: 8 * GiB,
  cpuSeconds: null,
  fileBytes: 1024 * 1024,
  openFiles: 256,
  niceness: 5,
}

/**
 * Sound gives way to pictures: all of it costs less than the first seconds of the ladder, and what a viewer waits for is
 * the picture. 300 ms of the time to the first frame, on two cores.
 */
export const SOUND_LIMITS: GuardLimits = { ...ENCODE_LIMITS, niceness: 10 }

/** Probing is bounded work: a file that keeps ffprobe busy for a minute is not an honest one. */
export const PROBE_LIMITS: GuardLimits = { ...ENCODE_LIMITS, memoryBytes: 4 * GiB, cpuSeconds: 60, niceness: 0 }

/** Put in front of an absolute program path; the whole starts with `env`, found by the caller's own PATH. */
export const guardArguments = (tools: GuardTools, limits: GuardLimits): readonly string[] => [
  'env',
  '-i',
  // FFmpeg formats numbers by locale in some filters' metadata.
  'LC_ALL=C',
  ...(tools.prlimit === null ? [] : [tools.prlimit, ...prlimitArguments(limits)]),
  ...(tools.setpriv === null ? [] : [tools.setpriv, '--pdeathsig', 'KILL', '--no-new-privs']),
  ...(tools.nice === null || limits.niceness === 0 ? [] : [tools.nice, '-n', String(limits.niceness)]),
]

const prlimitArguments = (limits: GuardLimits): string[] => [
  `--as=${limits.memoryBytes}`,
  ...(limits.cpuSeconds === null ? [] : [`--cpu=${limits.cpuSeconds}`]),
  `--fsize=${limits.fileBytes}`,
  `--nofile=${limits.openFiles}`,
  '--core=0',
]
