//! Signing keys: public halves in clear, private halves wrapped under the tenant's master. Rows are appended and, when a key is
//! revoked, marked; none is ever overwritten or deleted.

use crate::keys::schedule::Taken;
use crate::plant::{Plant, planted};
use crate::platform::{Alg, Fault, Row, Statement, UnixTime};

use super::tenants::TenantRow;

const OF_LOCATOR: &str = "SELECT k.alg, k.region, k.ordinal, k.kid, k.public_jwk, k.wrapped_private, k.published_at, \
     k.activates_at, k.revoked_at FROM tenants AS t JOIN signing_keys AS k ON k.tenant_id = t.id WHERE t.locator = ?1";
const OF_TENANT: &str = "SELECT alg, region, ordinal, kid, public_jwk, wrapped_private, published_at, activates_at, revoked_at \
     FROM signing_keys WHERE tenant_id = ?1";
const INSERT: &str = "INSERT INTO signing_keys \
     (tenant_id, alg, region, ordinal, kid, public_jwk, wrapped_private, published_at, activates_at, revoked_at) \
     SELECT id, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, NULL FROM tenants WHERE id = ?1 AND wrapped_master = ?10 ON CONFLICT DO NOTHING";
const INSERT_IF: &str = "INSERT INTO signing_keys \
     (tenant_id, alg, region, ordinal, kid, public_jwk, wrapped_private, published_at, activates_at, revoked_at) \
     SELECT id, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, NULL FROM tenants WHERE id = ?1 AND wrapped_master = ?10 \
     AND EXISTS (SELECT 1 FROM audit_events AS a WHERE a.tenant_id = ?1 AND a.id = ?11) ON CONFLICT DO NOTHING";
const REVOKE: &str = "UPDATE signing_keys SET revoked_at = ?3 WHERE tenant_id = ?1 AND kid = ?2 AND revoked_at IS NULL \
     AND EXISTS (SELECT 1 FROM audit_events AS a WHERE a.tenant_id = ?1 AND a.id = ?4)";
const PROMOTE: &str = "UPDATE signing_keys SET activates_at = ?3 WHERE tenant_id = ?1 AND kid = ?2 AND revoked_at IS NULL \
     AND activates_at > ?3 AND EXISTS (SELECT 1 FROM audit_events AS a WHERE a.tenant_id = ?1 AND a.id = ?4)";
const REVOKE_ALL: &str = "UPDATE signing_keys SET revoked_at = ?2 WHERE tenant_id = ?1 AND revoked_at IS NULL \
     AND EXISTS (SELECT 1 FROM audit_events AS a WHERE a.tenant_id = ?1 AND a.id = ?3) \
     AND EXISTS (SELECT 1 FROM tenants AS t WHERE t.id = ?1 AND t.version = ?4)";

const STANDING: &str = "SELECT kid FROM signing_keys WHERE tenant_id = ?1 AND kid = ?2 AND revoked_at IS NULL";

pub const STATEMENTS: &[&str] = &[OF_LOCATOR, OF_TENANT, STANDING, INSERT, INSERT_IF, REVOKE, PROMOTE, REVOKE_ALL];

/// One row of `signing_keys`; also part of the KV copy.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct KeyRow {
    pub alg: Alg,
    pub region: String,
    pub ordinal: i64,
    pub kid: String,
    /// JSON of the public JWK (RFC 7517) with `kid`, `alg` and `use`.
    pub public_jwk: String,
    pub wrapped_private: String,
    pub published_at: UnixTime,
    pub activates_at: UnixTime,
    pub revoked_at: Option<UnixTime>,
}

/// A row that this build cannot use: of an algorithm that it does not know, or damaged. It is left alone; its place is taken.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct UnreadableKey {
    pub alg: String,
    pub region: String,
    pub ordinal: i64,
}

/// What is to be made of a row.
pub enum Read {
    Key(KeyRow),
    Unreadable(UnreadableKey),
}

impl KeyRow {
    /// One row that does not decode must not take the others with it.
    pub fn read(row: &Row) -> Result<Read, Fault> {
        let (alg, region, ordinal) = (row.text(0)?, row.text(1)?, row.integer(2)?);
        let Some(known) = Alg::from_name(&alg) else {
            return Ok(Read::Unreadable(UnreadableKey { alg, region, ordinal }));
        };
        Ok(Read::Key(Self {
            alg: known,
            region,
            ordinal,
            kid: row.text(3)?,
            public_jwk: row.text(4)?,
            wrapped_private: row.text(5)?,
            published_at: row.time(6)?,
            activates_at: row.time(7)?,
            revoked_at: row.optional_time(8)?,
        }))
    }

