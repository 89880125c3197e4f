-- Tables of one version of video-catalogue. Schema names are set by the engine; indexes beyond the keys: indexes.sql.

CREATE TABLE videos (
  id text PRIMARY KEY,
  author_id text NOT NULL,
  title text NOT NULL,
  description text NOT NULL,
  author text NOT NULL,
  tags text[] NOT NULL,
  visibility text NOT NULL,
  metadata jsonb,
  revision integer NOT NULL,
  status text NOT NULL,
  playable boolean NOT NULL,
  ready boolean NOT NULL,
  duration_ms bigint,
  generation integer,
  playback_generation integer,
  playback_revision integer,
  master_key text,
  playable_duration_ms bigint,
  poster_generation integer,
  poster_key text,
  storyboard_key text,
  storyboard_vtt_key text,
  error_code text,
  error_message text,
  planned_ticks bigint NOT NULL,
  finished_ticks bigint NOT NULL,
  finished_segments jsonb NOT NULL,
  generations jsonb NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  ready_at timestamptz,
  "partition" integer NOT NULL,
  version bigint NOT NULL
);

CREATE TABLE renditions (
  video_id text NOT NULL,
  generation integer NOT NULL,
  track text NOT NULL,
  name text NOT NULL,
  width integer,
  height integer,
  codecs text NOT NULL,
  frame_rate double precision,
  peak_bandwidth_bps bigint NOT NULL,
  average_bandwidth_bps bigint NOT NULL,
  segment_count integer NOT NULL,
  duration_ms bigint NOT NULL,
  size_bytes bigint NOT NULL,
  version bigint NOT NULL,
  PRIMARY KEY (video_id, generation, track, name)
);

CREATE TABLE uploads (
  video_id text PRIMARY KEY,
  author_id text NOT NULL,
  s3_upload_id text NOT NULL,
  bucket text NOT NULL,
  object_key text NOT NULL,
  content_type text NOT NULL,
  part_size_bytes bigint NOT NULL,
  part_count integer,
  size_bytes bigint,
  checksum_algorithm text NOT NULL,
  status text NOT NULL,
  code text,
  detail text,
  rejections integer NOT NULL,
  expires_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  version bigint NOT NULL
);

CREATE TABLE upload_parts (
  video_id text NOT NULL,
  part_number integer NOT NULL,
  size_bytes bigint NOT NULL,
  etag text NOT NULL,
  checksum text NOT NULL,
  code text,
  version bigint NOT NULL,
  PRIMARY KEY (video_id, part_number)
);

CREATE TABLE outcomes (
  claim_id text PRIMARY KEY,
  video_id text NOT NULL,
  topic text NOT NULL,
  "partition" integer NOT NULL,
  record_offset bigint NOT NULL,
  code text,
  detail text
);
