/** Rows as columns of text, the first row above the others. */
export const table = (rows: readonly (readonly string[])[]): string => {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** One line per thing, for programs. */
export const jsonLine = (value: object): string =>
  JSON.stringify(value, (_, field) => (typeof field === 'bigint' ? String(field) : field))
