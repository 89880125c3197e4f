-- The schema registry keeps its ids in a database of its own: they are part of the log's meaning, and outlive a rebuild
-- of every table of ours. The image of PostgreSQL runs this once, on an empty volume.
CREATE DATABASE registry;
