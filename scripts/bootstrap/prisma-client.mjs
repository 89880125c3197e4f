import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { anyProgram, NODE } from './packages.mjs'
import { run } from './program.mjs'
import { hashOf, isStamped, stamp } from './stamp.mjs'

/**
 * Makes the typed database client from prisma/schema.prisma, into prisma/generated (not in git), when either the schema
 * or Prisma itself is another than last time. Generating needs no engine; Prisma's CLI would download one nevertheless
 * unless it is told of a program that stands in for it.
 */
export const generatePrismaClient = async (root) => {
  const schema = path.join(root, 'prisma', 'schema.prisma')
  if (!existsSync(schema)) return
  const hash = hashOf(readFileSync(schema), readFileSync(path.join(root, 'node_modules/prisma/package.json')))
  if (isStamped(root, 'prisma-client', hash) && existsSync(path.join(root, 'prisma', 'generated'))) return
  console.log('Generating the database client')
  await run(path.join(root, NODE), ['node_modules/prisma/build/index.js', 'generate', '--no-hints'], {
    cwd: root,
    env: { PRISMA_SCHEMA_ENGINE_BINARY: anyProgram(), PRISMA_HIDE_UPDATE_MESSAGE: '1' },
  })
  stamp(root, 'prisma-client', hash)
}
