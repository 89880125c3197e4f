import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { constants, getPriority, tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { silentLogger } from '../platform/log.ts'
import { argumentsOf, type FfmpegCommand } from './arguments.ts'
import { createFfmpeg, type Sink } from './ffmpeg.ts'
import { ENCODE_LIMITS, SOUND_LIMITS } from './process-guard.ts'

// Other tests run FFmpeg at the same time: what is left behind here is of this one.
const folder = await mkdtemp(path.join(tmpdir(), 'ff-'))
process.env.TMPDIR = folder
t.teardown(() => rm(folder, { recursive: true, force: true }))

const ffmpeg = await createFfmpeg({ ffmpegPath: 'ffmpeg', ffprobePath: 'ffprobe', log: silentLogger })

/** A synthetic picture, at real speed or as fast as possible, as raw bytes. */
const synthetic = (urls: readonly string[], options: { realTime: boolean; seconds: number }): FfmpegCommand => ({
  inputOptions: [
    ...['-nostdin', '-loglevel', 'warning', '-progress', 'pipe:2', '-nostats', '-stats_period', '0.1'],
    ...(options.realTime ? ['-re'] : []),
    ...['-f', 'lavfi', '-t', String(options.seconds)],
  ],
  input: 'testsrc2=s=64x64:r=25',
  filterGraph: null,
  outputs: urls.map((url) => ({ options: ['-c:v', 'mjpeg', '-f', 'mjpeg'], url })),
})

const drain: Sink = async (bytes) => {
  for await (const _ of bytes) {
    // Taken and dropped.
  }
}

const never = () => new AbortController().signal

/** Polls until true; the test's own time limit ends a wait that never comes true. */
const eventually = async (holds: () => Promise<boolean>): Promise<void> => {
  while (!(await holds())) await delay(20)
}

/** Command lines of our running ffmpeg processes, from the kernel, by the marker in their arguments. */
const running = async (marker: string): Promise<{ pid: number; args: string[] }[]> => {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const all = await Promise.all(
    pids.map(async (pid) => ({
      pid: Number(pid),
      args: (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0').slice(0, -1),
    })),
  )
  return all.filter(({ args }) => args[0]?.endsWith('ffmpeg') && args.some((arg) => arg.includes(marker)))
}

t.test('gives every output its own sink, reports progress and ends', async (t) => {
  const sizes = [0, 0, 0]
  const counting = sizes.map(
    (_, i): Sink =>
      async (bytes) => {
        for await (const chunk of bytes) sizes[i] = (sizes[i] ?? 0) + chunk.length
      },
  )
  const run = await ffmpeg.run((urls) => synthetic(urls, { realTime: false, seconds: 4 }), counting, {
    signal: never(),
  })
  t.equal(run.progress.frames, 100)
  t.equal(run.progress.finished, true)
  t.ok(sizes.every((size) => size > 10_000 && size === sizes[0]))
})

t.test('runs exactly the arguments of the command, guarded, with an empty environment', async (t) => {
  const abort = new AbortController()
  let expected: readonly string[] = []
  const started = ffmpeg.run(
    (urls) => {
      const command = { ...synthetic(urls, { realTime: true, seconds: 60 }), input: 'testsrc2=s=66x66:r=25' }
      expected = argumentsOf(command)
      return command
    },
    [drain],
    { signal: abort.signal },
  )
  started.catch(() => undefined)
  await eventually(async () => (await running('s=66x66')).length === 1)
  const [process] = await running('s=66x66')
  t.strictSame(process?.args.slice(1), expected)
  t.strictSame((await readFile(`/proc/${process?.pid}/environ`, 'utf8')).split('\0').slice(0, -1), ['LC_ALL=C'])
  const limits = await readFile(`/proc/${process?.pid}/limits`, 'utf8')
  t.match(limits, /Max core file size\s+0\s/)
  t.match(limits, /Max file size\s+1048576\s/)
  t.equal(getPriority(process?.pid), Math.min(getPriority() + ENCODE_LIMITS.niceness, constants.priority.PRIORITY_LOW))
  abort.abort(new Error('enough'))
  await t.rejects(started, { message: 'enough' })
  t.strictSame(await running('s=66x66'), [], 'and an abort ends it')
})

t.test('sound gives way to pictures', async (t) => {
  const abort = new AbortController()
  const started = ffmpeg.run(
    (urls) => ({ ...synthetic(urls, { realTime: true, seconds: 60 }), input: 'testsrc2=s=68x68:r=25' }),
    [drain],
    { signal: abort.signal, limits: SOUND_LIMITS },
  )
  started.catch(() => undefined)
  await eventually(async () => (await running('s=68x68')).length === 1)
  const [process] = await running('s=68x68')
  t.equal(getPriority(process?.pid), Math.min(getPriority() + SOUND_LIMITS.niceness, constants.priority.PRIORITY_LOW))
  abort.abort(new Error('enough'))
  await t.rejects(started, { message: 'enough' })
})

t.test('an abort before the process exists is not lost', async (t) => {
  const abort = new AbortController()
  const started = ffmpeg.run((urls) => synthetic(urls, { realTime: true, seconds: 60 }), [drain], {
    signal: abort.signal,
  })
  abort.abort(new Error('changed my mind'))
  await t.rejects(started, { message: 'changed my mind' })
})

t.test('a stalled process is ended, a slow sink is no stall', async (t) => {
  const frozen = (urls: readonly string[]): FfmpegCommand => ({
    ...synthetic(urls, { realTime: false, seconds: 60 }),
    // A picture whose second frame is due in 100 s.
    inputOptions: ['-nostdin', '-loglevel', 'warning', '-progress', 'pipe:2', '-nostats', '-re', '-f', 'lavfi'],
    input: 'testsrc2=s=64x64:r=1/100',
  })
  await t.rejects(ffmpeg.run(frozen, [drain], { signal: never(), stallMs: 600 }), {
    code: 'FFMPEG_STALLED',
    retryable: true,
  })
  const slow: Sink = async (bytes) => {
    let first = true
    for await (const _ of bytes) {
      if (first) await delay(1500)
      first = false
    }
  }
  const run = await ffmpeg.run((urls) => synthetic(urls, { realTime: false, seconds: 20 }), [slow], {
    signal: never(),
    stallMs: 600,
  })
  t.equal(run.progress.frames, 500)
})

t.test('a sink that throws ends the process, and its error is the result', async (t) => {
  const failing: Sink = async (bytes) => {
    for await (const _ of bytes) throw new Error('the disk is full')
  }
  const started = ffmpeg.run((urls) => synthetic(urls, { realTime: true, seconds: 60 }), [drain, failing], {
    signal: never(),
  })
  await t.rejects(started, { message: 'the disk is full' })
})

t.test('a process that fails tears its outputs, so that nothing half-written looks whole', async (t) => {
  const seen: string[] = []
  const watching: Sink = async (bytes) => {
    try {
      await drain(bytes)
      seen.push('ended well')
    } catch {
      seen.push('torn')
    }
  }
  const broken = (urls: readonly string[]): FfmpegCommand => ({
    ...synthetic(urls, { realTime: false, seconds: 1 }),
    input: 'no_such_source',
  })
  await t.rejects(ffmpeg.run(broken, [watching], { signal: never() }), {
    code: 'FFMPEG_FAILED',
    message: /no_such_source/,
  })
  t.strictSame(seen, ['torn'])
})

t.test('leaves no sockets behind', async (t) => {
  const sockets: string[][] = []
  const look: Sink = async (bytes, ...rest) => {
    sockets.push(await readdir(folder))
    await drain(bytes, ...rest)
  }
  await ffmpeg.run((urls) => synthetic(urls, { realTime: false, seconds: 1 }), [look], { signal: never() })
  t.match(sockets, [[String]], 'they are where it is looked')
  t.strictSame(await readdir(folder), [])
})

t.test('a worker that is killed with -9 leaves no ffmpeg running', async (t) => {
  const module = fileURLToPath(new URL('./ffmpeg.ts', import.meta.url))
  const log = fileURLToPath(new URL('../platform/log.ts', import.meta.url))
  const script = `
    const { createFfmpeg } = await import(${JSON.stringify(module)})
    const { silentLogger } = await import(${JSON.stringify(log)})
    const ffmpeg = await createFfmpeg({ ffmpegPath: 'ffmpeg', ffprobePath: 'ffprobe', log: silentLogger })
    await ffmpeg.run((urls) => ({
      inputOptions: ['-nostdin', '-re', '-f', 'lavfi'], input: 'testsrc2=s=68x68:r=25', filterGraph: null,
      outputs: [{ options: ['-f', 'mjpeg'], url: urls[0] }],
    }), [async (bytes) => { for await (const _ of bytes) console.log('writing') }], { signal: new AbortController().signal })
  `
  const worker: ChildProcess = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (worker.stdout === null) throw new Error('expected a pipe')
  await once(createInterface({ input: worker.stdout }), 'line')
  t.equal((await running('s=68x68')).length, 1)
  const killedAt = performance.now()
  worker.kill('SIGKILL')
  await eventually(async () => (await running('s=68x68')).length === 0)
  t.ok(performance.now() - killedAt < 1000, 'within a second')
})

t.test('says which FFmpeg it is, or that there is none', async (t) => {
  t.match(await ffmpeg.version(), /^ffmpeg version \S+$/)
  await t.rejects(createFfmpeg({ ffmpegPath: '/nowhere/ffmpeg', ffprobePath: 'ffprobe', log: silentLogger }), {
    code: 'FFMPEG_MISSING',
  })
})
