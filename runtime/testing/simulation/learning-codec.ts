import { UpstreamError } from '../../../platform/errors.ts'
import type { Codec } from '../../codec/avro.ts'

/** A codec as one process has it: it decodes only what this process has learned, as after a new release of another one. */
export const learningCodec = (
  codec: Codec,
  ask: (schemaId: number) => Promise<number>,
): { readonly codec: Codec; readonly learn: (schemaId: number) => Promise<void> } => {
  const known = new Set<number>()
  return {
    codec: {
      ...codec,
      decode: (schema, bytes) => {
        const schemaId = codec.schemaId(bytes)
        if (schemaId !== undefined && !known.has(schemaId)) {
          throw new UpstreamError('SCHEMA_UNKNOWN', `Schema ${schemaId} has not been learned`, { facts: { schemaId } })
        }
        return codec.decode(schema, bytes)
      },
      writerName: (bytes) => (known.has(codec.schemaId(bytes) ?? -1) ? codec.writerName(bytes) : undefined),
      knows: (schemaId) => known.has(schemaId),
    },
    learn: async (schemaId) => void known.add(await ask(schemaId)),
  }
}
