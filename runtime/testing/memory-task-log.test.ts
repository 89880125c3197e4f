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
  const logOf = (task: number) => {
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
        transactionalId: `app.fold.${task}`,
        changelog: 'fold-state',
        inputs: ['input'],
        outputs: ['input', 'output'],
        task,
        request,
        fetchLimit: 2,
      }),
      lose: (answer: LostAnswer) => {
        lost = answer
      },
    }
  }
  return {
    outputs: ['input', 'output'],
    owner: () => logOf(TASK),
    neighbour: () => logOf(0),
    committed: async (topic, partition) => log.fetch(topic, partition, 0n).records,
    produce: async (record) => log.produce(record),
    compact: async () => log.compact('fold-state', TASK, { dropTombstones: true }),
  }
}

taskLogContract(t, newBed)
