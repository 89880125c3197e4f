import { runShop } from './shop.ts'

/** The shop as a process that a test may kill: `node shop-process.ts <suffix> <boxMs>`. */
const [suffix = '', boxMs = '5'] = process.argv.slice(2)
const shop = await runShop(suffix, Number(boxMs))
process.on('SIGTERM', () => void shop.stop().then(() => process.exit(0)))
