import { createInterface } from 'node:readline/promises'

/** Asks for a yes. Without a terminal there is nobody to ask, and the answer is no. */
export const confirm = async (question: string): Promise<boolean> => {
  if (!process.stdin.isTTY) return false
  const prompt = createInterface({ input: process.stdin, output: process.stdout })
  try {
    return /^y(es)?$/i.test(await prompt.question(`${question} [y/N] `))
  } finally {
    prompt.close()
  }
}
