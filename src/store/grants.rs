//! Grants: one row each, made when its code is redeemed (design.md §4). Redeeming and refreshing are one batch each; what must
//! happen at most once is decided by a condition in SQL, never by reading first.
//!
//! In every statement `secret_hash IS ?` is client authentication: the hash of the presented secret, or NULL when none was
//! presented, which matches public clients only.

use crate::oauth::client_metadata::ClientMetadata;
use crate::plant::{Plant, planted};
use crate::platform::{Answer, Fault, Row, Statement, UnixTime, Value};

use super::tenants::TenantRow;
use super::users::UserRow;

/// Redeeming a code of a session that is so, and what is done when it was redeemed before.
macro_rules! redeem {
    ($session:literal, $conflict:literal) => {
        concat!(
            "INSERT INTO grants (tenant_id, id, user_id, client_id, session_id, scope, claims, auth_time, acr, amr, \
     offline, redeemed_by, generation, rotated_at, rotated_by, created_at, expires_at, revoked_at) \
     SELECT c.tenant_id, ?2, u.id, c.id, s.id, ?7, ?8, ?9, ?10, ?11, ?12, ?13, 0, ?14, NULL, ?14, ?15, NULL \
     FROM clients AS c \
     JOIN tenants AS t ON t.id = c.tenant_id AND t.disabled_at IS NULL \
     JOIN users AS u ON u.tenant_id = c.tenant_id AND u.id = ?4 AND u.disabled_at IS NULL \
     JOIN sessions AS s ON s.tenant_id = c.tenant_id AND s.id = ?5 AND s.user_id = u.id",
            $session,
            " JOIN consents AS k ON k.tenant_id = c.tenant_id AND k.user_id = u.id AND k.client_id = c.id \
     WHERE c.tenant_id = ?1 AND c.id = ?3 AND c.disabled_at IS NULL AND c.secret_hash IS ?6 \
     ",
            $conflict
        )
    };
}

const REDEEM: &str = redeem!(" AND s.ended_at IS NULL", "ON CONFLICT DO NOTHING");
const END_REPLAYED: &str = "UPDATE grants SET revoked_at = ?5 WHERE tenant_id = ?1 AND id = ?2 AND client_id = ?3 \
     AND revoked_at IS NULL AND redeemed_by <> ?6 AND EXISTS (SELECT 1 FROM clients AS c \
     WHERE c.tenant_id = ?1 AND c.id = ?3 AND c.disabled_at IS NULL AND c.secret_hash IS ?4)";
const OUTCOME: &str = "SELECT c.secret_hash IS ?4 AS authenticated, c.disabled_at AS client_disabled_at, c.metadata, \
     c.access_token_lifetime, g.id, g.redeemed_by, g.revoked_at, g.generation, g.rotated_at, g.rotated_by, g.expires_at, \
     g.user_id, g.session_id, g.scope, g.claims AS claims_request, g.auth_time, g.acr, g.amr, g.offline, \
     u.claims AS user_claims, u.updated_at, k.granted_at AS consented_at \
     FROM clients AS c \
     JOIN tenants AS t ON t.id = c.tenant_id AND t.disabled_at IS NULL \
     LEFT JOIN grants AS g ON g.tenant_id = c.tenant_id AND g.id = ?2 AND g.client_id = c.id \
     LEFT JOIN users AS u ON u.tenant_id = g.tenant_id AND u.id = g.user_id AND u.disabled_at IS NULL \
     LEFT JOIN consents AS k ON k.tenant_id = g.tenant_id AND k.user_id = g.user_id AND k.client_id = g.client_id \
     WHERE c.tenant_id = ?1 AND c.id = ?3";
const AUDIT_REDEMPTION: &str = "INSERT INTO audit_events \
     (tenant_id, id, at, event, actor, user_id, client_id, address, request_id, detail) \
     SELECT g.tenant_id, ?5, ?6, CASE WHEN g.redeemed_by = ?5 THEN 'grant.issued' ELSE 'code.replayed' END, \
     NULL, g.user_id, g.client_id, ?7, ?8, NULL \
     FROM clients AS c JOIN grants AS g ON g.tenant_id = c.tenant_id AND g.id = ?2 AND g.client_id = c.id \
     WHERE c.tenant_id = ?1 AND c.id = ?3 AND c.disabled_at IS NULL AND c.secret_hash IS ?4 ON CONFLICT DO NOTHING";
