//! The audit: one row for each thing that somebody will want to know of later. No secret, no token, no session id in it.
//!
//! Where an operator or a client changes something, its audit row decides: it is written first, under the conditions of the
//! change ([`insert_if`]), what follows in the batch happens only if the row is there, and the last statement asks for it
//! ([`recorded`]). (What is new comes before its row, under its own conditions, and the row's is that it is there.) So the
//! change and its record are one, and a batch that is sent again because its answer was lost recognises itself.

use crate::platform::{Statement, UnixTime, Value};

/// Writes a row (`?1` to `?10`) when the rows that are named here are there.
macro_rules! insert_when {
    ($rows:literal) => {
        concat!(
            "INSERT INTO audit_events (tenant_id, id, at, event, actor, user_id, client_id, address, request_id, detail) ",
            "SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 FROM ",
            $rows,
            " ON CONFLICT DO NOTHING"
        )
    };
}

const INSERT: &str = insert_when!("tenants WHERE id = ?1");
const IF_TENANT_UNCHANGED: &str = insert_when!("tenants WHERE id = ?1 AND version = ?11");
const IF_USER: &str = insert_when!("users WHERE tenant_id = ?1 AND id = ?6");
const IF_USER_UNCHANGED: &str = insert_when!(
    "users AS u WHERE u.tenant_id = ?1 AND u.id = ?6 AND u.updated_at = ?11 AND NOT EXISTS \
     (SELECT 1 FROM users AS other WHERE other.tenant_id = ?1 AND other.username_folded = ?12 AND other.id <> ?6)"
);
const IF_CLIENT: &str = insert_when!("clients WHERE tenant_id = ?1 AND id = ?7 AND operator = 0");
const IF_CLIENT_UNCHANGED: &str = insert_when!("clients WHERE tenant_id = ?1 AND id = ?7 AND updated_at = ?11");
const IF_SESSION: &str = insert_when!("sessions WHERE tenant_id = ?1 AND id = ?11");
const IF_CONSENT: &str =
    insert_when!("consents WHERE tenant_id = ?1 AND user_id = ?6 AND client_id = ?7 AND granted_at = ?11");
const IF_KEY: &str = insert_when!("signing_keys WHERE tenant_id = ?1 AND kid = ?11");
const IF_KEY_NOT_REVOKED: &str = insert_when!("signing_keys WHERE tenant_id = ?1 AND kid = ?11 AND revoked_at IS NULL");
const IF_KEY_AND_HEIR: &str = insert_when!(
    "signing_keys AS k WHERE k.tenant_id = ?1 AND k.kid = ?11 AND k.revoked_at IS NULL AND EXISTS \
     (SELECT 1 FROM signing_keys AS h WHERE h.tenant_id = ?1 AND h.kid = ?12 AND h.revoked_at IS NULL)"
);
const IF_RESTORING: &str =
    insert_when!("tenants WHERE id = ?1 AND EXISTS (SELECT 1 FROM used_tickets WHERE used_tickets.id = ?11)");
const RECORDED: &str = "SELECT id FROM audit_events WHERE tenant_id = ?1 AND id = ?2";

pub const STATEMENTS: &[&str] = &[
    INSERT,
    IF_TENANT_UNCHANGED,
    IF_USER,
    IF_USER_UNCHANGED,
    IF_CLIENT,
    IF_CLIENT_UNCHANGED,
    IF_SESSION,
    IF_CONSENT,
    IF_KEY,
    IF_KEY_NOT_REVOKED,
    IF_KEY_AND_HEIR,
    IF_RESTORING,
    RECORDED,
];

/// What happened. Names are `subject.verb`. Those of grants and tokens stand in the statements that find out what it was
/// (`grant.issued`, `code.replayed`, `grant.refreshed`, `refresh_token.reused`, `grant.revoked`, `token.revoked`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    SetUp,
    BackedUp,
    Restored,
    SignedIn,
    SignInFailed,
    SignInThrottled,
    SignedOut,
    ConsentGranted,
    ConsentDenied,
    ClientRegistered,
    ClientCreated,
    ClientChanged,
    ClientDeleted,
    ClientSecretRotated,
    UserCreated,
    UserChanged,
    UserDeleted,
    TenantCreated,
    TenantChanged,
    KeyPublished,
    KeyRevoked,
    MasterRewrapped,
    MasterReplaced,
}

