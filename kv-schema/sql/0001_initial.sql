-- The whole schema. Times are seconds since 1970; identifiers and binary values are base64url or JSON text; flags are 0 or 1.
-- Every table that holds a tenant's data begins with tenant_id, and so does every key of it.

CREATE TABLE schema_version (
  singleton INTEGER PRIMARY KEY CHECK (singleton = 1),
  version INTEGER NOT NULL
) STRICT;

INSERT INTO schema_version (singleton, version) VALUES (1, 1);

-- A tenant is an issuer. `locator` is the issuer's host name and path: what a request is matched against.
CREATE TABLE tenants (
  id TEXT NOT NULL PRIMARY KEY,
  issuer TEXT NOT NULL UNIQUE,
  locator TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  registration TEXT NOT NULL CHECK (registration IN ('open', 'closed')),
  wrapped_master TEXT NOT NULL,
  version INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  disabled_at INTEGER
) STRICT;

-- Set-up links that have done their work.
CREATE TABLE used_tickets (
  id TEXT NOT NULL PRIMARY KEY,
  used_at INTEGER NOT NULL
) STRICT;

-- Private halves are wrapped under the tenant's master key.
CREATE TABLE signing_keys (
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  alg TEXT NOT NULL,
  region TEXT NOT NULL,
  ordinal INTEGER NOT NULL,
  kid TEXT NOT NULL,
  public_jwk TEXT NOT NULL,
  wrapped_private TEXT NOT NULL,
  published_at INTEGER NOT NULL,
  activates_at INTEGER NOT NULL,
  revoked_at INTEGER,
  PRIMARY KEY (tenant_id, alg, region, ordinal),
  UNIQUE (tenant_id, kid)
) STRICT, WITHOUT ROWID;

-- `claims` is a JSON object of the standard claims of OpenID Connect Core section 5.1, without sub and updated_at.
CREATE TABLE users (
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  id TEXT NOT NULL,
  username TEXT NOT NULL,
  username_folded TEXT NOT NULL,
  claims TEXT NOT NULL,
  administrator INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  disabled_at INTEGER,
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, username_folded)
) STRICT, WITHOUT ROWID;

-- `secret` of a password is its Argon2id PHC string, peppered with a key derived from the tenant's master.
CREATE TABLE credentials (
  tenant_id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('password')),
  id TEXT NOT NULL,
  secret TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, user_id, kind, id),
  FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- `answered_request` is the authorization request that the person last signed in for.
CREATE TABLE sessions (
  tenant_id TEXT NOT NULL,
  id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  auth_time INTEGER NOT NULL,
  seen_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  amr TEXT NOT NULL,
  acr TEXT NOT NULL,
  answered_request TEXT NOT NULL,
  ended_at INTEGER,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_of_user ON sessions (tenant_id, user_id);

-- `metadata` is the client's metadata under its RFC 7591 names. `operator`, `resource_server`, `demo_redirects` and
-- `access_token_lifetime` are out of registration's reach.
CREATE TABLE clients (
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  id TEXT NOT NULL,
  secret_hash TEXT,
  registration_token_hash TEXT,
  metadata TEXT NOT NULL,
  operator INTEGER NOT NULL,
  resource_server INTEGER NOT NULL,
  demo_redirects INTEGER NOT NULL,
  access_token_lifetime INTEGER,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  disabled_at INTEGER,
  PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;

-- `items` is what the person allowed: scopes, and `claim:name` for claims asked for one by one, space-separated.
CREATE TABLE consents (
  tenant_id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  client_id TEXT NOT NULL,
  items TEXT NOT NULL,
  granted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, user_id, client_id),
  FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE,
  FOREIGN KEY (tenant_id, client_id) REFERENCES clients (tenant_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX consents_of_client ON consents (tenant_id, client_id);

-- One row a grant: made when its code is redeemed, its refresh generation counted, ended once, kept as a tombstone.
CREATE TABLE grants (
  tenant_id TEXT NOT NULL,
  id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  client_id TEXT NOT NULL,
  session_id TEXT NOT NULL,
  scope TEXT NOT NULL,
  claims TEXT NOT NULL,
  auth_time INTEGER NOT NULL,
  acr TEXT NOT NULL,
  amr TEXT NOT NULL,
  offline INTEGER NOT NULL,
  redeemed_by TEXT,
  generation INTEGER NOT NULL,
  rotated_at INTEGER NOT NULL,
  rotated_by TEXT,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  revoked_at INTEGER,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE,
  FOREIGN KEY (tenant_id, client_id) REFERENCES clients (tenant_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX grants_of_session ON grants (tenant_id, session_id);
CREATE INDEX grants_of_user ON grants (tenant_id, user_id);
CREATE INDEX grants_of_client ON grants (tenant_id, client_id);

-- Access tokens that were revoked one by one; kept until they would have expired.
CREATE TABLE revoked_tokens (
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  jti TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, jti)
) STRICT, WITHOUT ROWID;

-- Attempts in the running window, per account and per address (both hashed).
CREATE TABLE throttles (
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  bucket TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  window_started_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, bucket)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_events (
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  id TEXT NOT NULL,
  at INTEGER NOT NULL,
  event TEXT NOT NULL,
  actor TEXT,
  user_id TEXT,
  client_id TEXT,
  address TEXT,
  request_id TEXT NOT NULL,
  detail TEXT,
  PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX audit_events_in_order ON audit_events (tenant_id, at);
