//! Tenants (issuers), and the tickets of set-up.

use crate::platform::{Fault, Row, Statement, UnixTime};

use super::keys::{self, KeyRow, UnreadableKey};

const SCHEMA: &str = "SELECT version FROM schema_version WHERE singleton = 1";
const BY_LOCATOR: &str = "SELECT id, issuer, locator, name, registration, wrapped_master, version, created_at, disabled_at, \
     regions, wrapped_pepper FROM tenants WHERE locator = ?1";
const BY_ID: &str = "SELECT id, issuer, locator, name, registration, wrapped_master, version, created_at, disabled_at, \
     regions, wrapped_pepper FROM tenants WHERE id = ?1";
const PAGE: &str = "SELECT id, issuer, locator, name, registration, wrapped_master, version, created_at, disabled_at, \
     regions, wrapped_pepper FROM tenants WHERE id > ?1 ORDER BY id LIMIT ?2";
const ANY: &str = "SELECT id, wrapped_master, regions FROM tenants LIMIT 1";
const INSERT: &str = "INSERT INTO tenants \
     (id, issuer, locator, name, registration, wrapped_master, version, created_at, disabled_at) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, NULL) ON CONFLICT DO NOTHING RETURNING id";
const INSERT_FIRST: &str = "INSERT INTO tenants \
     (id, issuer, locator, name, registration, wrapped_master, version, created_at, disabled_at) \
     SELECT ?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, NULL WHERE NOT EXISTS (SELECT 1 FROM tenants) ON CONFLICT DO NOTHING RETURNING id";
const USE_TICKET: &str = "INSERT INTO used_tickets (id, used_at) SELECT ?2, ?3 WHERE EXISTS \
     (SELECT 1 FROM tenants WHERE id = ?1) ON CONFLICT DO NOTHING";
const UPDATE: &str = "UPDATE tenants SET name = ?2, registration = ?3, disabled_at = ?4, regions = ?5, version = version + 1 \
     WHERE id = ?1 AND version = ?6 AND EXISTS (SELECT 1 FROM audit_events AS a WHERE a.tenant_id = ?1 AND a.id = ?7)";
const REWRAP_MASTER: &str = "UPDATE tenants SET wrapped_master = ?2, version = version + 1 WHERE id = ?1 AND version = ?3 \
     AND EXISTS (SELECT 1 FROM audit_events AS a WHERE a.tenant_id = ?1 AND a.id = ?4)";
const REPLACE_MASTER: &str = "UPDATE tenants SET wrapped_master = ?2, wrapped_pepper = ?3, version = version + 1 \
     WHERE id = ?1 AND version = ?4 \
     AND EXISTS (SELECT 1 FROM audit_events AS a WHERE a.tenant_id = ?1 AND a.id = ?5)";

pub const STATEMENTS: &[&str] =
    &[SCHEMA, BY_LOCATOR, BY_ID, PAGE, ANY, INSERT, INSERT_FIRST, USE_TICKET, UPDATE, REWRAP_MASTER, REPLACE_MASTER];

/// Who may register clients by themselves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    Open,
    Closed,
}

impl Registration {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "open" => Some(Self::Open),
            "closed" => Some(Self::Closed),
            _ => None,
        }
    }
}

/// One row of `tenants`; also part of the KV copy.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TenantRow {
    pub id: String,
    pub issuer: String,
    pub locator: String,
    pub name: String,
    pub registration: Registration,
    pub wrapped_master: String,
    pub version: i64,
    pub created_at: UnixTime,
    pub disabled_at: Option<UnixTime>,
    /// Regions that sign with keys of their own; none: every region signs with the common ones.
    pub regions: Vec<String>,
    /// `None`: the pepper derives from the master.
    pub wrapped_pepper: Option<String>,
}

/// The id in a row of tenants, whatever the rest of it is.
pub fn id_of(row: &Row) -> Result<String, Fault> {
    row.text(0)
}

impl TenantRow {
    pub fn from_row(row: &Row) -> Result<Self, Fault> {
        Ok(Self {
            id: row.text(0)?,
            issuer: row.text(1)?,
            locator: row.text(2)?,
            name: row.text(3)?,
            registration: Registration::from_name(&row.text(4)?)
                .ok_or_else(|| Fault::Undecodable("tenants.registration".to_owned()))?,
            wrapped_master: row.text(5)?,
            version: row.integer(6)?,
            created_at: row.time(7)?,
            disabled_at: row.optional_time(8)?,
            regions: row.json(9)?,
            wrapped_pepper: row.optional_text(10)?,
        })
    }
}

