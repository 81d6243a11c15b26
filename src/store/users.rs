//! People and their credentials.

use crate::platform::{Fault, Row, Statement, UnixTime};

const BY_ID: &str = "SELECT id, username, username_folded, claims, administrator, created_at, updated_at, disabled_at \
     FROM users WHERE tenant_id = ?1 AND id = ?2";
const PAGE: &str = "SELECT id, username, username_folded, claims, administrator, created_at, updated_at, disabled_at \
     FROM users WHERE tenant_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
const FOR_SIGN_IN: &str = "SELECT u.id, u.disabled_at, c.secret FROM users AS u JOIN credentials AS c \
     ON c.tenant_id = u.tenant_id AND c.user_id = u.id AND c.kind = 'password' \
     WHERE u.tenant_id = ?1 AND u.username_folded = ?2";
const INSERT: &str = "INSERT INTO users \
     (tenant_id, id, username, username_folded, claims, administrator, created_at, updated_at, disabled_at) \
     SELECT id, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8 FROM tenants WHERE id = ?1 ON CONFLICT DO NOTHING";
const UPDATE: &str = "UPDATE users SET username = ?3, username_folded = ?4, claims = ?5, administrator = ?6, \
     updated_at = ?7, disabled_at = ?8 WHERE tenant_id = ?1 AND id = ?2 AND updated_at = ?9 \
     AND EXISTS (SELECT 1 FROM audit_events AS a WHERE a.tenant_id = ?1 AND a.id = ?10)";
const DELETE: &str = "DELETE FROM users WHERE tenant_id = ?1 AND id = ?2 \
     AND EXISTS (SELECT 1 FROM audit_events AS a WHERE a.tenant_id = ?1 AND a.id = ?3)";
const SET_PASSWORD: &str = "INSERT INTO credentials (tenant_id, user_id, kind, id, secret, created_at) \
     SELECT tenant_id, id, 'password', 'password', ?3, ?4 FROM users WHERE tenant_id = ?1 AND id = ?2 AND updated_at = ?4 \
     ON CONFLICT (tenant_id, user_id, kind, id) DO UPDATE SET secret = excluded.secret, created_at = excluded.created_at";
const CHANGE_PASSWORD: &str = "INSERT INTO credentials (tenant_id, user_id, kind, id, secret, created_at) \
     SELECT tenant_id, id, 'password', 'password', ?3, ?4 FROM users WHERE tenant_id = ?1 AND id = ?2 AND updated_at = ?4 \
     AND EXISTS (SELECT 1 FROM audit_events AS a WHERE a.tenant_id = ?1 AND a.id = ?5) \
     ON CONFLICT (tenant_id, user_id, kind, id) DO UPDATE SET secret = excluded.secret, created_at = excluded.created_at";

pub const STATEMENTS: &[&str] = &[BY_ID, PAGE, FOR_SIGN_IN, INSERT, UPDATE, DELETE, SET_PASSWORD, CHANGE_PASSWORD];

/// One row of `users`.
#[derive(Clone, Debug, PartialEq)]
pub struct UserRow {
    pub id: String,
    pub username: String,
    pub username_folded: String,
    /// Standard claims (OpenID Connect Core §5.1) except `sub` and `updated_at`.
    pub claims: serde_json::Map<String, serde_json::Value>,
    pub administrator: bool,
    pub created_at: UnixTime,
    pub updated_at: UnixTime,
    pub disabled_at: Option<UnixTime>,
}

impl UserRow {
    pub fn from_row(row: &Row) -> Result<Self, Fault> {
        Ok(Self {
            id: row.text(0)?,
            username: row.text(1)?,
            username_folded: row.text(2)?,
            claims: row.json(3)?,
            administrator: row.flag(4)?,
            created_at: row.time(5)?,
            updated_at: row.time(6)?,
            disabled_at: row.optional_time(7)?,
        })
    }
}

/// The form of a username that has to be unique: lower case, so that `Alice` and `alice` are one person.
#[must_use]
pub fn fold_username(username: &str) -> String {
    username.trim().to_lowercase()
}

/// What signing in with a password needs.
#[derive(Clone, Debug)]
pub struct SignInRow {
    pub user_id: String,
    pub disabled: bool,
    pub password_hash: String,
}

impl SignInRow {
    pub fn from_row(row: &Row) -> Result<Self, Fault> {
        Ok(Self { user_id: row.text(0)?, disabled: row.optional_time(1)?.is_some(), password_hash: row.text(2)? })
    }
}

#[must_use]
pub fn by_id(tenant_id: &str, id: &str) -> Statement {
    Statement::new(BY_ID, vec![tenant_id.into(), id.into()])
}

#[must_use]
pub fn page(tenant_id: &str, after: &str, limit: i64) -> Statement {
    Statement::new(PAGE, vec![tenant_id.into(), after.into(), limit.into()])
}

#[must_use]
pub fn for_sign_in(tenant_id: &str, username: &str) -> Statement {
    Statement::new(FOR_SIGN_IN, vec![tenant_id.into(), fold_username(username).into()])
}

/// Nothing happens when the username is taken.
#[must_use]
pub fn insert(tenant_id: &str, user: &UserRow) -> Statement {
    Statement::new(
        INSERT,
        vec![
            tenant_id.into(),
            user.id.as_str().into(),
            user.username.as_str().into(),
            user.username_folded.as_str().into(),
            claims_json(user).into(),
            user.administrator.into(),
            user.created_at.into(),
            user.disabled_at.into(),
        ],
    )
}

/// Changes a user who is as they were at `before`, when the audit row `decision` says so.
#[must_use]
pub fn update(tenant_id: &str, user: &UserRow, before: UnixTime, decision: &str) -> Statement {
    Statement::new(
        UPDATE,
        vec![
            tenant_id.into(),
            user.id.as_str().into(),
            user.username.as_str().into(),
            user.username_folded.as_str().into(),
            claims_json(user).into(),
            user.administrator.into(),
            user.updated_at.into(),
            user.disabled_at.into(),
            before.into(),
            decision.into(),
        ],
    )
}

/// Deletes a user, when the audit row `decision` says so. Credentials, sessions, consents and grants go with them.
#[must_use]
pub fn delete(tenant_id: &str, id: &str, decision: &str) -> Statement {
    Statement::new(DELETE, vec![tenant_id.into(), id.into(), decision.into()])
}

/// Gives a user who is as they were made a password.
#[must_use]
pub fn set_password(tenant_id: &str, user: &UserRow, password_hash: &str) -> Statement {
    let parameters = vec![tenant_id.into(), user.id.as_str().into(), password_hash.into(), user.updated_at.into()];
    Statement::new(SET_PASSWORD, parameters)
}

/// As [`set_password`], when the audit row `decision` says so and the user is as this change made them: a batch that is sent
/// again must not put an old password over a newer one.
#[must_use]
pub fn change_password(tenant_id: &str, user: &UserRow, password_hash: &str, decision: &str) -> Statement {
    Statement::new(
        CHANGE_PASSWORD,
        vec![tenant_id.into(), user.id.as_str().into(), password_hash.into(), user.updated_at.into(), decision.into()],
    )
}

fn claims_json(user: &UserRow) -> String {
    serde_json::Value::Object(user.claims.clone()).to_string()
}
