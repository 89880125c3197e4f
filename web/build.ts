/**
 * Builds the pages: TypeScript, CSS and HTML in, `web/dist` out. esbuild does the bundling; what is ours here is small:
 *
 *   - every asset is named by its content (`assets/watch-3KX2.js`), so browsers may keep it for ever; the pages that
 *     name the assets are the only files that are revalidated
 *   - a build is skipped when nothing that it read has changed. The list of what it read, with sizes and times, is
 *     `dist/manifest.json`, written last and atomically: a build that died half way is no build
 *   - a page names every module that its script will import, so they come side by side and not one after the other
 *   - each file exists brotli-compressed beside itself, made once here instead of with every answer
 *
 * Several processes may build at the same time: content-named files are the same bytes whoever writes them, and each
 * file appears whole, by rename.
 */
import { mkdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { brotliCompress, constants } from 'node:zlib'
import type { Metafile } from 'esbuild'
import { isUpToDate, replaceFile, writeManifest } from './build-manifest.ts'

const WEB = import.meta.dirname
const ROOT = path.dirname(WEB)

export const DIST = path.join(WEB, 'dist')

/** The pages, by the name of their file in web/pages/. */
export const PAGES = ['library', 'upload', 'watch'] as const

const BROTLI_QUALITY = 6
const COMPRESSED_TYPES = new Set(['.js', '.css', '.html', '.svg'])

export interface BuildResult {
  /** Folder with `<page>.html` and `assets/`. */
  readonly outDir: string
  /** False when the last build was still good. */
  readonly rebuilt: boolean
}

/**
 * Makes sure that `outDir` holds the pages as the sources are now.
 * @throws the esbuild BuildFailure that names file and line when a source does not compile
 */
export const buildPages = async (outDir: string = DIST): Promise<BuildResult> => {
  if (await isUpToDate(outDir)) return { outDir, rebuilt: false }
  const bundled = await bundle(outDir)
  const pages = await renderPages(bundled)
  await Promise.all(
    [...bundled.files, ...pages.files].map((file) => writeWhole(path.join(outDir, file.name), file.bytes)),
  )
  await writeManifest(outDir, [...bundled.inputs, ...pages.inputs, 'web/build.ts'])
  return { outDir, rebuilt: true }
}

interface OutputFile {
  readonly name: string
  readonly bytes: Uint8Array
}

interface Bundle {
  readonly files: readonly OutputFile[]
  /** Source path → URL of what became of it. */
  readonly entries: ReadonlyMap<string, string>
  /** URLs of everything that the script made of this source imports, at once or when it is needed. */
  modulesOf(source: string): readonly string[]
  readonly inputs: readonly string[]
}

let building = 0

/**
 * esbuild is 10 MB of program and a process of its own: loaded only when there is something to build, and ended with the
 * last build, for that process would wait for the next one for as long as we live.
 */
const withEsbuild = async <T>(use: (build: typeof import('esbuild').build) => Promise<T>): Promise<T> => {
  const { build, stop } = await import('esbuild')
  building += 1
  try {
    return await use(build)
  } finally {
    building -= 1
    if (building === 0) await stop()
  }
}

const bundle = async (outDir: string): Promise<Bundle> => {
  const pages = await withEsbuild((build) =>
    build({
      absWorkingDir: ROOT,
      outdir: outDir,
      entryNames: 'assets/[name]-[hash]',
      minify: true,
      write: false,
      metafile: true,
      legalComments: 'none',
      target: ['chrome123', 'firefox125', 'safari17.5'],
      entryPoints: [...PAGES.map((page) => `web/pages/${page}.ts`), 'web/styles/site.css', 'web/icons/favicon.svg'],
      bundle: true,
      splitting: true,
      format: 'esm',
      chunkNames: 'assets/[name]-[hash]',
      loader: { '.svg': 'copy' },
    }),
  )
  const outputs = Object.entries(pages.metafile.outputs)
  return {
    files: pages.outputFiles.map(({ path: file, contents }) => ({
      name: path.relative(outDir, file),
      bytes: contents,
    })),
    entries: new Map(
      outputs.flatMap(([file, { entryPoint, inputs }]) => {
        const source = entryPoint ?? Object.keys(inputs)[0]
        return source === undefined ? [] : [[source, urlOf(path.join(ROOT, file), outDir)] as const]
      }),
    ),
    modulesOf: (source) =>
      modulesBehind(pages.metafile.outputs, source).map((file) => urlOf(path.join(ROOT, file), outDir)),
    inputs: Object.keys(pages.metafile.inputs),
  }
}

/** The chunks that a script imports, and those that they import. */
const modulesBehind = (outputs: Metafile['outputs'], source: string): readonly string[] => {
  const found = new Set<string>()
  const follow = (file: string): void => {
    for (const { path: imported } of outputs[file]?.imports ?? []) {
      if (found.has(imported) || outputs[imported] === undefined) continue
      found.add(imported)
      follow(imported)
    }
  }
  const script = Object.keys(outputs).find((file) => outputs[file]?.entryPoint === source)
  if (script !== undefined) follow(script)
  return [...found]
}

const urlOf = (file: string, outDir: string): string => `/${path.relative(outDir, file).replaceAll(path.sep, '/')}`

const LAYOUT = 'web/pages/layout.html'

/** Puts each page into the layout. `{{name}}` is a value; an unknown one is a mistake in the template. */
const renderPages = async ({ entries, modulesOf }: Bundle) => {
  const layout = await readFile(path.join(ROOT, LAYOUT), 'utf8')
  const sources = PAGES.map((page) => `web/pages/${page}.html`)
  const files = await Promise.all(
    PAGES.map(async (page) => {
      const body = await readFile(path.join(WEB, 'pages', `${page}.html`), 'utf8')
      const html = fill(layout, {
        title: TITLES[page],
        page,
        body,
        style: entries.get('web/styles/site.css'),
        script: entries.get(`web/pages/${page}.ts`),
        modules: modulesOf(`web/pages/${page}.ts`)
          .map((url) => `<link rel="modulepreload" href="${url}">`)
          .join('\n    '),
        icon: entries.get('web/icons/favicon.svg'),
      })
      return { name: `${page}.html`, bytes: Buffer.from(html) }
    }),
  )
  return { files, inputs: [LAYOUT, ...sources] }
}

const TITLES: Readonly<Record<(typeof PAGES)[number], string>> = {
  library: 'Library · Reelstream',
  upload: 'Upload · Reelstream',
  watch: 'Watch · Reelstream',
}

const fill = (template: string, values: Readonly<Record<string, string | undefined>>): string =>
  template.replaceAll(/\{\{(\w+)\}\}/g, (_, name: string) => {
    const value = values[name]
    if (value === undefined) throw new TypeError(`web/pages/layout.html names {{${name}}}, which nothing gives a value`)
    return value
  })

const writeWhole = async (file: string, bytes: Uint8Array): Promise<void> => {
  await mkdir(path.dirname(file), { recursive: true })
  await Promise.all([
    replaceFile(file, bytes),
    COMPRESSED_TYPES.has(path.extname(file))
      ? compress(bytes).then((small) => replaceFile(`${file}.br`, small))
      : undefined,
  ])
}

const compress = (bytes: Uint8Array): Promise<Uint8Array> =>
  promisify(brotliCompress)(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY } })

// `node web/build.ts` builds ahead of time, for an image.
if (import.meta.main) {
  const { outDir, rebuilt } = await buildPages()
  process.stdout.write(`${rebuilt ? 'built' : 'up to date'}: ${outDir}\n`)
}
