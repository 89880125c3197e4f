import { spawn } from 'node:child_process'
import { constants } from 'node:os'

/** Runs a program to its end, its output shown unless `quiet`. Rejects with its command line unless it exits with 0. */
export const run = (command, args, { cwd, env = {}, quiet = false }) =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio: quiet ? 'ignore' : 'inherit', env: { ...process.env, ...env } })
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      if (code === 0) resolve()
      else reject(new Error(`${command} ${args.join(' ')} failed (${signal ?? `exit code ${code}`})`))
    })
  })

/**
 * Runs the real program in our place: signals go on to it, and we stay until it has ended, for it stops servers.
 * Resolves to its exit code, as a shell would report it. `env` is what the program finds unless the caller set it.
 */
export const becomeProgram = (command, args, { cwd, env }) =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio: 'inherit', env: { ...env, ...process.env } })
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
    child.once('error', reject)
    child.once('exit', (code, signal) => resolve(code ?? 128 + (constants.signals[signal] ?? 0)))
  })
