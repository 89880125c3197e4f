import t from 'tap'
import { type LostAnswer, TASK, type TaskLogBed, taskLogContract } from '../run/task-log.contract.ts'
import { MemoryLog } from './memory-log.ts'
import { memoryTaskLog, NoAnswer, type Request } from './memory-task-log.ts'

/** The memory that the simulation runs on keeps the promises that the engine was built on. */
const newBed = async (): Promise<TaskLogBed> => {
  const log = new MemoryLog({ now: () => Date.UTC(2026, 0, 1) })
  log.createTopic('input', 2)
  log.createTopic('output', 2)
  log.createTopic('fold-state', 2)
  return {
    outputs: ['input', 'output'],
    owner: () => {
      let lost: LostAnswer | null = null
      const request: Request = async (name, execute) => {
        const answer = execute()
        if (name !== lost) return answer
        lost = null
        throw new NoAnswer(name)
      }
      return {
        ...memoryTaskLog({
          log,
          transactionalId: 'app.fold.1',
          changelog: 'fold-state',
          inputs: ['input'],
          outputs: ['input', 'output'],
          task: TASK,
          request,
          fetchLimit: 2,
        }),
        lose: (answer) => {
          lost = answer
        },
      }
    },
    committed: async (topic, partition) => log.fetch(topic, partition, 0n).records,
    produce: async (record) => log.produce(record),
    compact: async () => log.compact('fold-state', TASK, { dropTombstones: true }),
  }
}

taskLogContract(t, newBed)
