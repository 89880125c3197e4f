import { UpstreamError } from '../../platform/errors.ts'

/** Another process writes this partition: read the position again, and go on from there or leave it alone. */
export class PositionMovedError extends UpstreamError {
  constructor(projection: string, partition: number, expected: bigint) {
    super('POSITION_MOVED', `The position of ${projection} in partition ${partition} is no longer ${expected}`, {
      facts: { projection, partition, expected: Number(expected) },
    })
  }
}
