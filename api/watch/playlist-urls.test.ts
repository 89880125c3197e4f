import t from 'tap'
import { currentFolder, rebaseMaster } from './playlist-urls.ts'

t.test('the URIs of a master move below the folder, whatever else it says stays', async (t) => {
  const master = [
    '#EXTM3U',
    '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="URI=",URI="audio-0-aac.m3u8"',
    '#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI="iframe-720p.m3u8"',
    '#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="aac"',
    'video-720p.m3u8',
    'https://cdn.example/video-180p.m3u8',
    '/elsewhere.m3u8',
    '',
  ].join('\n')
  t.equal(
    rebaseMaster(master, currentFolder(3)),
    master
      .replace('URI="audio-0', 'URI="g3/current/audio-0')
      .replace('URI="iframe', 'URI="g3/current/iframe')
      .replace('\nvideo-720p', '\ng3/current/video-720p'),
  )
})

t.test('a media playlist means the same segments below current as below its revision', async (t) => {
  const uri = '../video/720p/00000.m4s'
  const at = (folder: string) => new URL(uri, `http://origin/watch/id/${folder}video-720p.m3u8`).pathname
  t.equal(at(currentFolder(1)), at('g1/r7/'))
})
