import type { AvroSchema } from '../codec/avro.ts'
import * as g from './generated.ts'

/** Record types of the engine's own entries: whoever runs processors registers them beside those of the processors. */
export const ENGINE_SCHEMAS: readonly AvroSchema<unknown>[] = [
  g.BlockedKeySchema,
  g.ClosedKeySchema,
  g.ConfirmationSchema,
  g.HeldOutputSchema,
  g.OperatorRequestSchema,
  g.PendingEffectSchema,
  g.PositionSchema,
  g.QueuedInputSchema,
  g.ReplaySchema,
  g.TimerSchema,
]