const REFRESH: &str = "UPDATE grants SET generation = generation + 1, rotated_at = ?6, rotated_by = ?7, \
     settled = CASE WHEN rotated_at < ?8 THEN generation WHEN milestone_at < ?8 THEN milestone ELSE settled END, \
     milestone = CASE WHEN milestone_at < ?8 THEN generation + 1 ELSE milestone END, \
     milestone_at = CASE WHEN milestone_at < ?8 THEN ?6 ELSE milestone_at END \
     WHERE tenant_id = ?1 AND id = ?2 AND client_id = ?3 AND generation = ?5 AND offline = 1 AND revoked_at IS NULL \
     AND expires_at > ?6 \
     AND EXISTS (SELECT 1 FROM clients AS c JOIN tenants AS t ON t.id = c.tenant_id AND t.disabled_at IS NULL \
     WHERE c.tenant_id = ?1 AND c.id = ?3 AND c.disabled_at IS NULL AND c.secret_hash IS ?4) \
     AND EXISTS (SELECT 1 FROM users AS u WHERE u.tenant_id = ?1 AND u.id = grants.user_id AND u.disabled_at IS NULL) \
     AND EXISTS (SELECT 1 FROM consents AS k WHERE k.tenant_id = ?1 AND k.user_id = grants.user_id AND k.client_id = ?3)";
const END_REUSED: &str = "UPDATE grants SET revoked_at = ?6 WHERE tenant_id = ?1 AND id = ?2 AND client_id = ?3 \
     AND generation > ?5 AND revoked_at IS NULL AND rotated_by <> ?7 \
     AND (rotated_at < ?8 OR settled > ?5 OR (milestone > ?5 AND milestone_at < ?8)) \
     AND EXISTS (SELECT 1 FROM clients AS c WHERE c.tenant_id = ?1 AND c.id = ?3 AND c.disabled_at IS NULL \
     AND c.secret_hash IS ?4)";
/// Only for [`Plant::SecondDeviceIsTheft`]: takes any other grant of the same person and client for a stolen one.
const END_OTHER_DEVICES: &str = "UPDATE grants SET revoked_at = ?6 WHERE tenant_id = ?1 AND client_id = ?3 AND id <> ?2 \
     AND user_id = (SELECT o.user_id FROM grants AS o WHERE o.tenant_id = ?1 AND o.id = ?2) AND offline = 1 \
     AND revoked_at IS NULL AND ?5 >= 0 AND ?7 <> '' AND ?8 > 0 AND EXISTS (SELECT 1 FROM clients AS c \
     WHERE c.tenant_id = ?1 AND c.id = ?3 AND c.secret_hash IS ?4)";
const AUDIT_REFRESH: &str = "INSERT INTO audit_events \
     (tenant_id, id, at, event, actor, user_id, client_id, address, request_id, detail) \
     SELECT g.tenant_id, ?6, ?7, CASE WHEN g.revoked_at IS NULL THEN 'grant.refreshed' ELSE 'refresh_token.reused' END, \
     NULL, g.user_id, g.client_id, ?8, ?9, NULL \
     FROM grants AS g WHERE g.tenant_id = ?1 AND g.id = ?2 AND g.client_id = ?3 AND (g.rotated_by = ?6 \
     OR (g.revoked_at = ?7 AND g.generation > ?5)) \
     AND EXISTS (SELECT 1 FROM clients AS c WHERE c.tenant_id = ?1 AND c.id = ?3 AND c.disabled_at IS NULL \
     AND c.secret_hash IS ?4) ON CONFLICT DO NOTHING";
const AUDIT_REVOCATION: &str = "INSERT INTO audit_events \
     (tenant_id, id, at, event, actor, user_id, client_id, address, request_id, detail) \
     SELECT g.tenant_id, ?5, ?6, 'grant.revoked', NULL, g.user_id, g.client_id, ?7, ?8, NULL \
     FROM clients AS c JOIN grants AS g ON g.tenant_id = c.tenant_id AND g.id = ?2 AND g.client_id = c.id \
     AND g.revoked_at IS NULL \
     WHERE c.tenant_id = ?1 AND c.id = ?3 AND c.disabled_at IS NULL AND c.secret_hash IS ?4 ON CONFLICT DO NOTHING";