impl Event {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SetUp => "deployment.set_up",
            Self::BackedUp => "deployment.backed_up",
            Self::Restored => "deployment.restored",
            Self::SignedIn => "user.signed_in",
            Self::SignInFailed => "user.sign_in_failed",
            Self::SignInThrottled => "user.sign_in_throttled",
            Self::SignedOut => "user.signed_out",
            Self::ConsentGranted => "consent.granted",
            Self::ConsentDenied => "consent.denied",
            Self::ClientRegistered => "client.registered",
            Self::ClientCreated => "client.created",
            Self::ClientChanged => "client.changed",
            Self::ClientDeleted => "client.deleted",
            Self::ClientSecretRotated => "client.secret_rotated",
            Self::UserCreated => "user.created",
            Self::UserChanged => "user.changed",
            Self::UserDeleted => "user.deleted",
            Self::TenantCreated => "tenant.created",
            Self::TenantChanged => "tenant.changed",
            Self::KeyPublished => "key.published",
            Self::KeyRevoked => "key.revoked",
            Self::MasterRewrapped => "master.rewrapped",
            Self::MasterReplaced => "master.replaced",
        }
    }
}

/// One audit row. `id` is random, or an attempt id where a batch may be repeated.
#[derive(Clone, Debug)]
pub struct AuditRow<'a> {
    pub id: String,
    pub at: UnixTime,
    pub event: Event,
    /// The client or user that acted, where it is not the subject itself.
    pub actor: Option<&'a str>,
    pub user_id: Option<&'a str>,
    pub client_id: Option<&'a str>,
    pub address: Option<&'a str>,
    pub request_id: &'a str,
    pub detail: Option<String>,
}

/// When a change may happen, and its audit row be written. The subject is the row's `user_id` or `client_id`.
#[derive(Clone, Copy, Debug)]
pub enum Condition<'a> {
    /// The tenant is there.
    Tenant,
    /// The tenant is as it was when this version was read.
    TenantUnchanged { version: i64 },
    /// The user is there.
    User,
    /// The user is as they were when they were read, and nobody else has the username that they are to have.
    UserUnchanged { updated_at: UnixTime, username_folded: &'a str },
    /// The client is there and is not an operator client.
    Client,
    /// The client is as it was when it was read.
    ClientUnchanged { updated_at: UnixTime },
    /// The session is there.
    Session { id: &'a str },
    /// The user's consent to the client is of this moment.
    Consent { granted_at: UnixTime },
    /// The signing key is there.
    Key { kid: &'a str },
    /// The signing key is there and not revoked.
    KeyNotRevoked { kid: &'a str },
    /// So are the signing key and the one that is to take over from it.
    KeyAndHeir { kid: &'a str, heir: &'a str },
    /// The tenant is there, and the restore of this marker is under way.
    Restoring { marker: &'a str },
}

#[must_use]
pub fn insert(tenant_id: &str, row: AuditRow<'_>) -> Statement {
    Statement::new(INSERT, parameters(tenant_id, row))
}

/// Writes the row under a condition.
#[must_use]
pub fn insert_if(tenant_id: &str, row: AuditRow<'_>, condition: Condition<'_>) -> Statement {
    let mut parameters = parameters(tenant_id, row);
    let sql = match condition {
        Condition::Tenant => INSERT,
        Condition::TenantUnchanged { version } => {
            parameters.push(version.into());
            IF_TENANT_UNCHANGED
        }
        Condition::User => IF_USER,
        Condition::UserUnchanged { updated_at, username_folded } => {
            parameters.extend([updated_at.into(), username_folded.into()]);
            IF_USER_UNCHANGED
        }
        Condition::Client => IF_CLIENT,
        Condition::ClientUnchanged { updated_at } => {
            parameters.push(updated_at.into());
            IF_CLIENT_UNCHANGED
        }
        Condition::Session { id } => {
            parameters.push(id.into());
            IF_SESSION
        }
        Condition::Consent { granted_at } => {
            parameters.push(granted_at.into());
            IF_CONSENT
        }
        Condition::Key { kid } => {
            parameters.push(kid.into());
            IF_KEY
        }
        Condition::KeyNotRevoked { kid } => {
            parameters.push(kid.into());
            IF_KEY_NOT_REVOKED
        }
        Condition::KeyAndHeir { kid, heir } => {
            parameters.extend([kid.into(), heir.into()]);
            IF_KEY_AND_HEIR
        }
        Condition::Restoring { marker } => {
            parameters.push(marker.into());
            IF_RESTORING
        }
    };
    Statement::new(sql, parameters)
}

/// Answers a row when there is an audit row of that id.
#[must_use]
pub fn recorded(tenant_id: &str, id: &str) -> Statement {
    Statement::new(RECORDED, vec![tenant_id.into(), id.into()])
}

fn parameters(tenant_id: &str, row: AuditRow<'_>) -> Vec<Value> {
    vec![
        tenant_id.into(),
        row.id.into(),
        row.at.into(),
        row.event.as_str().into(),
        text(row.actor),
        text(row.user_id),
        text(row.client_id),
        text(row.address),
        row.request_id.into(),
        row.detail.into(),
    ]
}

fn text(value: Option<&str>) -> Value {
    value.into()
}
