// A deployment's own storage, behind its back: for what nobody can do through the issuer. Only while no host runs on it, except
// that Spin's database may be written to by others at any time.

import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** Runs `work` with the SQL database open; answers what it answers. */
export function withDatabase(op, work) {
  const database = new DatabaseSync(path(op));
  try {
    database.exec("PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = ON");
    return work(database);
  } finally {
    database.close();
  }
}

/** Everything in KV is a copy, and may be lost at any time. */
export function dropCopies(op) {
  if (op.host === "cloudflare") {
    rmSync(join(op.state, "cloudflare/v3/kv"), { recursive: true, force: true });
    return;
  }
  for (const end of ["", "-wal", "-shm"]) rmSync(join(op.state, `spin/sqlite_key_value.db${end}`), { force: true });
}

function path(op) {
  if (op.host === "spin") return join(op.state, "spin/sqlite_db.db");
  const folder = join(op.state, "cloudflare/v3/d1/miniflare-D1DatabaseObject");
  const [name, ...others] = readdirSync(folder).filter((name) => name.endsWith(".sqlite") && name !== "metadata.sqlite");
  if (!name || others.length > 0) throw new Error(`not one D1 database in ${folder}`);
  return join(folder, name);
}