    /// The place that it takes.
    #[must_use]
    pub fn taken(&self) -> Taken<'_> {
        Taken { alg: self.alg.as_str(), region: &self.region, ordinal: self.ordinal }
    }

    #[must_use]
    pub fn unreadable(&self) -> UnreadableKey {
        UnreadableKey { alg: self.alg.as_str().to_owned(), region: self.region.clone(), ordinal: self.ordinal }
    }
}

impl UnreadableKey {
    #[must_use]
    pub fn taken(&self) -> Taken<'_> {
        Taken { alg: &self.alg, region: &self.region, ordinal: self.ordinal }
    }
}

impl std::fmt::Display for UnreadableKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the {} key of ordinal {}", self.alg, self.ordinal)?;
        if self.region.is_empty() { Ok(()) } else { write!(f, " of region {}", self.region) }
    }
}

/// Sorts rows into those that this build reads and those that it does not.
pub fn read_all(rows: &[Row]) -> Result<(Vec<KeyRow>, Vec<UnreadableKey>), Fault> {
    let (mut keys, mut unreadable) = (Vec::new(), Vec::new());
    for row in rows {
        match KeyRow::read(row)? {
            Read::Key(key) => keys.push(key),
            Read::Unreadable(key) => unreadable.push(key),
        }
    }
    Ok((keys, unreadable))
}

#[must_use]
pub fn of_locator(locator: &str) -> Statement {
    Statement::new(OF_LOCATOR, vec![locator.into()])
}

#[must_use]
pub fn of_tenant(tenant_id: &str) -> Statement {
    Statement::new(OF_TENANT, vec![tenant_id.into()])
}

/// Answers a row when the key is there and not revoked.
#[must_use]
pub fn standing(tenant_id: &str, kid: &str) -> Statement {
    Statement::new(STANDING, vec![tenant_id.into(), kid.into()])
}

/// One winner per `(tenant, alg, region, ordinal)`: whoever comes second changes nothing. Nor does who wrapped the key under a
/// master that is no longer the tenant's.
#[must_use]
pub fn insert(tenant_id: &str, wrapped_master: &str, key: &KeyRow) -> Statement {
    let sql = if planted(Plant::KeyExplosion) {
        "INSERT INTO signing_keys (tenant_id, alg, region, ordinal, kid, public_jwk, \
         wrapped_private, published_at, activates_at, revoked_at) SELECT id, ?2, ?3, (SELECT max(coalesce(max(k.ordinal), 0) + 1, ?4) \
         FROM signing_keys AS k WHERE k.tenant_id = ?1 AND k.alg = ?2 AND k.region = ?3), ?5, ?6, ?7, ?8, ?9, NULL \
         FROM tenants WHERE id = ?1 AND wrapped_master = ?10"
    } else {
        INSERT
    };
    Statement::new(sql, insert_parameters(tenant_id, wrapped_master, key))
}

/// As [`insert`], when the audit row `decision` says so.
#[must_use]
pub fn insert_if(tenant_id: &str, wrapped_master: &str, key: &KeyRow, decision: &str) -> Statement {
    let mut parameters = insert_parameters(tenant_id, wrapped_master, key);
    parameters.push(decision.into());
    Statement::new(INSERT_IF, parameters)
}

fn insert_parameters(tenant_id: &str, wrapped_master: &str, key: &KeyRow) -> Vec<crate::platform::Value> {
    vec![
        tenant_id.into(),
        key.alg.as_str().into(),
        key.region.as_str().into(),
        key.ordinal.into(),
        key.kid.as_str().into(),
        key.public_jwk.as_str().into(),
        key.wrapped_private.as_str().into(),
        key.published_at.into(),
        key.activates_at.into(),
        wrapped_master.into(),
    ]
}

/// Revokes a key, when the audit row `decision` says so.
#[must_use]
pub fn revoke(tenant_id: &str, kid: &str, now: UnixTime, decision: &str) -> Statement {
    Statement::new(REVOKE, vec![tenant_id.into(), kid.into(), now.into(), decision.into()])
}

/// Has a standby sign from `activates_at` on, when the audit row `decision` says so.
#[must_use]
pub fn promote(tenant_id: &str, kid: &str, activates_at: UnixTime, decision: &str) -> Statement {
    Statement::new(PROMOTE, vec![tenant_id.into(), kid.into(), activates_at.into(), decision.into()])
}

/// Revokes every key of a tenant that is as it was read, when the audit row `decision` says so.
#[must_use]
pub fn revoke_all(tenant: &TenantRow, now: UnixTime, decision: &str) -> Statement {
    Statement::new(REVOKE_ALL, vec![tenant.id.as_str().into(), now.into(), decision.into(), tenant.version.into()])
}