const REVOKE: &str = "UPDATE grants SET revoked_at = ?5 WHERE tenant_id = ?1 AND id = ?2 AND client_id = ?3 \
     AND revoked_at IS NULL AND EXISTS (SELECT 1 FROM clients AS c WHERE c.tenant_id = ?1 AND c.id = ?3 \
     AND c.disabled_at IS NULL AND c.secret_hash IS ?4)";
const MOVE_TO_SESSION: &str = "UPDATE grants SET session_id = ?3 WHERE tenant_id = ?1 AND session_id = ?2";
const END_OF_SESSION: &str = "UPDATE grants SET revoked_at = ?3 WHERE tenant_id = ?1 AND session_id = ?2 AND offline = 0 \
     AND revoked_at IS NULL";
const END_OF_USER: &str = "UPDATE grants SET revoked_at = ?3 WHERE tenant_id = ?1 AND user_id = ?2 AND revoked_at IS NULL \
     AND EXISTS (SELECT 1 FROM audit_events AS a WHERE a.tenant_id = ?1 AND a.id = ?4) \
     AND EXISTS (SELECT 1 FROM users AS u WHERE u.tenant_id = ?1 AND u.id = ?2 AND u.updated_at = ?3)";

const END_OF_TENANT: &str = "UPDATE grants SET revoked_at = ?2 WHERE tenant_id = ?1 AND revoked_at IS NULL \
     AND EXISTS (SELECT 1 FROM audit_events AS a WHERE a.tenant_id = ?1 AND a.id = ?3) \
     AND EXISTS (SELECT 1 FROM tenants AS t WHERE t.id = ?1 AND t.version = ?4)";

pub const STATEMENTS: &[&str] = &[
    REDEEM,
    END_REPLAYED,
    OUTCOME,
    AUDIT_REDEMPTION,
    REFRESH,
    END_REUSED,
    END_OTHER_DEVICES,
    AUDIT_REFRESH,
    AUDIT_REVOCATION,
    REVOKE,
    MOVE_TO_SESSION,
    END_OF_SESSION,
    END_OF_USER,
    END_OF_TENANT,
];

/// Seconds after which a grant can no longer be refreshed.
pub const LIFETIME: i64 = 90 * 24 * 3600;
/// Clocks of two isolates may be this many seconds apart.
pub const TOLERATED_SKEW: i64 = 5;
/// Seconds after a rotation in which the previous refresh token still gets the same successor.
pub const GRACE: i64 = 30 + 2 * TOLERATED_SKEW;

/// Who asks: the client, the hash of the secret it presented, and the attempt's id (so that our own retry knows itself).
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    pub tenant_id: &'a str,
    pub grant_id: &'a str,
    pub client_id: &'a str,
    pub secret_hash: Option<&'a str>,
    pub id: &'a str,
    pub now: UnixTime,
    pub address: Option<&'a str>,
    pub request_id: &'a str,
}

/// What a code says the grant is to be.
#[derive(Clone, Copy, Debug)]
pub struct NewGrant<'a> {
    pub user_id: &'a str,
    pub session_id: &'a str,
    pub scope: &'a str,
    /// JSON of the `claims` request.
    pub claims: &'a str,
    pub auth_time: UnixTime,
    pub acr: &'a str,
    pub amr: &'a str,
    pub offline: bool,
}

/// Index of the outcome in the answers of [`redeem`], [`end_replayed`] and [`refresh`].
const OUTCOME_INDEX: usize = 2;

