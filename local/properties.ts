/**
 * The text of a Java properties file. The format is ISO-8859-1 with escapes (java.util.Properties), so a data folder
 * below a home like "/home/zoë" must be written with \uXXXX, or S3Proxy looks for a folder that is not there.
 */
export const propertiesText = (properties: Readonly<Record<string, string | number | boolean>>): string =>
  Object.entries(properties)
    .map(([key, value]) => `${escapeProperty(key)}=${escapeProperty(String(value))}\n`)
    .join('')

/** Escapes what a properties reader would take for syntax, and everything outside printable ASCII. */
const escapeProperty = (text: string): string =>
  text
    .replace(/[\\=:#!]/g, '\\$&')
    .replace(/^ /, '\\ ')
    // By UTF-16 code unit, as Java reads them: a character outside the basic plane becomes two escapes.
    .replace(/[^ -~]/g, (unit) => [...unit.split('')].map(unicodeEscape).join(''))

const unicodeEscape = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
