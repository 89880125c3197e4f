import type { Projection } from './projection.ts'

/** Names of the fold in the words of SQL. All are quoted, so no column needs to avoid a keyword. */
export const snakeCase = (name: string): string =>
  name.replaceAll('-', '_').replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

export const quoted = (identifier: string): string => `"${identifier.replaceAll('"', '""')}"`

/** The schema of one version. */
export const schemaOf = (projection: Pick<Projection, 'name'>, version: number): string =>
  `${snakeCase(projection.name)}_v${version}`

export const tableOf = (projection: Pick<Projection, 'name'>, version: number, table: string): string =>
  `${quoted(schemaOf(projection, version))}.${quoted(snakeCase(table))}`

/** `"id", "author_id", …`, in the order of the declaration. */
export const columnList = (columns: object): string =>
  Object.keys(columns)
    .map((column) => quoted(snakeCase(column)))
    .join(', ')
