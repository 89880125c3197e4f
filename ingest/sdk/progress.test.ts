import t from 'tap'
import { ProgressMeter, type UploadProgress } from './progress.ts'

const metered = (totalBytes: number | null) => {
  let now = 0
  const told: UploadProgress[] = []
  const meter = new ProgressMeter(
    totalBytes,
    (progress) => told.push(progress),
    () => now,
  )
  return { meter, told, after: (ms: number) => (now += ms) }
}

t.test('pieces are told at most ten times a second, whole parts always', async (t) => {
  const { meter, told, after } = metered(1_000)
  for (let bytes = 1; bytes <= 99; bytes++) {
    after(1)
    meter.partSent(1, bytes)
  }
  t.equal(told.length, 0)
  after(1)
  meter.partSent(1, 100)
  t.match(told, [{ sentBytes: 100, totalBytes: 1_000, rateBps: 1_000, etaMs: 900 }])
  meter.partStored(1, 500)
  meter.partStored(2, 500)
  t.match(told.slice(1), [{ sentBytes: 500 }, { sentBytes: 1_000, etaMs: 0 }])
})

t.test('what must be sent again is taken back', async (t) => {
  const { meter, told, after } = metered(1_000)
  after(200)
  meter.partSent(1, 400)
  after(200)
  meter.partSent(1, 0)
  t.match(told, [{ sentBytes: 400 }, { sentBytes: 0, rateBps: 0, etaMs: null }])
})

t.test('at the end all of it is there, whoever sent it, and nothing is told any more', async (t) => {
  const { meter, told, after } = metered(null)
  after(200)
  meter.partStored(1, 400)
  meter.completed(1_000)
  after(200)
  meter.partSent(2, 0)
  t.match(told, [
    { sentBytes: 400, totalBytes: null },
    { sentBytes: 1_000, resumedBytes: 600, totalBytes: 1_000, etaMs: 0 },
  ])
  t.equal(told.length, 2)
})

t.test('rate and time left are whole numbers, and time is left until nothing is', async (t) => {
  const { meter, told, after } = metered(1_000)
  after(333)
  meter.partSent(1, 100)
  meter.partStored(1, 999)
  t.match(told, [
    { rateBps: 300, etaMs: 3_000 },
    { rateBps: 3_000, etaMs: 1 },
  ])
})

t.test('the rate is that of the last twenty seconds, without pauses', async (t) => {
  const { meter, told, after } = metered(1_000_000)
  const send = (seconds: number, bytesASecond: number) => {
    const before = told.at(-1)?.sentBytes ?? 0
    for (let second = 1; second <= seconds; second++) {
      after(1_000)
      meter.partSent(1, before + second * bytesASecond)
    }
  }
  send(30, 100)
  t.equal(told.at(-1)?.rateBps, 100)
  meter.pause()
  after(60_000)
  meter.resume()
  send(10, 100)
  t.equal(told.at(-1)?.rateBps, 100, 'a pause is no slowness')
  send(25, 1_000)
  t.equal(told.at(-1)?.rateBps, 1_000, 'what was long ago is forgotten')
})

t.test('what was there already counts as stored, not as rate', async (t) => {
  const { meter, told, after } = metered(1_000)
  after(100)
  meter.partFound(600)
  t.match(told.at(-1), { sentBytes: 600, resumedBytes: 600, rateBps: 0, etaMs: null })
  after(1_000)
  meter.partStored(7, 100)
  t.match(told.at(-1), { sentBytes: 700, resumedBytes: 600, rateBps: 100, etaMs: 3_000 })
})

t.test('the length of a stream is known when it ends', async (t) => {
  const { meter, told, after } = metered(null)
  after(1_000)
  meter.partStored(1, 500)
  t.match(told.at(-1), { sentBytes: 500, totalBytes: null, etaMs: null })
  meter.ended(500)
  t.match(told.at(-1), { sentBytes: 500, totalBytes: 500, etaMs: 0 })
})
