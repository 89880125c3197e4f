import type { AvroSchema, Codec } from '../codec/avro.ts'
import { headerOf } from '../kafka/fetched-records.ts'
import type { LogRecord } from '../kafka/log-records.ts'
import { type Edge, inputsOf, type Processor } from '../processor.ts'

/**
 * Which records of its inputs a processor cares about. A record is routed by its `ce_type` header before anything is
 * decoded, so that events nobody asked for cost nothing; a producer that sent no header is routed by its schema's name.
 */
export interface Route {
  readonly topic: string
  readonly event: string
  readonly schema: AvroSchema<unknown>
  /** The event ends the life of its key. */
  readonly closes: boolean
  /** The event is handled even when its key is closed. */
  readonly afterClose: boolean
  /** Effects of which the event is an outcome: a replay that meets it knows that the oldest of them was carried out. */
  readonly confirms: readonly string[]
  /** Anybody may write to the topic: what cannot be read is refused, and nothing waits for it. */
  readonly isDoor: boolean
}

export type Routes = ReadonlyMap<string, ReadonlyMap<string, Route>>

export const routesOf = (processor: Processor): Routes => {
  const routes = new Map<string, Map<string, Route>>()
  for (const { topic, events } of inputsOf(processor)) {
    const ofTopic = routes.get(topic.name) ?? new Map<string, Route>()
    routes.set(topic.name, ofTopic)
    for (const event of events) {
      const schema = topic.events[event] as AvroSchema<unknown>
      const closes = names(processor.closedBy, topic.name, event)
      ofTopic.set(schema.name, {
        topic: topic.name,
        event,
        schema,
        closes,
        afterClose: names(processor.afterClose, topic.name, event),
        confirms: confirmedBy(processor, topic.name, event),
        isDoor: topic.door === true,
      })
    }
  }
  return routes
}

export const routeOf = (routes: Routes, codec: Codec, record: LogRecord): Route | undefined => {
  const ofTopic = routes.get(record.topic)
  if (ofTopic === undefined) return undefined
  const { value } = record
  if (value === null) return undefined
  const type = headerOf(record, 'ce_type') ?? codec.writerName(value)
  return type === undefined ? undefined : ofTopic.get(type)
}

const confirmedBy = (processor: Processor, topic: string, event: string): readonly string[] =>
  Object.entries(processor.confirmedBy).flatMap(([effect, edges]) => (names(edges ?? [], topic, event) ? [effect] : []))

const names = (edges: readonly Edge[], topic: string, event: string): boolean =>
  edges.some((edge) => edge.topic.name === topic && edge.events.includes(event))
