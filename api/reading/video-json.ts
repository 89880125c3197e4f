/**
 * Videos as JSON, made by PostgreSQL: one query whose one column is the finished text, which is sent as it is. That
 * spares a row, its mapping and its serialisation, and is faster than fetching the plain row.
 *
 * URLs are paths on this origin: behind whatever proxy, the client resolves them against the URL that it asked.
 */
import { Prisma } from '../../prisma/client.ts'

const iso = (column: string): string => `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`

/** Key `v/<id>/…` is served at `/watch/<id>/…`. */
const mediaUrl = (column: string): string => `'/watch/' || substr(${column}, 3)`

const PERCENT = `CASE
  WHEN v.ready THEN 100
  WHEN v.planned_ticks > 0 THEN least(100, floor(100.0 * v.finished_ticks / v.planned_ticks))
  ELSE 0 END`

/** What lists show. `v` is a row of read.videos. */
const SUMMARY = `
  'videoId', v.id,
  'title', v.title,
  'author', v.author,
  'authorId', v.author_id,
  'tags', v.tags,
  'visibility', v.visibility,
  'status', v.status,
  'playable', v.playable,
  'ready', v.ready,
  'durationMs', v.duration_ms,
  'masterUrl', CASE WHEN v.master_key IS NOT NULL THEN '/watch/' || v.id || '/master.m3u8' END,
  'posterUrl', ${mediaUrl('v.poster_key')},
  'progress', jsonb_build_object('percent', ${PERCENT}, 'finishedTicks', v.finished_ticks, 'plannedTicks', v.planned_ticks),
  'createdAt', ${iso('v.created_at')},
  'updatedAt', ${iso('v.updated_at')}`

const renditionsWhere = (condition: string): string => `coalesce((
  SELECT jsonb_agg(jsonb_build_object(
      'name', r.name, 'track', r.track, 'width', r.width, 'height', r.height, 'codecs', r.codecs,
      'frameRate', r.frame_rate, 'peakBandwidthBps', r.peak_bandwidth_bps,
      'averageBandwidthBps', r.average_bandwidth_bps) ORDER BY r.height DESC NULLS LAST, r.track, r.name)
    FROM read.renditions r
   WHERE r.video_id = v.id AND r.generation = coalesce(v.playback_generation, v.generation) AND ${condition}), '[]')`

const ERROR = `CASE WHEN v.error_code IS NULL THEN '{}'::jsonb
  ELSE jsonb_build_object('error', jsonb_build_object('code', v.error_code, 'message', v.error_message)) END`

export const SUMMARY_JSON = Prisma.raw(`(jsonb_build_object(${SUMMARY}) || ${ERROR})`)

/** The whole watch page: renditions and sound are those of the generation that is played. */
export const VIDEO_JSON = Prisma.raw(`(jsonb_build_object(${SUMMARY},
  'description', v.description,
  'metadata', v.metadata,
  'revision', v.revision,
  'generation', v.playback_generation,
  'playableDurationMs', v.playable_duration_ms,
  'storyboardUrl', ${mediaUrl('v.storyboard_vtt_key')},
  'readyAt', ${iso('v.ready_at')},
  'renditions', ${renditionsWhere('r.height IS NOT NULL')},
  'audio', ${renditionsWhere('r.height IS NULL')}) || ${ERROR})`)
