import t from 'tap'
import { parseStartArguments } from './arguments.ts'

t.test('npm start takes a file, and can leave the sample out', async (t) => {
  t.same(parseStartArguments([]), { sample: true, help: false })
  t.same(parseStartArguments(['a.mp4', '--no-sample']), { file: 'a.mp4', sample: false, help: false })
})

t.test('an unknown option and a second file are refused with the usage', async (t) => {
  t.throws(() => parseStartArguments(['--port']), { code: 'BAD_ARGUMENTS', message: /--port[\s\S]*Usage/ })
  t.throws(() => parseStartArguments(['a', 'b']), { code: 'BAD_ARGUMENTS' })
})
