-- What the projection engine keeps about itself. The tables of a projection are not here: each version of a projection
-- has a schema of its own, made from projections/<name>/tables.sql, and `read` holds the stable views on the live ones.

CREATE SCHEMA IF NOT EXISTS engine;
CREATE SCHEMA IF NOT EXISTS read;

-- One row per version that exists. `live` serves the views, `previous` is fed on for a rollback, `building` is being
-- folded by a rebuild.
CREATE TABLE engine.versions (
  projection text NOT NULL,
  version integer NOT NULL CHECK (version > 0),
  state text NOT NULL CHECK (state IN ('building', 'live', 'previous')),
  -- Hash of the definition that the tables were made from: other code does not write to them.
  definition text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (projection, version)
);

CREATE UNIQUE INDEX one_version_per_state ON engine.versions (projection, state);

-- How far each version has read. Moves by compare-and-set in the transaction that writes the rows, so that of two
-- writers one fails: exactly once into the tables, whoever else believes to be in charge.
CREATE TABLE engine.positions (
  projection text NOT NULL,
  version integer NOT NULL,
  topic text NOT NULL,
  "partition" integer NOT NULL CHECK ("partition" >= 0),
  next_offset bigint NOT NULL CHECK (next_offset >= 0),
  PRIMARY KEY (projection, version, topic, "partition"),
  FOREIGN KEY (projection, version) REFERENCES engine.versions ON DELETE CASCADE
);

CREATE VIEW read.positions AS
SELECT p.projection, p.topic, p."partition", p.next_offset
FROM engine.positions p
JOIN engine.versions v USING (projection, version)
WHERE v.state = 'live';
