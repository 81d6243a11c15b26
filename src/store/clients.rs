//! Clients. A client's secret is 256 random bits kept as SHA-256; it is compared inside the batch that acts
//! (`secret_hash IS ?`), so that rotation takes effect at once. `IS` also holds for a public client that presents none.

use crate::oauth::client_metadata::ClientMetadata;
use crate::plant::{Plant, planted};
use crate::platform::{Fault, Row, Statement, UnixTime};

const BY_ID: &str = "SELECT c.id, c.secret_hash, c.registration_token_hash, c.metadata, c.operator, c.resource_server, \
     c.demo_redirects, c.access_token_lifetime, c.created_at, c.updated_at, c.disabled_at \
     FROM clients AS c JOIN tenants AS t ON t.id = c.tenant_id AND t.disabled_at IS NULL WHERE c.tenant_id = ?1 AND c.id = ?2";
const OF_ANY_TENANT: &str = "SELECT id, secret_hash, registration_token_hash, metadata, operator, resource_server, demo_redirects, \
     access_token_lifetime, created_at, updated_at, disabled_at FROM clients WHERE tenant_id = ?1 AND id = ?2";
const PAGE: &str = "SELECT id, secret_hash, registration_token_hash, metadata, operator, resource_server, demo_redirects, \
     access_token_lifetime, created_at, updated_at, disabled_at FROM clients WHERE tenant_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
const INSERT: &str = "INSERT INTO clients (tenant_id, id, secret_hash, registration_token_hash, metadata, operator, \
     resource_server, demo_redirects, access_token_lifetime, created_at, updated_at, disabled_at) \
     SELECT id, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10, ?11 FROM tenants WHERE id = ?1 ON CONFLICT DO NOTHING";
const REGISTER: &str = "INSERT INTO clients (tenant_id, id, secret_hash, registration_token_hash, metadata, operator, \
     resource_server, demo_redirects, access_token_lifetime, created_at, updated_at, disabled_at) \
     SELECT id, ?2, ?3, ?4, ?5, 0, 0, 0, NULL, ?6, ?6, NULL FROM tenants WHERE id = ?1 AND registration = 'open' \
     ON CONFLICT DO NOTHING";
const UPDATE: &str = "UPDATE clients SET metadata = ?3, resource_server = ?4, demo_redirects = ?5, \
     access_token_lifetime = ?6, updated_at = ?7, disabled_at = ?8, secret_hash = ?9, registration_token_hash = ?12 \
     WHERE tenant_id = ?1 AND id = ?2 AND updated_at = ?10 \
     AND EXISTS (SELECT 1 FROM audit_events AS a WHERE a.tenant_id = ?1 AND a.id = ?11)";
const DELETE: &str = "DELETE FROM clients WHERE tenant_id = ?1 AND id = ?2 AND operator = 0 \
     AND EXISTS (SELECT 1 FROM audit_events AS a WHERE a.tenant_id = ?1 AND a.id = ?3)";

pub const STATEMENTS: &[&str] = &[BY_ID, OF_ANY_TENANT, PAGE, INSERT, REGISTER, UPDATE, DELETE];

/// One row of `clients`.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientRow {
    pub id: String,
    /// `None` for public clients.
    pub secret_hash: Option<String>,
    /// `None` for clients that an operator made.
    pub registration_token_hash: Option<String>,
    pub metadata: ClientMetadata,
    /// May use the management API (design.md §7). No request can set it.
    pub operator: bool,
    /// May introspect access tokens of other clients.
    pub resource_server: bool,
    /// In the demo only: any http redirect URI on 127.0.0.1 or localhost.
    pub demo_redirects: bool,
    /// Seconds; the default of the tenant when absent.
    pub access_token_lifetime: Option<i64>,
    pub created_at: UnixTime,
    pub updated_at: UnixTime,
    pub disabled_at: Option<UnixTime>,
}

impl ClientRow {
    pub fn from_row(row: &Row) -> Result<Self, Fault> {
        Ok(Self {
            id: row.text(0)?,
            secret_hash: row.optional_text(1)?,
            registration_token_hash: row.optional_text(2)?,
            metadata: row.json(3)?,
            operator: row.flag(4)?,
            resource_server: row.flag(5)?,
            demo_redirects: row.flag(6)?,
            access_token_lifetime: row.optional_integer(7)?,
            created_at: row.time(8)?,
            updated_at: row.time(9)?,
            disabled_at: row.optional_time(10)?,
        })
    }
}

/// A client, unless its tenant is disabled: copies of tenants may not know that yet.
#[must_use]
pub fn by_id(tenant_id: &str, id: &str) -> Statement {
    let sql = if planted(Plant::StatementWithoutTenant) {
        "SELECT id, secret_hash, registration_token_hash, metadata, \
         operator, resource_server, demo_redirects, access_token_lifetime, created_at, updated_at, disabled_at \
         FROM clients WHERE ?1 <> '' AND id = ?2"
    } else {
        BY_ID
    };
    Statement::new(sql, vec![tenant_id.into(), id.into()])
}

/// A client for those who manage it, whether its tenant is disabled or not.
#[must_use]
pub fn of_any_tenant(tenant_id: &str, id: &str) -> Statement {
    Statement::new(OF_ANY_TENANT, vec![tenant_id.into(), id.into()])
}

#[must_use]
pub fn page(tenant_id: &str, after: &str, limit: i64) -> Statement {
    Statement::new(PAGE, vec![tenant_id.into(), after.into(), limit.into()])
}

/// Made by an operator or by set-up.
#[must_use]
pub fn insert(tenant_id: &str, client: &ClientRow) -> Statement {
    Statement::new(
        INSERT,
        vec![
            tenant_id.into(),
            client.id.as_str().into(),
            client.secret_hash.clone().into(),
            client.registration_token_hash.clone().into(),
            client.metadata.to_json().into(),
            client.operator.into(),
            client.resource_server.into(),
            client.demo_redirects.into(),
            client.access_token_lifetime.into(),
            client.created_at.into(),
            client.disabled_at.into(),
        ],
    )
}

/// Registered by itself (RFC 7591): only while the tenant's registration is open. No column of trust is reachable.
#[must_use]
pub fn register(tenant_id: &str, client: &ClientRow) -> Statement {
    Statement::new(
        REGISTER,
        vec![
            tenant_id.into(),
            client.id.as_str().into(),
            client.secret_hash.clone().into(),
            client.registration_token_hash.clone().into(),
            client.metadata.to_json().into(),
            client.created_at.into(),
        ],
    )
}

/// Changes a client that is as it was at `before`, when the audit row `decision` says so.
#[must_use]
pub fn update(tenant_id: &str, client: &ClientRow, before: UnixTime, decision: &str) -> Statement {
    Statement::new(
        UPDATE,
        vec![
            tenant_id.into(),
            client.id.as_str().into(),
            client.metadata.to_json().into(),
            client.resource_server.into(),
            client.demo_redirects.into(),
            client.access_token_lifetime.into(),
            client.updated_at.into(),
            client.disabled_at.into(),
            client.secret_hash.clone().into(),
            before.into(),
            decision.into(),
            client.registration_token_hash.clone().into(),
        ],
    )
}

/// Deletes a client that is no operator's, when the audit row `decision` says so. Consents and grants go with it.
#[must_use]
pub fn delete(tenant_id: &str, id: &str, decision: &str) -> Statement {
    Statement::new(DELETE, vec![tenant_id.into(), id.into(), decision.into()])
}
