import t from 'tap'
import { BadInputError, UpstreamError } from '../platform/errors.ts'
import { resetWhenStopped } from './reset-processor.ts'

const running = () => new BadInputError('PROCESSOR_RUNNING', 'it runs')
const fenced = () => new UpstreamError('FENCED', 'another one has it')

/** Fails with these, one after the other, and is done then. */
const tools = (failures: Error[], stop = new AbortController()) => {
  const happened: string[] = []
  return {
    happened,
    reset: async () => {
      const failure = failures.shift()
      if (failure !== undefined) throw failure
      return 7
    },
    stopProcesses: async () => void happened.push('stop'),
    say: (line: string) => void happened.push(line),
    signal: stop.signal,
  }
}

t.test('waits until nobody runs it, and tries again when somebody came meanwhile', async (t) => {
  const { happened, ...rest } = tools([running(), fenced(), running()])
  t.equal(await resetWhenStopped(rest), 7)
  t.same(happened, ['it runs', 'stop', 'stop', 'stop'])
})

t.test('anything else is not waited for', async (t) => {
  const { happened, ...rest } = tools([new UpstreamError('COMMIT_FAILED', 'the broker is away')])
  await t.rejects(resetWhenStopped(rest), { code: 'COMMIT_FAILED' })
  t.same(happened, [])
})

t.test('the waiting can be ended', async (t) => {
  const stop = new AbortController()
  const rest = tools(Array.from({ length: 99 }, running), stop)
  const work = resetWhenStopped({ ...rest, say: () => stop.abort() })
  await t.rejects(work, { name: 'AbortError' })
})
