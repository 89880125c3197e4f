import type { AvroSchema, Codec } from '../codec/avro.ts'
import { headerOf } from '../kafka/fetched-records.ts'
import type { LogRecord } from '../kafka/log-records.ts'
import { type Edge, inputsOf, type Processor } from '../processor.ts'

/**
 * Which records of its inputs a processor cares about. A record is routed by its `ce_type` header before anything is
 * decoded, so that events nobody asked for cost nothing; a producer that sent no header is routed by its schema's name.
 * One that sent neither a header nor a schema that is known (yet) may have sent anything: its record is nobody's to pass
 * over. It gets a route of its own, by which it cannot be decoded: the schema is learned, or the record refused.
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

/** Routes of one topic. */
interface TopicRoutes {
  readonly byType: Map<string, Route>
  /** Of a record of which nobody can tell (yet) what it is. */
  readonly unnamed: Route
}

export type Routes = ReadonlyMap<string, TopicRoutes>

export const routesOf = (processor: Processor): Routes => {
  const routes = new Map<string, TopicRoutes>()
  for (const { topic, events } of inputsOf(processor)) {
    for (const event of events) {
      const schema = topic.events[event] as AvroSchema<unknown>
      const route: Route = {
        topic: topic.name,
        event,
        schema,
        closes: names(processor.closedBy, topic.name, event),
        afterClose: names(processor.afterClose, topic.name, event),
        confirms: confirmedBy(processor, topic.name, event),
        isDoor: topic.door === true,
      }
      const ofTopic = routes.get(topic.name) ?? { byType: new Map(), unnamed: unnamed(route, processor) }
      routes.set(topic.name, ofTopic)
      ofTopic.byType.set(schema.name, route)
    }
  }
  return routes
}

/** Its schema is any of the topic's: there is none that can read the record. It may be for a key that is over. */
const unnamed = ({ topic, schema, isDoor }: Route, { afterClose }: Processor): Route => ({
  topic,
  event: UNNAMED,
  schema,
  closes: false,
  afterClose: afterClose.some((edge) => edge.topic.name === topic),
  confirms: [],
  isDoor,
})
const UNNAMED = ''

/** Undefined: the processor does not read the record. A tombstone is no event. */
export const routeOf = (routes: Routes, codec: Codec, record: LogRecord): Route | undefined => {
  const ofTopic = routes.get(record.topic)
  if (ofTopic === undefined) return undefined
  const { value } = record
  if (value === null) return undefined
  const type = headerOf(record, 'ce_type') ?? codec.writerName(value)
  return type === undefined ? ofTopic.unnamed : ofTopic.byType.get(type)
}

const confirmedBy = (processor: Processor, topic: string, event: string): readonly string[] =>
  Object.entries(processor.confirmedBy).flatMap(([effect, edges]) => (names(edges ?? [], topic, event) ? [effect] : []))

const names = (edges: readonly Edge[], topic: string, event: string): boolean =>
  edges.some((edge) => edge.topic.name === topic && edge.events.includes(event))
