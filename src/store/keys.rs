//! Signing keys: public halves in clear, private halves wrapped under the tenant's master.

use crate::platform::{Alg, Fault, Row, Statement, UnixTime};

const OF_LOCATOR: &str = "SELECT k.alg, k.region, k.ordinal, k.kid, k.public_jwk, k.wrapped_private, k.published_at, \
     k.activates_at, k.revoked_at FROM tenants AS t JOIN signing_keys AS k ON k.tenant_id = t.id WHERE t.locator = ?1";
const INSERT: &str = "INSERT INTO signing_keys \
     (tenant_id, alg, region, ordinal, kid, public_jwk, wrapped_private, published_at, activates_at, revoked_at) \
     SELECT id, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, NULL FROM tenants WHERE id = ?1 ON CONFLICT DO NOTHING";

pub const STATEMENTS: &[&str] = &[OF_LOCATOR, INSERT];

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

impl KeyRow {
    pub fn from_row(row: &Row) -> Result<Self, Fault> {
        Ok(Self {
            alg: Alg::from_name(&row.text(0)?).ok_or_else(|| Fault::Undecodable("signing_keys.alg".to_owned()))?,
            region: row.text(1)?,
            ordinal: row.integer(2)?,
            kid: row.text(3)?,
            public_jwk: row.text(4)?,
            wrapped_private: row.text(5)?,
            published_at: row.time(6)?,
            activates_at: row.time(7)?,
            revoked_at: row.optional_time(8)?,
        })
    }
}

#[must_use]
pub fn of_locator(locator: &str) -> Statement {
    Statement::new(OF_LOCATOR, vec![locator.into()])
}

/// One winner per `(tenant, alg, region, ordinal)`: whoever comes second changes nothing.
#[must_use]
pub fn insert(tenant_id: &str, key: &KeyRow) -> Statement {
    Statement::new(
        INSERT,
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
        ],
    )
}
