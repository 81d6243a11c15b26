-- How long ago a refresh token was stepped over, of a grant that is refreshed often.

-- Whatever is below settled was stepped over longer ago than the grace window is. From milestone_at on, no generation below the
-- milestone was current: when it is older than the grace window, it becomes settled, and the next one is set.
ALTER TABLE grants ADD COLUMN milestone INTEGER NOT NULL DEFAULT 0;
ALTER TABLE grants ADD COLUMN milestone_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE grants ADD COLUMN settled INTEGER NOT NULL DEFAULT 0;

UPDATE schema_version SET version = 3 WHERE singleton = 1;
