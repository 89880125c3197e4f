import fc from 'fast-check'
import t from 'tap'
import { propertiesText } from './properties.ts'

/** The rules of java.util.Properties.load for one line that our writer can make. */
const readLine = (line: string): [string, string] => {
  const unescaped = line.replace(/\\u([0-9a-f]{4})|\\(.)/gs, (_, code: string | undefined, other: string) =>
    code === undefined ? (MARKED.get(other) ?? other) : String.fromCharCode(Number.parseInt(code, 16)),
  )
  const [key = '', ...value] = unescaped.split('=')
  return [key, value.join('=').replaceAll('\0', '=')]
}
/** An escaped equals sign must not split the line again. */
const MARKED = new Map([['=', '\0']])

t.test('a path with letters outside ASCII is written as escapes, for the file is read as ISO-8859-1', async (t) => {
  const text = propertiesText({ 'jclouds.filesystem.basedir': '/home/zoë/日本' })
  t.equal(text, 'jclouds.filesystem.basedir=/home/zo\\u00eb/\\u65e5\\u672c\n')
})

t.test('a character outside the basic plane becomes two escapes, as Java counts it', async (t) => {
  t.equal(propertiesText({ a: '🎬' }), 'a=\\ud83c\\udfac\n')
})

t.test('numbers and flags are written plainly, one line each', async (t) => {
  t.equal(
    propertiesText({ 'node.id': 1, 'auto.create.topics.enable': false }),
    'node.id=1\nauto.create.topics.enable=false\n',
  )
})

t.test('any value is read back as it was', async () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary' }).filter((s) => !s.includes('\0')),
      (value) => {
        const text = propertiesText({ key: value })
        const isOneAsciiLine = /^[ -~]*\n$/.test(text)
        return isOneAsciiLine && readLine(text.slice(0, -1))[1] === value
      },
    ),
  )
})
