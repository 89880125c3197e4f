import { readLadder } from '../media/ladder-file.ts'
import { type Config, requireSettings } from '../platform/config.ts'
import { BadInputError } from '../platform/errors.ts'
import { createLogger } from '../platform/log.ts'
import { thinkingProcessors, workerProcessors } from '../processors/index.ts'
import { productSettings } from '../processors/settings.ts'
import { createIdempotentProducer, type IdempotentProducer } from '../runtime/kafka/idempotent-producer.ts'
import { type Operator, openOperator } from '../runtime/operate/operator.ts'
import type { Processor } from '../runtime/processor.ts'
import { openSession, type Session } from '../runtime/run/session.ts'
import { localSettings } from './local-settings.ts'

/** What the operator's commands work with. */
export interface OperatorSession {
  readonly operator: Operator
  readonly session: Session
  readonly producer: IdempotentProducer
  /** One by its name, or all. BadInputError UNKNOWN_PROCESSOR. */
  processors(name?: string): readonly Processor[]
  /** The role whose processes run it. */
  roleOf(processor: Processor): 'processors' | 'workers'
}

/** Connects to the product's Kafka, does the work, and lets go of it. */
export const withOperator = async <T>(config: Config, work: (session: OperatorSession) => Promise<T>): Promise<T> => {
  const local = await localSettings(config)
  requireSettings(local, ['kafkaBrokers', 'schemaRegistryUrl'])
  const session = await openSession({
    brokers: local.kafkaBrokers,
    registryUrl: local.schemaRegistryUrl,
    clientId: `${local.appId}-operator`,
    log: createLogger('operator', 'error'),
  })
  const producer = createIdempotentProducer(session.kafka)
  // What they would encode with is of no interest here.
  const settings = productSettings(local, readLadder(), 'operator')
  const workers = workerProcessors(settings)
  const all = [...thinkingProcessors(settings), ...workers]
  try {
    return await work({
      operator: openOperator({ ...session, producer, appId: local.appId }),
      session,
      producer,
      processors: (name) => (name === undefined ? all : [processorNamed(all, name)]),
      roleOf: (processor) => (workers.includes(processor) ? 'workers' : 'processors'),
    })
  } finally {
    await Promise.all([producer.close(), session.close()])
  }
}

const processorNamed = (all: readonly Processor[], name: string): Processor => {
  const found = all.find((processor) => processor.name === name)
  if (found !== undefined) return found
  const known = all.map((processor) => processor.name).join(', ')
  throw new BadInputError('UNKNOWN_PROCESSOR', `There is no processor "${name}". There are: ${known}.`)
}
