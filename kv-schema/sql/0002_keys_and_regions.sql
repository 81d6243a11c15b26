-- What the life of keys needs beside the keys themselves.

-- JSON array of the regions that sign with keys of their own.
ALTER TABLE tenants ADD COLUMN regions TEXT NOT NULL DEFAULT '[]';

-- The pepper of passwords, wrapped under the master, where the master was replaced after they were hashed. Otherwise the
-- pepper derives from the master.
ALTER TABLE tenants ADD COLUMN wrapped_pepper TEXT;

-- When somebody last took up a task of maintenance; tenant_id is empty for tasks of the whole deployment.
CREATE TABLE maintenance (
  tenant_id TEXT NOT NULL,
  task TEXT NOT NULL,
  taken_up_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, task)
) STRICT, WITHOUT ROWID;

UPDATE schema_version SET version = 2 WHERE singleton = 1;
