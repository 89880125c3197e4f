-- Tables of one version of video-history. Schema names are set by the engine; indexes beyond the keys: indexes.sql.

CREATE TABLE video_heads (
  video_id text PRIMARY KEY,
  seq integer NOT NULL,
  snapshot jsonb NOT NULL,
  version bigint NOT NULL
);

CREATE TABLE video_history (
  video_id text NOT NULL,
  seq integer NOT NULL,
  "position" bigint NOT NULL,
  "partition" integer NOT NULL,
  type text NOT NULL,
  recorded_at timestamptz NOT NULL,
  event_id text NOT NULL,
  cause_id text,
  body jsonb NOT NULL,
  snapshot jsonb NOT NULL,
  PRIMARY KEY (video_id, seq)
);
