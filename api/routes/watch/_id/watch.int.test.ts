import t from 'tap'
import { fact } from '../../../../projections/testing/story.ts'
import { startTestApi } from '../../../testing/test-api.ts'

const details = fact('UploadStarted').data.details
if (details === null) throw new TypeError('the example has details')
const begin = (visibility: 'PUBLIC' | 'PRIVATE' = 'PUBLIC') =>
  fact('UploadStarted', { authorId: 'ann', details: { ...details, visibility } })
const published = (id: string, revision: number, complete: boolean, playableDurationMs = 6_000) => {
  const folder = `v/${id}/g1/r${revision}`
  const [first] = fact('PlaylistPublished').data.renditions
  if (first === undefined) throw new TypeError('the example has renditions')
  return fact('PlaylistPublished', {
    generation: 1,
    revision,
    complete,
    playableDurationMs,
    masterKey: `${folder}/master.m3u8`,
    renditions: [{ ...first, playlistKey: `${folder}/video-720p.m3u8` }],
  })
}
const master = (name: string) =>
  `#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",URI="audio-0-aac.m3u8"\n#EXT-X-STREAM-INF:BANDWIDTH=1,NAME="${name}"\nvideo-720p.m3u8\n`
const media = (revision: number) => `#EXTM3U\n# revision ${revision}\n#EXTINF:6,\n../video/720p/00000.m4s\n`

/** A playlist of `count` segments as it is stored while the video grows. */
const growing = (count: number) =>
  ['#EXTM3U', '#EXT-X-TARGETDURATION:6', '#EXT-X-PLAYLIST-TYPE:EVENT']
    .concat(Array.from({ length: count }, (_, n) => `#EXTINF:2.000000,\n../video/720p/0000${n}.m4s`))
    .join('\n')
    .concat('\n')
const OFFER = '#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES'

t.test('a playlist that grows', async (t) => {
  const { app, objects, tell } = await startTestApi(t)
  for (const count of [1, 2, 3, 4]) objects.put(`v/young/g1/r${count}/video-720p.m3u8`, growing(count))
  await tell('young', [begin(), published('young', 1, false, 2_000)])
  const get = (query = '') => app.inject(`/watch/young/g1/current/video-720p.m3u8${query}`)
  const countIn = (body: string) => body.split('#EXTINF').length - 1

  t.test('offers to answer when there is more', async (t) => {
    const { body, headers } = await get()
    t.match(body, `#EXT-X-TARGETDURATION:6\n${OFFER}\n`)
    t.match(headers['cache-control'], 'no-cache')
    t.equal((await app.inject('/watch/young/g1/r1/video-720p.m3u8')).body, growing(1), 'what is stored is untouched')
  })

  t.test('answers at once when the segment is there, or is nowhere near', async (t) => {
    t.equal(countIn((await get('?_HLS_msn=0')).body), 1)
    t.equal(countIn((await get('?_HLS_msn=7')).body), 1)
    t.match((await get('?_HLS_msn=-1')).json(), { code: 'VALIDATION_FAILED' })
  })

  t.test('holds the answer until the segment is published, for everybody who waits', async (t) => {
    const asked = performance.now()
    const answers = Promise.all(Array.from({ length: 20 }, () => get('?_HLS_msn=2')))
    await tell('young', [published('young', 2, false, 4_000)])
    await tell('young', [published('young', 3, false, 6_000)])
    for (const { body } of await answers) t.equal(countIn(body), 3)
    t.ok(performance.now() - asked < 5_000, 'not by running out of patience')
  })

  t.test('its end is an answer, too, and offers nothing any more', async (t) => {
    const answer = get('?_HLS_msn=3')
    objects.put('v/young/g1/r5/video-720p.m3u8', `${growing(3)}#EXT-X-ENDLIST\n`)
    await tell('young', [published('young', 5, true)])
    const { body } = await answer
    t.match(body, '#EXT-X-ENDLIST')
    t.notMatch(body, OFFER)
  })

  t.test('from a minute on players come back by themselves', async (t) => {
    objects.put('v/long/g1/r1/video-720p.m3u8', growing(3))
    await tell('long', [begin(), published('long', 1, false, 60_000)])
    t.equal((await app.inject('/watch/long/g1/current/video-720p.m3u8?_HLS_msn=3')).body, growing(3))
  })

  t.test('a server that closes answers whoever waits', async (t) => {
    objects.put('v/last/g1/r1/video-720p.m3u8', growing(1))
    await tell('last', [begin(), published('last', 1, false, 2_000)])
    const answer = app.inject('/watch/last/g1/current/video-720p.m3u8?_HLS_msn=1')
    await app.close()
    t.equal(countIn((await answer).body), 1)
  })
})

