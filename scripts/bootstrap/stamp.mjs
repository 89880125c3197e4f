import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

/**
 * Stamps say for which input a step was last done. They live in node_modules, so that whoever deletes that folder
 * starts afresh.
 */
export const isStamped = (root, name, value) => {
  const file = stampFile(root, name)
  return existsSync(file) && readFileSync(file, 'utf8') === value
}

export const stamp = (root, name, value) => {
  mkdirSync(path.dirname(stampFile(root, name)), { recursive: true })
  writeFileSync(stampFile(root, name), value)
}

export const hashOf = (...texts) => {
  const hash = createHash('sha256')
  for (const text of texts) hash.update(text)
  return hash.digest('hex')
}

const stampFile = (root, name) => path.join(root, 'node_modules', '.reelstream', name)
