import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import path from 'node:path'

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2
}

/** Prints the lines and keeps them as bench/results/<name>.md, with what they were measured on. */
export const keep = (name: string, lines: readonly string[]): void => {
  const [cpu] = cpus()
  const head = [
    `# ${name}`,
    '',
    `${new Date().toISOString().slice(0, 10)}, ${cpus().length} × ${cpu?.model ?? '?'}, Node ${process.version}`,
    '',
  ]
  const text = `${[...head, ...lines].join('\n')}\n`
  writeFileSync(path.join(import.meta.dirname, 'results', `${name}.md`), text)
  console.log(text)
}
