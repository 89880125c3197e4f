import type { AvroSchema } from '../runtime/codec/avro.ts'
import type { Processor } from '../runtime/processor.ts'
import { schemasOf as schemasOfAll } from '../runtime/topology.ts'
import { topics } from '../schemas/topics.ts'

/** Every record type that may be on a topic of the product. */
export const schemasOf = (processors: readonly Processor[]): readonly AvroSchema<unknown>[] =>
  schemasOfAll(processors, topics)
