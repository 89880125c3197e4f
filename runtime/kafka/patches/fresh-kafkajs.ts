import { createRequire } from 'node:module'
import { type KafkajsModules, type KafkajsPatch, kafkajsModules, loadedKafkajsFiles } from './modules.ts'

const require = createRequire(import.meta.url)

/** For tests: kafkajs as if nobody had loaded it yet, with exactly these patches; none = stock. */
export const freshKafkajs = (patches: readonly KafkajsPatch[]): KafkajsModules => {
  for (const file of loadedKafkajsFiles()) delete require.cache[file]
  for (const patch of patches) patch.apply(kafkajsModules)
  return kafkajsModules
}

/** The logger interface that kafkajs hands around, saying nothing. */
export const quietLogger = {
  namespace: () => quietLogger,
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
}
