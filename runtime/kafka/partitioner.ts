import type { PartitionerArgs } from 'kafkajs'
import { partitionOfKey } from './murmur2.ts'

/** The partition that was asked for, else the key's. Our records always have a key. */
export const keyPartitioner = ({ message, partitionMetadata }: PartitionerArgs): number =>
  message.partition ??
  (partitionMetadata.length === 1 ? 0 : partitionOfKey(String(message.key), partitionMetadata.length))