t.test('playback', async (t) => {
  const { app, objects, tell } = await startTestApi(t)
  for (const revision of [1, 2]) {
    objects.put(`v/video/g1/r${revision}/master.m3u8`, master(`r${revision}`))
    objects.put(`v/video/g1/r${revision}/video-720p.m3u8`, media(revision))
  }
  const segment = Buffer.from(Array.from({ length: 1000 }, (_, at) => at % 251))
  objects.put('v/video/g1/video/720p/00000.m4s', segment)
  objects.put('v/video/source', 'the upload')
  objects.put('v/video/g1/thumbnails/poster.jpg', 'picture')
  const begun = [begin(), fact('UploadCompleted', { authorId: null, details: null })]
  await tell('video', begun)

  t.test('there is nothing to play before the first playlist', async (t) => {
    t.match((await app.inject('/watch/video/master.m3u8')).json(), { code: 'NOT_PLAYABLE_YET', status: 404 })
  })

  t.test('the stable URLs follow the newest revision while the video grows', async (t) => {
    await tell('video', [published('video', 1, false)])
    const first = await app.inject('/watch/video/master.m3u8')
    t.equal(first.statusCode, 200)
    t.match(first.headers['content-type'], 'application/vnd.apple.mpegurl')
    t.match(first.headers['cache-control'], 'no-cache')
    t.match(first.body, /URI="g1\/current\/audio-0-aac\.m3u8"/)
    t.match(first.body, /\ng1\/current\/video-720p\.m3u8\n/)
    t.match((await app.inject('/watch/video/g1/current/video-720p.m3u8')).body, 'revision 1')

    await tell('video', [published('video', 2, true)])
    const playlist = await app.inject('/watch/video/g1/current/video-720p.m3u8')
    t.match(playlist.body, 'revision 2')
    t.match(playlist.headers['cache-control'], 'no-cache')
    t.match((await app.inject('/watch/video/g1/current/master.m3u8')).body, /NAME="r2"\nvideo-720p\.m3u8/)
  })

  t.test('a revision by its own URL is immutable', async (t) => {
    const playlist = await app.inject('/watch/video/g1/r1/video-720p.m3u8')
    t.match(playlist.body, 'revision 1')
    t.equal(playlist.headers['cache-control'], 'public, max-age=31536000, immutable')
  })

  t.test('segments: read from the store once, whoever asks', async (t) => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => app.inject('/watch/video/g1/video/720p/00000.m4s')),
    )
    for (const answer of answers) {
      t.equal(answer.statusCode, 200)
      t.ok(answer.rawPayload.equals(segment))
    }
    t.equal(objects.reads('v/video/g1/video/720p/00000.m4s'), 1)
    t.match(answers[0]?.headers, { 'content-type': 'video/mp4', 'accept-ranges': 'bytes', 'content-length': '1000' })
  })

  t.test('ranges and validators', async (t) => {
    const get = (headers: Record<string, string>) =>
      app.inject({ url: '/watch/video/g1/video/720p/00000.m4s', headers })
    const part = await get({ range: 'bytes=10-19' })
    t.match(part, { statusCode: 206 })
    t.match(part.headers, { 'content-range': 'bytes 10-19/1000', 'content-length': '10' })
    t.ok(part.rawPayload.equals(segment.subarray(10, 20)))
    const beyond = await get({ range: 'bytes=1000-' })
    t.match(beyond, { statusCode: 416 })
    t.equal(beyond.headers['content-range'], 'bytes */1000')
    t.match(await get({ 'if-none-match': String(part.headers.etag) }), { statusCode: 304, body: '' })
    t.match(await get({ range: 'bytes=0-9', 'if-range': '"other"' }), { statusCode: 200 })
    const head = await app.inject({ method: 'HEAD', url: '/watch/video/g1/video/720p/00000.m4s' })
    t.match(head, { statusCode: 200, body: '' })
    t.equal(head.headers['content-length'], '1000')
  })

  t.test('a large object is streamed and not kept', async (t) => {
    const large = Buffer.alloc(13 * 1024 * 1024, 7)
    objects.put('v/video/g1/video/720p/00001.m4s', large)
    const whole = await app.inject('/watch/video/g1/video/720p/00001.m4s')
    t.ok(whole.rawPayload.equals(large))
    const part = await app.inject({ url: '/watch/video/g1/video/720p/00001.m4s', headers: { range: 'bytes=5-6' } })
    t.match(part, { statusCode: 206 })
    t.equal(part.rawPayload.length, 2)
  })

  t.test('nothing outside a generation can be reached', async (t) => {
    for (const path of [
      'source',
      'g1/../source',
      'g1/%2e%2e/source',
      'g1/nothing.m4s',
      'g9/current/master.m3u8',
      'g1/',
      '',
    ]) {
      t.equal((await app.inject(`/watch/video/${path}`)).statusCode, 404, path)
    }
    t.equal((await app.inject('/watch/none/g1/video/720p/00000.m4s')).statusCode, 404)
  })

  t.test('a private video is for its author, and not for shared caches', async (t) => {
    objects.put('v/private/g1/r1/master.m3u8', master('private'))
    await tell('private', [begin('PRIVATE'), published('private', 1, true)])
    t.equal((await app.inject('/watch/private/master.m3u8')).statusCode, 404)
    const own = await app.inject({ url: '/watch/private/master.m3u8', headers: { authorization: 'Bearer ann' } })
    t.equal(own.statusCode, 200)
    t.match(own.headers['cache-control'], 'private')
  })

  t.test('a deleted video is gone at once', async (t) => {
    await tell('video', [fact('VideoDeleted')])
    t.equal((await app.inject('/watch/video/master.m3u8')).statusCode, 404)
    t.equal((await app.inject('/watch/video/g1/video/720p/00000.m4s')).statusCode, 404)
  })
})