/// A tenant with its keys, as one batch reads it.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct TenantWithKeys {
    pub tenant: TenantRow,
    pub keys: Vec<KeyRow>,
    /// Rows of keys that this build cannot use.
    pub unreadable: Vec<UnreadableKey>,
}

/// Schema version, tenant and keys in one batch; read with [`loaded`].
#[must_use]
pub fn load(locator: &str) -> [Statement; 3] {
    [Statement::new(SCHEMA, vec![]), Statement::new(BY_LOCATOR, vec![locator.into()]), keys::of_locator(locator)]
}

/// What [`load`] answered; `None` when there is no such tenant.
pub fn loaded(answer: &crate::platform::Answer) -> Result<Option<TenantWithKeys>, Fault> {
    let found = super::first_row(answer, 0).map(|row| row.integer(0)).transpose()?.unwrap_or(0);
    if found < super::SCHEMA_VERSION {
        return Err(Fault::SchemaOld { found, needed: super::SCHEMA_VERSION });
    }
    let Some(row) = super::first_row(answer, 1) else { return Ok(None) };
    let tenant = TenantRow::from_row(row)?;
    let (keys, unreadable) = keys::read_all(super::all_rows(answer, 2))?;
    Ok(Some(TenantWithKeys { tenant, keys, unreadable }))
}

/// The schema's version, and some tenant if there is any (for set-up and health).
#[must_use]
pub fn survey() -> [Statement; 2] {
    [Statement::new(SCHEMA, vec![]), Statement::new(ANY, vec![])]
}

#[must_use]
pub fn by_id(id: &str) -> Statement {
    Statement::new(BY_ID, vec![id.into()])
}

/// Tenants in the order of their ids, after the one named.
#[must_use]
pub fn page(after: &str, limit: i64) -> Statement {
    Statement::new(PAGE, vec![after.into(), limit.into()])
}

fn insert_parameters(tenant: &TenantRow) -> Vec<crate::platform::Value> {
    vec![
        tenant.id.as_str().into(),
        tenant.issuer.as_str().into(),
        tenant.locator.as_str().into(),
        tenant.name.as_str().into(),
        tenant.registration.as_str().into(),
        tenant.wrapped_master.as_str().into(),
        tenant.created_at.into(),
    ]
}

/// A further tenant; nothing happens when its issuer or locator is taken.
#[must_use]
pub fn insert(tenant: &TenantRow) -> Statement {
    Statement::new(INSERT, insert_parameters(tenant))
}

/// The very first tenant; nothing happens when there is any. Whatever set-up inserts after it selects from this row, so the
/// whole of set-up happens once.
#[must_use]
pub fn insert_first(tenant: &TenantRow) -> Statement {
    Statement::new(INSERT_FIRST, insert_parameters(tenant))
}

#[must_use]
pub fn use_ticket(tenant_id: &str, ticket_id: &str, now: UnixTime) -> Statement {
    Statement::new(USE_TICKET, vec![tenant_id.into(), ticket_id.into(), now.into()])
}

/// Changes a tenant that still has the version of `tenant`, when the audit row `decision` says so, and gives it the next.
#[must_use]
pub fn update(tenant: &TenantRow, decision: &str) -> Statement {
    Statement::new(
        UPDATE,
        vec![
            tenant.id.as_str().into(),
            tenant.name.as_str().into(),
            tenant.registration.as_str().into(),
            tenant.disabled_at.into(),
            serde_json::to_string(&tenant.regions).unwrap_or_default().into(),
            tenant.version.into(),
            decision.into(),
        ],
    )
}

/// Wraps the same master anew, when the audit row `decision` says so.
#[must_use]
pub fn rewrap_master(tenant: &TenantRow, wrapped_master: &str, decision: &str) -> Statement {
    Statement::new(
        REWRAP_MASTER,
        vec![tenant.id.as_str().into(), wrapped_master.into(), tenant.version.into(), decision.into()],
    )
}

/// Gives a tenant another master, and keeps its pepper, when the audit row `decision` says so.
#[must_use]
pub fn replace_master(tenant: &TenantRow, wrapped_master: &str, wrapped_pepper: &str, decision: &str) -> Statement {
    Statement::new(
        REPLACE_MASTER,
        vec![
            tenant.id.as_str().into(),
            wrapped_master.into(),
            wrapped_pepper.into(),
            tenant.version.into(),
            decision.into(),
        ],
    )
}
