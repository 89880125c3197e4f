import { runShop } from './shop.ts'

/** The shop as a process that a test may kill: `node shop-process.ts <suffix> <boxMs> [deadlyBoxes]`. */
const [suffix = '', boxMs = '5', deadlyBoxes = '0'] = process.argv.slice(2)
const shop = await runShop(suffix, { boxMs: Number(boxMs), deadlyBoxes: Number(deadlyBoxes) })
process.on('SIGTERM', () => void shop.stop().then(() => process.exit(0)))
