import { readFileSync } from 'node:fs'
import { glob } from 'node:fs/promises'
import path from 'node:path'

/**
 * Finds the error codes that the sources can give out. A code is a SCREAMING_SNAKE literal in one of the shapes below;
 * docs/errors.md is made of what is found here, and a code without a sentence there fails the test beside this file.
 */
export interface FoundCode {
  readonly code: string
  /** Who must act: from the error class. '' where the code is data (an outcome, a fact, an answer). */
  readonly kind: ErrorKind | ''
  /** HTTP status, where an answer is made on the spot. */
  readonly status: number | null
  /** Folder that it comes from: the layer, or the processor. */
  readonly folder: string
}

export type ErrorKind = 'BadInput' | 'Upstream' | 'Config' | 'Bug'

const CODE = "'([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*)'"
const SHAPES = [
  // new BadInputError('CODE', …), new UploadError('CODE', …), new CommandFailure('CODE', …)
  String.raw`new (\w*)(?:Error|Failure)\(\s*${CODE}`,
  // class X extends BugError { constructor() { super('CODE', …
  String.raw`()\bsuper\(\s*${CODE}`,
  // The functions that wrap one of the above.
  String.raw`\bas(Upstream)Error\(\s*${CODE}`,
  String.raw`()\b(?:refused|endOf)\(\s*${CODE}`,
  String.raw`\bproblem\(\s*(\w+),\s*${CODE}`,
  // Outcomes and tables: code: 'CODE', code ?? 'CODE', const CODE = 'CODE'.
  String.raw`()\bcode: ${CODE}`,
  String.raw`()\b[cC]ode \?\? ${CODE}`,
  String.raw`()\bconst [A-Z_]+ = ${CODE}`,
].map((shape) => new RegExp(shape, 'g'))

/** The pages only show codes that others made. */
const FOLDERS = 'platform,storage,media,runtime,processors,projections,api,ingest,prisma,cli,local,scripts'

/** Every code of every source, sorted; one entry per code, class and folder. */
export const findErrorCodes = async (root: string): Promise<readonly FoundCode[]> => {
  const found = new Map<string, FoundCode>()
  for await (const file of glob(`{${FOLDERS}}/**/*.ts`, { cwd: root })) {
    if (!isSource(file)) continue
    for (const entry of codesIn(readFileSync(path.join(root, file), 'utf8'), folderOf(file))) {
      found.set(`${entry.code}/${entry.kind}/${entry.folder}`, entry)
    }
  }
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry)
}

export const codesIn = (source: string, folder: string): readonly FoundCode[] =>
  SHAPES.flatMap((shape) =>
    [...source.matchAll(shape)].map(([, made = '', code = '']) => ({
      code,
      kind: kindOf(made),
      status: /^\d+$/.test(made) ? Number(made) : null,
      folder,
    })),
  )

const kindOf = (made: string): ErrorKind | '' =>
  made === 'BadInput' || made === 'Upstream' || made === 'Config' || made === 'Bug' ? made : ''

const isSource = (file: string): boolean =>
  !/\.test\.ts$|generated(?:\.ts$|\/)|\/testing|^scripts\/generate\/error/.test(file)

/** `processors/finish-upload`, `ingest/gateway`, else the first folder. */
const folderOf = (file: string): string => {
  const [first = '', second = ''] = file.split('/')
  return ['processors', 'ingest'].includes(first) && !second.includes('.') ? `${first}/${second}` : first
}
