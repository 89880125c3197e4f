-- The tail of one video from a position on, and the row as of a moment.
CREATE INDEX video_history_position ON video_history (video_id, "position");
CREATE INDEX video_history_recorded ON video_history (video_id, recorded_at DESC, seq DESC);
