import t from 'tap'
import { createLogger, type Logger } from '../../platform/log.ts'
import { clientLog, clientLogLevel } from './client-log.ts'
import { logLevel } from './kafkajs.ts'

interface Line {
  readonly level: string
  readonly entry: Readonly<Record<string, unknown>>
}

const recorded = () => {
  const lines: Line[] = []
  const at = (level: string) => (entry: Line['entry']) => void lines.push({ level, entry })
  const logger = { trace: at('trace'), debug: at('debug'), warn: at('warn') } as unknown as Logger
  let nowMs = 0
  const write = clientLog(logger, { now: () => nowMs })
  return {
    lines,
    pass: (ms: number) => {
      nowMs += ms
    },
    say: (level: number, message: string, facts: object = {}) =>
      write({
        namespace: 'Connection',
        level,
        label: '',
        log: { timestamp: '', logger: 'kafkajs', message, ...facts },
      }),
  }
}

const REFUSED = 'Connection error: connect ECONNREFUSED 127.0.0.1:9092'

t.test('a broker that is away is said once, then every half minute with how often', async (t) => {
  const { lines, say, pass } = recorded()
  for (let attempt = 0; attempt < 100; attempt++) {
    say(logLevel.ERROR, REFUSED, { broker: '127.0.0.1:9092' })
    pass(400)
  }
  t.same(
    lines.map(({ level, entry }) => [level, entry.detail, entry.repeated]),
    [
      ['warn', REFUSED, undefined],
      ['warn', REFUSED, 74],
    ],
  )
})

t.test('another broker, or another error of the same, is another line', async (t) => {
  const { lines, say } = recorded()
  say(logLevel.ERROR, REFUSED, { broker: 'a:1' })
  say(logLevel.ERROR, REFUSED, { broker: 'b:1' })
  say(logLevel.ERROR, 'Response Produce(key: 0, version: 7)', {
    broker: 'a:1',
    error: 'there are fewer in-sync replicas',
  })
  t.equal(lines.filter(({ level }) => level === 'warn').length, 3)
})

t.test('what belongs to working is for debugging only', async (t) => {
  const { lines, say } = recorded()
  say(logLevel.ERROR, 'Response AddPartitionsToTxn(key: 24, version: 1)', {
    error:
      'The producer attempted to update a transaction while another concurrent operation on the same transaction was ongoing',
  })
  say(logLevel.WARN, 'Limiting retries for the idempotent producer may invalidate EoS guarantees')
  say(logLevel.WARN, 'Response without match')
  say(logLevel.WARN, 'The group is rebalancing, re-joining', { groupId: 'g' })
  say(logLevel.INFO, 'Consumer has joined the group')
  t.ok(lines.length === 5 && lines.every(({ level }) => level === 'debug'))
  say(logLevel.DEBUG, 'Request Metadata')
  t.equal(lines.at(-1)?.level, 'trace')
})

t.test('kafkajs is asked for no more than is written', async (t) => {
  const levels = ['trace', 'debug', 'info', 'error'].map((level) => clientLogLevel(createLogger('test', level)))
  t.same(levels, [logLevel.DEBUG, logLevel.INFO, logLevel.WARN, logLevel.NOTHING])
})