/// Redeems a code: 1 insert the grant if everything is live, 2 end it if another attempt made it, 3 read, 4 audit.
#[must_use]
pub fn redeem(attempt: &Attempt<'_>, grant: &NewGrant<'_>) -> [Statement; 4] {
    let Attempt { tenant_id, grant_id, client_id, secret_hash, id, now, .. } = *attempt;
    let [end, audit, outcome] = end_replayed(attempt);
    let sql = if planted(Plant::RedeemReadThenWrite) {
        redeem!(
            " AND s.ended_at IS NULL",
            "ON CONFLICT (tenant_id, id) DO UPDATE SET redeemed_by = excluded.redeemed_by"
        )
    } else if planted(Plant::SessionAfterSignOut) {
        redeem!("", "ON CONFLICT DO NOTHING")
    } else {
        REDEEM
    };
    [
        Statement::new(
            sql,
            vec![
                tenant_id.into(),
                grant_id.into(),
                client_id.into(),
                grant.user_id.into(),
                grant.session_id.into(),
                secret_hash.into(),
                grant.scope.into(),
                grant.claims.into(),
                grant.auth_time.into(),
                grant.acr.into(),
                grant.amr.into(),
                grant.offline.into(),
                id.into(),
                now.into(),
                now.plus(LIFETIME).into(),
            ],
        ),
        end,
        outcome,
        audit,
    ]
}

/// A code that is too old to be redeemed may still be a replay: 1 end what came of it, 2 audit, 3 read.
#[must_use]
pub fn end_replayed(attempt: &Attempt<'_>) -> [Statement; 3] {
    let Attempt { tenant_id, grant_id, client_id, secret_hash, id, now, address, request_id } = *attempt;
    let addressed = || vec![tenant_id.into(), grant_id.into(), client_id.into(), secret_hash.into()];
    let mut end = addressed();
    end.extend([now.into(), if planted(Plant::ReplayLeavesGrant) { Value::Null } else { id.into() }]);
    let mut audit = addressed();
    audit.extend([id.into(), now.into(), address.into(), request_id.into()]);
    [Statement::new(END_REPLAYED, end), Statement::new(AUDIT_REDEMPTION, audit), outcome(attempt)]
}

/// Refreshes: 1 step to the next generation if this is the current one, 2 end the grant if the token was stepped over longer
/// than [`GRACE`] ago, 3 read, 4 audit.
///
/// When a token was stepped over is known to the second of the current one's predecessor, and of older ones by milestones, so that
/// whoever keeps refreshing cannot hide that an old token was stolen: of a grant refreshed at least every [`GRACE`] seconds, reuse is
/// noticed after three times as long at the latest.
#[must_use]
pub fn refresh(attempt: &Attempt<'_>, generation: i64) -> [Statement; 4] {
    let Attempt { tenant_id, grant_id, client_id, secret_hash, id, now, address, request_id } = *attempt;
    let addressed = || vec![tenant_id.into(), grant_id.into(), client_id.into(), secret_hash.into(), generation.into()];
    let mut step = addressed();
    step.extend([now.into(), id.into()]);
    let reused_before = if planted(Plant::RefreshRetryIsTheft) {
        now
    } else if planted(Plant::ReuseUnnoticed) {
        now.plus(-LIFETIME)
    } else {
        now.plus(-GRACE)
    };
    let mut end = step.clone();
    end.push(reused_before.into());
    step.push(if planted(Plant::RefreshingHidesReuse) { Value::Integer(0) } else { reused_before.into() });
    let mut audit = addressed();
    audit.extend([id.into(), now.into(), address.into(), request_id.into()]);
    [
        Statement::new(REFRESH, step),
        Statement::new(if planted(Plant::SecondDeviceIsTheft) { END_OTHER_DEVICES } else { END_REUSED }, end),
        outcome(attempt),
        Statement::new(AUDIT_REFRESH, audit),
    ]
}

fn outcome(attempt: &Attempt<'_>) -> Statement {
    Statement::new(
        OUTCOME,
        vec![attempt.tenant_id.into(), attempt.grant_id.into(), attempt.client_id.into(), attempt.secret_hash.into()],
    )
}

/// How the client and the grant stand after a batch.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub authenticated: bool,
    pub client_disabled: bool,
    pub client: ClientMetadata,
    pub access_token_lifetime: Option<i64>,
    /// `None` when there is no such grant of this client.
    pub grant: Option<GrantRow>,
}

