import { readdirSync } from 'node:fs'
import path from 'node:path'
import { ConfigError, describeError } from '../platform/errors.ts'

/** `npm run bench -- <name>`: measures one promise against its reference, in the same run, and keeps the table. */
const benches = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith('.bench.ts'))
  .map((file) => file.slice(0, -'.bench.ts'.length))

const [name = '', ...args] = process.argv.slice(2)
try {
  if (!benches.includes(name)) {
    throw new ConfigError('BENCH_UNKNOWN', `expected one of ${benches.join(', ')}, got "${name}"`)
  }
  const { bench } = (await import(path.join(import.meta.dirname, `${name}.bench.ts`))) as {
    bench(args: readonly string[]): Promise<void>
  }
  await bench(args)
} catch (error) {
  console.error(describeError(error))
  process.exitCode = 1
}
