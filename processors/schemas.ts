import type { Processor } from '../runtime/processor.ts'
import { ENGINE_SCHEMAS } from '../runtime/state/schemas.ts'
import type { AvroSchema } from '../schemas/generated.ts'
import { topics } from '../schemas/topics.ts'

/** Every record type that may be on a topic: events, state, effect inputs, outcomes, reports, and the engine's own. */
export const schemasOf = (processors: readonly Processor[]): readonly AvroSchema<unknown>[] => {
  const all: AvroSchema<unknown>[] = [
    ...topics.flatMap((topic) => Object.values<AvroSchema<unknown>>(topic.events)),
    ...processors.flatMap(({ state }) => Object.values(state)),
    ...processors.flatMap(({ effects }) =>
      Object.values(effects).flatMap(({ input, outcome, report }) => [
        input,
        outcome,
        ...(report === null ? [] : [report]),
      ]),
    ),
    ...ENGINE_SCHEMAS,
  ]
  return [...new Map(all.map((schema) => [schema.name, schema])).values()]
}
