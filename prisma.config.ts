import { defineConfig } from 'prisma/config'
import { readConfig } from './platform/config.ts'

/** For Prisma's own command line (`prisma generate`, `prisma migrate deploy`). The product itself reads platform/config. */
export default defineConfig({
  schema: 'prisma/schema.prisma',
  migrations: { path: 'prisma/migrations' },
  datasource: { url: readConfig().databaseUrl },
})