/// The grant, with its user and consent.
#[derive(Clone, Debug)]
pub struct GrantRow {
    pub id: String,
    pub redeemed_by: Option<String>,
    pub revoked_at: Option<UnixTime>,
    pub generation: i64,
    pub rotated_at: UnixTime,
    pub rotated_by: Option<String>,
    pub expires_at: UnixTime,
    pub user_id: String,
    pub session_id: String,
    pub scope: String,
    pub claims_request: String,
    pub auth_time: UnixTime,
    pub acr: String,
    pub amr: String,
    pub offline: bool,
    /// `None` when the user is gone or disabled.
    pub user: Option<UserClaims>,
    pub consented: bool,
}

/// What UserInfo and ID tokens are made from.
#[derive(Clone, Debug)]
pub struct UserClaims {
    pub claims: serde_json::Map<String, serde_json::Value>,
    pub updated_at: UnixTime,
}

impl Outcome {
    /// From the answer to [`redeem`] or [`refresh`]; `None` when there is no such client.
    pub fn of(answer: &Answer) -> Result<Option<Self>, Fault> {
        super::first_row(answer, OUTCOME_INDEX).map(Self::from_row).transpose()
    }

    fn from_row(row: &Row) -> Result<Self, Fault> {
        let grant = match row.optional_text(4)? {
            None => None,
            Some(id) => Some(GrantRow {
                id,
                redeemed_by: row.optional_text(5)?,
                revoked_at: row.optional_time(6)?,
                generation: row.integer(7)?,
                rotated_at: row.time(8)?,
                rotated_by: row.optional_text(9)?,
                expires_at: row.time(10)?,
                user_id: row.text(11)?,
                session_id: row.text(12)?,
                scope: row.text(13)?,
                claims_request: row.text(14)?,
                auth_time: row.time(15)?,
                acr: row.text(16)?,
                amr: row.text(17)?,
                offline: row.flag(18)?,
                user: match row.optional_time(20)? {
                    None => None,
                    Some(updated_at) => Some(UserClaims { claims: row.json(19)?, updated_at }),
                },
                consented: row.optional_time(21)?.is_some(),
            }),
        };
        Ok(Self {
            authenticated: row.flag(0)?,
            client_disabled: row.optional_time(1)?.is_some(),
            client: row.json(2)?,
            access_token_lifetime: row.optional_integer(3)?,
            grant,
        })
    }
}

/// RFC 7009: the client ends its own grant: 1 audit, if this is what ends it, 2 end it.
#[must_use]
pub fn revoke(attempt: &Attempt<'_>) -> [Statement; 2] {
    let Attempt { tenant_id, grant_id, client_id, secret_hash, id, now, address, request_id } = *attempt;
    let addressed = || vec![tenant_id.into(), grant_id.into(), client_id.into(), secret_hash.into()];
    let mut audit = addressed();
    audit.extend([id.into(), now.into(), address.into(), request_id.into()]);
    let mut revoke = addressed();
    revoke.push(now.into());
    [Statement::new(AUDIT_REVOCATION, audit), Statement::new(REVOKE, revoke)]
}

/// The same person signed in again: what belonged to the old session belongs to the new one.
#[must_use]
pub fn move_to_session(tenant_id: &str, from: &str, to: &str) -> Statement {
    Statement::new(MOVE_TO_SESSION, vec![tenant_id.into(), from.into(), to.into()])
}

/// Sign-out: ends the session's grants, except those that outlive it (`offline_access`).
#[must_use]
pub fn end_of_session(tenant_id: &str, session_id: &str, now: UnixTime) -> Statement {
    Statement::new(END_OF_SESSION, vec![tenant_id.into(), session_id.into(), now.into()])
}

/// Ends everything that was granted for a user who is as the change of the audit row `decision` made them.
#[must_use]
pub fn end_of_user(tenant_id: &str, user: &UserRow, decision: &str) -> Statement {
    let parameters = vec![tenant_id.into(), user.id.as_str().into(), user.updated_at.into(), decision.into()];
    Statement::new(END_OF_USER, parameters)
}

/// Ends every grant of a tenant that is as it was read, when the audit row `decision` says so.
#[must_use]
pub fn end_of_tenant(tenant: &TenantRow, now: UnixTime, decision: &str) -> Statement {
    Statement::new(END_OF_TENANT, vec![tenant.id.as_str().into(), now.into(), decision.into(), tenant.version.into()])
}
