import fc from 'fast-check'
import t from 'tap'
import {
  alternativeKey,
  generationPrefix,
  initKey,
  masterPlaylistKey,
  mediaPlaylistKey,
  revisionOfPlaylist,
  segmentKey,
  sourceKey,
  thumbnailKey,
  videoPrefix,
} from './object-keys.ts'

const videoId = '5a1e3c0e-6a5c-5d0b-9f5e-7a0c7a8c9a11'
const ref = { videoId, generation: 1, track: 'video', rendition: '720p' }

t.test('keys are exactly these', async (t) => {
  t.equal(videoPrefix(videoId), `v/${videoId}/`)
  t.equal(sourceKey(videoId), `v/${videoId}/source`)
  t.equal(generationPrefix(videoId, 2), `v/${videoId}/g2/`)
  t.equal(initKey(ref), `v/${videoId}/g1/video/720p/init.mp4`)
  t.equal(segmentKey(ref, 42), `v/${videoId}/g1/video/720p/00042.m4s`)
  t.equal(segmentKey({ ...ref, track: 'audio-0', rendition: 'aac' }, 0), `v/${videoId}/g1/audio-0/aac/00000.m4s`)
  t.equal(masterPlaylistKey(videoId, 1, 3), `v/${videoId}/g1/r3/master.m3u8`)
  t.equal(mediaPlaylistKey(ref, 3), `v/${videoId}/g1/r3/video-720p.m3u8`)
  t.equal(thumbnailKey(videoId, 1, 'poster.jpg'), `v/${videoId}/g1/thumbnails/poster.jpg`)
})

t.test('the alternative of a key stays in its generation', async (t) => {
  t.equal(alternativeKey(segmentKey(ref, 7), 2), `v/${videoId}/g1/a2/video/720p/00007.m4s`)
  t.throws(() => alternativeKey(sourceKey(videoId), 2), { code: 'KEY_INVALID' })
})

t.test('the revision of a playlist is told by its key, and nothing else has one', async (t) => {
  t.equal(revisionOfPlaylist(masterPlaylistKey(videoId, 2, 13)), 13)
  t.equal(revisionOfPlaylist(mediaPlaylistKey(ref, 4)), 4)
  const others = [
    initKey(ref),
    segmentKey({ ...ref, track: 'r1' }, 1),
    thumbnailKey(videoId, 1, 'poster.jpg'),
    'r1/x.m3u8',
  ]
  for (const key of others) t.equal(revisionOfPlaylist(key), null, key)
})

t.test('segment keys sort as the segments play', async (t) => {
  const keys = [0, 9, 10, 99, 100, 99_999].map((index) => segmentKey(ref, index))
  t.same([...keys].sort(), keys)
})

t.test('refuses ids that would leave their folder', async (t) => {
  for (const id of ['', '.', '..', 'a/b', '../x', 'ü', 'a b', 'x'.repeat(201), 'a\u0000']) {
    t.throws(() => sourceKey(id), { code: 'KEY_INVALID' }, JSON.stringify(id))
  }
  for (const generation of [0, -1, 1.5, Number.NaN]) {
    t.throws(() => initKey({ ...ref, generation }), { code: 'KEY_INVALID' }, String(generation))
  }
})

t.test('no key is the folder of another', async (t) => {
  const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,10}$/)
  const keys = fc
    .record({ videoId: name, generation: fc.integer({ min: 1, max: 3 }), track: name, rendition: name })
    .map((r) => [
      sourceKey(r.videoId),
      initKey(r),
      segmentKey(r, 1),
      masterPlaylistKey(r.videoId, r.generation, 1),
      mediaPlaylistKey(r, 1),
      thumbnailKey(r.videoId, r.generation, 'poster.jpg'),
      alternativeKey(initKey(r), 1),
    ])
  fc.assert(fc.property(keys, (all) => all.every((a) => all.every((b) => !b.startsWith(`${a}/`)))))
  t.pass('held')
})
