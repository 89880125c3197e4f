import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Ladder, parseLadder } from './ladder.ts'

/** The ladder that ships. For composition roots: read once at start, pass on as an argument. */
export const readLadder = (path: string = fileURLToPath(new URL('./ladder.yml', import.meta.url))): Ladder =>
  parseLadder(readFileSync(path, 'utf8'))
