import { glob } from 'node:fs/promises'
import path from 'node:path'

/** Loads the modules that the front finds by their folder, once it has settings, so that they are compiled: first-run.ts. */
const ROOT = path.resolve(import.meta.dirname, '..')
for await (const file of glob('api/routes/**/index.ts', { cwd: ROOT })) await import(path.join(ROOT, file))
