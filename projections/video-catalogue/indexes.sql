-- Made after the bulk phase of a rebuild: one pass over the finished table costs less than one step per row.

-- The public list, newest first, by keyset.
CREATE INDEX videos_public ON videos (created_at DESC, id DESC) WHERE visibility = 'PUBLIC' AND status <> 'deleted';

-- The list of one author.
CREATE INDEX videos_of_author ON videos (author_id, created_at DESC, id DESC);

CREATE INDEX videos_tags ON videos USING gin (tags);

-- What the reconciler looks for: uploads that nobody finished.
CREATE INDEX uploads_open ON uploads (expires_at) WHERE status = 'open';

-- What one author may hold open.
CREATE INDEX uploads_open_of_author ON uploads (author_id) WHERE status = 'open';

-- The uploads of one author, newest first, by keyset.
CREATE INDEX uploads_of_author ON uploads (author_id, created_at DESC, video_id DESC);
