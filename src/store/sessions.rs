//! Sessions: one row a signed-in browser. The cookie is sealed, so a session's id is no secret (it is the `sid` claim).

use crate::platform::{Fault, Row, Statement, UnixTime};

use super::tenants::TenantRow;
use super::users::UserRow;

const WITH_USER: &str = "SELECT s.id, s.user_id, s.auth_time, s.seen_at, s.expires_at, s.amr, s.acr, s.answered_request, \
     s.ended_at, u.username, u.disabled_at AS user_disabled_at FROM sessions AS s JOIN users AS u ON u.tenant_id = s.tenant_id AND u.id = s.user_id \
     WHERE s.tenant_id = ?1 AND s.id = ?2";
const INSERT: &str = "INSERT INTO sessions \
     (tenant_id, id, user_id, created_at, auth_time, seen_at, expires_at, amr, acr, answered_request, ended_at) \
     SELECT u.tenant_id, ?2, u.id, ?4, ?4, ?4, ?5, ?6, ?7, ?8, NULL FROM users AS u JOIN credentials AS c \
     ON c.tenant_id = u.tenant_id AND c.user_id = u.id AND c.kind = 'password' AND c.secret = ?9 \
     WHERE u.tenant_id = ?1 AND u.id = ?3 AND u.disabled_at IS NULL ON CONFLICT DO NOTHING RETURNING id";
const TOUCH: &str =
    "UPDATE sessions SET seen_at = ?3 WHERE tenant_id = ?1 AND id = ?2 AND ended_at IS NULL AND seen_at < ?3";
const SPEND_ANSWER: &str = "UPDATE sessions SET answered_request = '' \
     WHERE tenant_id = ?1 AND id = ?2 AND answered_request = ?3";
const END: &str =
    "UPDATE sessions SET ended_at = ?3 WHERE tenant_id = ?1 AND id = ?2 AND ended_at IS NULL RETURNING user_id";
const END_ALL: &str = "UPDATE sessions SET ended_at = ?3 WHERE tenant_id = ?1 AND user_id = ?2 AND ended_at IS NULL \
     AND EXISTS (SELECT 1 FROM audit_events AS a WHERE a.tenant_id = ?1 AND a.id = ?4) \
     AND EXISTS (SELECT 1 FROM users AS u WHERE u.tenant_id = ?1 AND u.id = ?2 AND u.updated_at = ?3)";

const END_OF_TENANT: &str = "UPDATE sessions SET ended_at = ?2 WHERE tenant_id = ?1 AND ended_at IS NULL \
     AND EXISTS (SELECT 1 FROM audit_events AS a WHERE a.tenant_id = ?1 AND a.id = ?3) \
     AND EXISTS (SELECT 1 FROM tenants AS t WHERE t.id = ?1 AND t.version = ?4)";

pub const STATEMENTS: &[&str] = &[WITH_USER, INSERT, TOUCH, SPEND_ANSWER, END, END_ALL, END_OF_TENANT];

/// Seconds without a request after which a session is over.
pub const IDLE_LIFETIME: i64 = 24 * 3600;
/// Seconds after signing in after which a session is over, used or not.
pub const ABSOLUTE_LIFETIME: i64 = 14 * 24 * 3600;
/// A session in use is touched at most this often, in seconds.
pub const TOUCH_INTERVAL: i64 = 300;

/// A session with what its user's row says.
#[derive(Clone, Debug)]
pub struct SessionRow {
    pub id: String,
    pub user_id: String,
    pub auth_time: UnixTime,
    pub seen_at: UnixTime,
    pub expires_at: UnixTime,
    /// Space-separated (RFC 8176 values).
    pub amr: String,
    pub acr: String,
    pub answered_request: String,
    pub ended_at: Option<UnixTime>,
    pub username: String,
    pub user_disabled: bool,
}

impl SessionRow {
    pub fn from_row(row: &Row) -> Result<Self, Fault> {
        Ok(Self {
            id: row.text(0)?,
            user_id: row.text(1)?,
            auth_time: row.time(2)?,
            seen_at: row.time(3)?,
            expires_at: row.time(4)?,
            amr: row.text(5)?,
            acr: row.text(6)?,
            answered_request: row.text(7)?,
            ended_at: row.optional_time(8)?,
            username: row.text(9)?,
            user_disabled: row.optional_time(10)?.is_some(),
        })
    }

    /// Whether the person counts as signed in.
    #[must_use]
    pub fn is_live(&self, now: UnixTime) -> bool {
        self.ended_at.is_none()
            && !self.user_disabled
            && now < self.expires_at
            && now.since(self.seen_at) < IDLE_LIFETIME
    }
}

#[must_use]
pub fn with_user(tenant_id: &str, id: &str) -> Statement {
    Statement::new(WITH_USER, vec![tenant_id.into(), id.into()])
}

/// A session that begins.
#[derive(Clone, Debug)]
pub struct NewSession<'a> {
    pub id: &'a str,
    pub user_id: &'a str,
    pub now: UnixTime,
    pub amr: &'a str,
    pub acr: &'a str,
    pub answered_request: &'a str,
    /// The hash that the password was verified against.
    pub password_hash: &'a str,
}

/// Answers a row when the user is there and not disabled, and the password is still the one that was verified.
#[must_use]
pub fn insert(tenant_id: &str, session: &NewSession<'_>) -> Statement {
    Statement::new(
        INSERT,
        vec![
            tenant_id.into(),
            session.id.into(),
            session.user_id.into(),
            session.now.into(),
            session.now.plus(ABSOLUTE_LIFETIME).into(),
            session.amr.into(),
            session.acr.into(),
            session.answered_request.into(),
            session.password_hash.into(),
        ],
    )
}

#[must_use]
pub fn touch(tenant_id: &str, id: &str, now: UnixTime) -> Statement {
    Statement::new(TOUCH, vec![tenant_id.into(), id.into(), now.into()])
}

/// The sign-in for this request has served: going back to its pages does not make it a fresh one again.
#[must_use]
pub fn spend_answer(tenant_id: &str, id: &str, request: &str) -> Statement {
    Statement::new(SPEND_ANSWER, vec![tenant_id.into(), id.into(), request.into()])
}

/// Answers the `user_id` when this ended it.
#[must_use]
pub fn end(tenant_id: &str, id: &str, now: UnixTime) -> Statement {
    Statement::new(END, vec![tenant_id.into(), id.into(), now.into()])
}

/// Ends every session of a user who is as the change of the audit row `decision` made them.
#[must_use]
pub fn end_all(tenant_id: &str, user: &UserRow, decision: &str) -> Statement {
    let parameters = vec![tenant_id.into(), user.id.as_str().into(), user.updated_at.into(), decision.into()];
    Statement::new(END_ALL, parameters)
}

/// Ends every session of a tenant that is as it was read, when the audit row `decision` says so.
#[must_use]
pub fn end_of_tenant(tenant: &TenantRow, now: UnixTime, decision: &str) -> Statement {
    Statement::new(END_OF_TENANT, vec![tenant.id.as_str().into(), now.into(), decision.into(), tenant.version.into()])
}
